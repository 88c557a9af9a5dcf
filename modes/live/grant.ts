import { hasPrefix } from "./path.ts";

/** What a session may do. Prefixes are relative to `root`; `""` allows everything below it. */
export interface Grant {
  /** The path the session speaks relative to: that of its URL. */
  root: string;
  /** Where it may publish. */
  put: readonly string[];
  /** What it may watch. */
  get: readonly string[];
  /** Another relay of our cluster. */
  cluster: boolean;
  /** When the session ends, in ms since 1970; `undefined`: when it wants to. */
  expiresAt: number | undefined;
}

/** How a remote is turned away: the code and the reason its session is closed with. */
export interface Refusal {
  code: number;
  reason: string;
}

/** Decides about a remote that can show its tokens only in its SETUP. Never rejects. */
export type AdmitAtSetup = (tokenValues: readonly Uint8Array[]) => Promise<Grant | Refusal>;

/** Whether one of `prefixes` covers the name. */
export const covers = (prefixes: readonly string[], name: string): boolean =>
  prefixes.some((prefix) => hasPrefix(prefix, name));

/** Where a watch for `prefix` may look: the parts of it that the grant covers. */
export function coveredPrefixes(granted: readonly string[], prefix: string): string[] {
  if (covers(granted, prefix)) return [prefix];
  return granted.filter((grant) => hasPrefix(prefix, grant));
}

/** The prefixes without those that lie within another. */
export const outermost = (prefixes: readonly string[]): string[] =>
  [...new Set(prefixes)].filter((prefix, _, all) =>
    all.every((other) => other === prefix || !hasPrefix(other, prefix)),
  );
