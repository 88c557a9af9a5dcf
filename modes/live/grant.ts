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
  /** What it costs to bring something over this link, in crossings of an ordinary one; absent: 1. */
  linkCost?: number;
  /** When the session ends, in ms since 1970; `undefined`: when it wants to. */
  expiresAt: number | undefined;
  /** Label under which its traffic is counted; absent for the usual one. */
  tier?: string;
}

/** How a remote is turned away: the code and the reason its session is closed with. */
export interface Refusal {
  code: number;
  reason: string;
}

/** What a remote's SETUP has that may let it in. */
export interface ShownAtSetup {
  /** Path and query, where the transport has no URL; `undefined`: it says none. */
  path: string | undefined;
  /** Parameters 0x03 as they came: a private token's own form, or an AUTHORIZATION TOKEN of moq-transport. */
  tokens: readonly Uint8Array[];
  /** JWTs among them, by value. */
  jwts: readonly string[];
}

/** Decides about a remote that can show what lets it in only in its SETUP. Never rejects. */
export type AdmitAtSetup = (shown: ShownAtSetup) => Promise<Grant | Refusal>;

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
