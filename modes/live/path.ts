import { hasPrefix } from "#wire/live/path.ts";

export * from "#wire/live/path.ts";

/** Where relays of a cluster tell each other of themselves: neither shown to clients nor theirs to publish. */
export const clusterPrefixes: readonly string[] = ["internal/origins", ".internal/origins"];

export const isClusterPath = (path: string): boolean =>
  clusterPrefixes.some((prefix) => hasPrefix(prefix, path));
