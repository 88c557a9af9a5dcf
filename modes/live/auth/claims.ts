import { normalizePath, partsMax } from "../path.ts";
import { contains, type Grants, isUseless } from "./grants.ts";

/** What a token says, in normal form. */
export interface Claims extends Grants {
  /** The bearer is a relay of the same cluster. */
  readonly cluster: boolean;
}

/** Does a key with this scope sign for these claims? Peers of a cluster see more, so that is part of the ceiling. */
export function isWithin(scope: Claims, claims: Claims): boolean {
  return contains(scope, claims) && (scope.cluster || !claims.cluster);
}

/** Says in one sentence which claim is wrong; holds no value of it. */
export class ClaimsError extends Error {
  override readonly name = "ClaimsError";
}

/**
 * Reads `root`, `put`, `get` and `cluster` of a token's payload, or of a key's `scope`. Members it does not know are
 * skipped. Throws `ClaimsError`.
 */
export function parseClaims(payload: Readonly<Record<string, unknown>>): Claims {
  const { root = "", cluster = false } = payload;
  if (typeof root !== "string") throw new ClaimsError("root is not a string");
  if (typeof cluster !== "boolean") throw new ClaimsError("cluster is not true or false");
  const claims = {
    root: parsePath("root", root),
    put: parsePrefixes("put", payload.put),
    get: parsePrefixes("get", payload.get),
    cluster,
  };
  if (isUseless(claims)) throw new ClaimsError("neither put nor get allows anything");
  return claims;
}

function parsePrefixes(name: string, value: unknown): string[] {
  if (value === undefined || value === null) return [];
  const list: unknown[] = Array.isArray(value) ? value : [value];
  if (!list.every((prefix) => typeof prefix === "string"))
    throw new ClaimsError(`${name} is neither a string nor a list of strings`);
  return [...new Set(list.map((prefix) => parsePath(name, prefix)))];
}

function parsePath(name: string, text: string): string {
  const path = normalizePath(text);
  if (path === undefined) throw new ClaimsError(`${name} has more than ${partsMax} parts`);
  return path;
}
