import { concatBytes } from "#core/bytes.ts";
import { vector8, vector16 } from "./byte-reader.ts";
import { action, matchType } from "./codepoints.ts";

/** What a challenge may ask for, in the original relay's words. */
export const operations = ["subscribe", "fetch", "publish", "announce"] as const;
export type Operation = (typeof operations)[number];

/** An operation at the sessions of one path, or of a path and all below it. */
export interface Scope {
  readonly operation: Operation;
  /** In normal form: no slash at the ends. */
  readonly path: string;
  readonly match: "exact" | "prefix";
}

/** How a scope is written into a challenge: the original relay's text, or the newer drafts' structure. */
export type ScopeForm = "text" | "binary";

export function parseOperation(word: string | null): Operation | undefined {
  return operations.find((operation) => operation === word);
}

/** Throws `RangeError` for a path too long for the form. */
export function encodeScope(scope: Scope, form: ScopeForm): Uint8Array<ArrayBuffer> {
  return form === "text" ? new TextEncoder().encode(scopeText(scope)) : encodeBinary(scope);
}

/** `subscribe:room/alice`; for a prefix `subscribe:room/*`, of everything `subscribe:*`. */
function scopeText({ operation, path, match }: Scope): string {
  if (match === "exact") return `${operation}:${path}`;
  return `${operation}:${path === "" ? "*" : `${path}/*`}`;
}

const actionsOf: Record<Operation, readonly number[]> = {
  subscribe: [action.subscribe],
  fetch: [action.fetch],
  publish: [action.publish],
  announce: [action.publishNamespace],
};

/** One scope of draft-ietf-moq-privacy-pass-auth-03: actions, a match on the path's parts, and any track name. */
function encodeBinary({ operation, path, match }: Scope): Uint8Array<ArrayBuffer> {
  const parts = path === "" ? [] : path.split("/");
  const elements = parts.map((part) => vector16(new TextEncoder().encode(part)));
  const anyTrack = concatBytes(Uint8Array.of(matchType.prefix), vector16(new Uint8Array()));
  const scope = concatBytes(
    vector8(Uint8Array.from(actionsOf[operation])),
    Uint8Array.of(matchType[match]),
    vector16(concatBytes(...elements)),
    anyTrack,
  );
  return concatBytes(vector8(scope));
}
