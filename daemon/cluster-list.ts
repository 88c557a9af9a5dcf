import { readFile } from "node:fs/promises";
import type { Cancel, Clock } from "#core/clock.ts";
import { type Peer, parsePeerList } from "#modes/live/peer-list.ts";
import { every } from "./every.ts";

/** How often the list is looked at; how often it is really fetched, its `Cache-Control` says. */
export const lookEveryMs = 30_000;

const fetchTimeoutMs = 10_000;
const listMaxBytes = 2 ** 20;

export interface ClusterListOptions {
  /** URL or file of the list (`cluster-connect-api`). */
  source: string;
  /** Our own URL, which the list may depend on. */
  node: string | undefined;
}

/** What the last answer said, for the next request (RFC 9111). */
interface Held {
  freshUntil: number;
  etag: string | undefined;
  lastModified: string | undefined;
}

/**
 * Keeps `apply` told of the relays in a list that others keep, at once and whenever it changed. One that cannot be had
 * or read changes nothing; `onTrouble` hears of it.
 */
export function followClusterList(
  { source, node }: ClusterListOptions,
  clock: Clock,
  apply: (peers: readonly Peer[]) => void,
  onTrouble: (error: unknown) => void,
): Cancel {
  let held: Held = { freshUntil: 0, etag: undefined, lastModified: undefined };
  let seen: string | undefined;
  let looking = false;
  let over = false;
  const take = (text: string) => {
    if (over || text === seen) return;
    apply(parsePeerList(text));
    seen = text;
  };
  const look = async () => {
    if (!/^https?:\/\//.test(source)) return take(await readFile(source, "utf8"));
    if (clock.now() < held.freshUntil) return;
    const url = new URL(source);
    if (node !== undefined) url.searchParams.set("node", node);
    const headers = new Headers();
    if (held.etag !== undefined) headers.set("if-none-match", held.etag);
    if (held.lastModified !== undefined) headers.set("if-modified-since", held.lastModified);
    const response = await fetch(url, { headers, signal: AbortSignal.timeout(fetchTimeoutMs) });
    if (response.status !== 304 && !response.ok) {
      await response.body?.cancel();
      throw new Error(`the list of peers was answered ${response.status}`);
    }
    if (response.ok) take(await textOf(response));
    held = {
      freshUntil: clock.now() + freshMs(response.headers),
      etag: response.headers.get("etag") ?? (response.ok ? undefined : held.etag),
      lastModified: response.headers.get("last-modified") ?? (response.ok ? undefined : held.lastModified),
    };
  };
  const lookOnce = () => {
    if (looking) return;
    looking = true;
    look()
      .catch(onTrouble)
      .finally(() => {
        looking = false;
      });
  };
  lookOnce();
  const cancel = every(lookEveryMs, clock, lookOnce);
  return () => {
    over = true;
    cancel();
  };
}

/** How long an answer may be used without asking again: `max-age` less the `Age` it came with. */
function freshMs(headers: Headers): number {
  const control = headers.get("cache-control") ?? "";
  if (/\bno-(cache|store)\b/i.test(control)) return 0;
  const maxAge = /\bmax-age=(\d{1,9})/i.exec(control)?.[1];
  return Math.max(0, Number(maxAge ?? 0) - Number(headers.get("age") ?? 0)) * 1000;
}

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > listMaxBytes) throw new Error("the list of peers is too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
