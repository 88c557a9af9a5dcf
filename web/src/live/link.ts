import type { Relay } from "../relay.ts";

/** Where a broadcast is and the secret that opens it. */
export interface LiveLink {
  readonly secret: string;
  /** Of the broadcast, from the relay's root. */
  readonly path: string;
}

const FRAGMENT = /^#live=([A-Za-z0-9_-]{43})\/(.+)$/;

/** The whole of it stands behind the `#`, which browsers keep to themselves. */
export const formatLiveLink = (relay: Relay, { secret, path }: LiveLink): string =>
  `${relay.url}/#live=${secret}/${encodeURI(path)}`;

export function parseLiveFragment(fragment: string): LiveLink | undefined {
  const [, secret, path] = FRAGMENT.exec(fragment) ?? [];
  if (secret === undefined || path === undefined) return undefined;
  try {
    return { secret, path: decodeURI(path) };
  } catch {
    return undefined;
  }
}
