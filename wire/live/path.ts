/**
 * Names of broadcasts: parts joined by `/`, none of them empty. `""` is the root, and the prefix of everything.
 * A prefix ends between parts: `room` is none of `roomy/x`.
 */

/** Most parts a name may have. */
export const partsMax = 32;

/** Without leading, trailing and double slashes; `undefined` with too many parts. */
export function normalizePath(path: string): string | undefined {
  const parts = path.split("/").filter((part) => part !== "");
  return parts.length > partsMax ? undefined : parts.join("/");
}

export function joinPath(prefix: string, suffix: string): string {
  if (prefix === "") return suffix;
  return suffix === "" ? prefix : `${prefix}/${suffix}`;
}

/** What is left of `path` below `prefix`: `""` if they are equal, `undefined` if it is elsewhere. */
export function stripPrefix(prefix: string, path: string): string | undefined {
  if (prefix === "") return path;
  if (!path.startsWith(prefix)) return undefined;
  if (path.length === prefix.length) return "";
  return path[prefix.length] === "/" ? path.slice(prefix.length + 1) : undefined;
}

export const hasPrefix = (prefix: string, path: string): boolean => stripPrefix(prefix, path) !== undefined;

/** The prefixes of `path`, the root first, itself last. */
export function* prefixesOf(path: string): Generator<string> {
  yield "";
  for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1)) yield path.slice(0, at);
  if (path !== "") yield path;
}
