import { covers } from "../grant.ts";
import { joinPath, stripPrefix } from "../path.ts";

/** What may be done below a root. `""` in a list is everything below the root; an empty list is nothing. */
export interface Grants {
  /** In normal form (`path.ts`), as are the lists' members, which are relative to it. */
  readonly root: string;
  /** Prefixes of names that may be published. */
  readonly put: readonly string[];
  /** Prefixes of names that may be watched. */
  readonly get: readonly string[];
}

/**
 * The same rights seen from `path`, the root of a session's names, in normal form (`protocol/live-auth.md`, Joining).
 * Undefined where nothing is left.
 *
 * A path below the root keeps what lies below the path, and everything where a grant covers the path whole. A path above
 * the root keeps all, each prefix longer by what lies between.
 */
export function grantsAt(path: string, grants: Grants): Grants | undefined {
  const below = stripPrefix(grants.root, path);
  const above = stripPrefix(path, grants.root);
  const move = (prefix: string): string | undefined => {
    if (below === undefined) return above === undefined ? undefined : joinPath(above, prefix);
    return stripPrefix(below, prefix) ?? (stripPrefix(prefix, below) === undefined ? undefined : "");
  };
  const moveAll = (prefixes: readonly string[]) => [
    ...new Set(prefixes.map(move).filter((prefix) => prefix !== undefined)),
  ];
  const moved: Grants = { root: path, put: moveAll(grants.put), get: moveAll(grants.get) };
  return isUseless(moved) ? undefined : moved;
}

export function isUseless(grants: Grants): boolean {
  return grants.put.length === 0 && grants.get.length === 0;
}

/** Does `outer` allow everything that `inner` does, whatever their roots? */
export function contains(outer: Grants, inner: Grants): boolean {
  const within = (of: "put" | "get") => {
    const limits = outer[of].map((prefix) => joinPath(outer.root, prefix));
    return inner[of].every((prefix) => covers(limits, joinPath(inner.root, prefix)));
  };
  return within("put") && within("get");
}
