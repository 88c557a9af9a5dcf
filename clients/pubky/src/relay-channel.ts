import { concatBytes } from "../../../core/bytes.ts";
import type { Clock } from "../../../core/clock.ts";
import type { Bytes } from "./bytes.ts";
import { type ChannelBinding, channelBinding, channelUrl } from "./channel.ts";

export type Fetch = (input: string | URL, init?: RequestInit) => Promise<Response>;

/** The platform's `fetch`, looked up at each call, so that one that is replaced later is used. */
export const platformFetch: Fetch = (input, init) => globalThis.fetch(input, init);

/** No answer, or not the hoped-for one. */
export interface Trouble {
  readonly kind: "trouble";
  /** Absent when there was no answer at all. */
  readonly status?: number;
  readonly retryAfterMs?: number;
}

export type Asked =
  | { readonly kind: "message"; readonly body: Bytes; readonly etag: string | undefined }
  | { readonly kind: "nothing" }
  | Trouble;
export type Acknowledged = { readonly kind: "acknowledged" } | Trouble;
export type Put = { readonly kind: "stored" } | Trouble;
export type Awaited = { readonly kind: "delivered" } | { readonly kind: "waiting" } | Trouble;

/** One channel at one relay. No call rejects: what goes wrong is an answer. An aborted call answers `trouble`. */
export interface RelayChannel {
  readonly binding: ChannelBinding;
  /** Waits for a message as long as the relay holds the request. In `link` a read is also its acknowledgement. */
  ask(signal: AbortSignal): Promise<Asked>;
  /** Tells the relay that the message is dealt with: this one alone, where the relay gave it an ETag. */
  acknowledge(etag: string | undefined, signal: AbortSignal): Promise<Acknowledged>;
  /** Leaves a message. In `link` this answers when somebody took it. */
  put(body: Bytes, signal: AbortSignal): Promise<Put>;
  /** Waits until the message left before is acknowledged, as long as the relay holds the request. */
  awaitAcknowledged(signal: AbortSignal): Promise<Awaited>;
}

export interface RelayChannelOptions {
  readonly relay: string | URL;
  readonly clientSecret: Uint8Array;
  readonly fetch: Fetch;
  readonly clock: Clock;
  /** A held request without an answer for so long is taken for dead. Longer than any relay holds one. */
  readonly heldMaxMs?: number;
  /** The same for requests that are answered at once. */
  readonly answerMaxMs?: number;
}

// Longer than the relay's own wait: 25 s, and for link 10 min.
const HELD_MAX_MS: Record<ChannelBinding, number> = { inbox: 60_000, link: 660_000 };
const ANSWER_MAX_MS = 15_000;

/** More than any relay carries; a longer body is cut, and then is no valid message. */
const BODY_MAX_BYTES = 65_536;

export function relayChannel(options: RelayChannelOptions): RelayChannel {
  const { relay, clientSecret, fetch, clock } = options;
  const binding = channelBinding(relay);
  const url = channelUrl(relay, clientSecret);
  const heldMaxMs = options.heldMaxMs ?? HELD_MAX_MS[binding];
  const answerMaxMs = options.answerMaxMs ?? ANSWER_MAX_MS;

  /** One exchange within `limitMs`, body included. `onTime` makes the answer, `onLimit` stands in for a late one. */
  async function exchange<A>(
    target: URL,
    init: RequestInit,
    limit: { ms: number; answer: A | Trouble },
    signal: AbortSignal,
    read: (response: Response) => A | Trouble | Promise<A | Trouble>,
  ): Promise<A | Trouble> {
    const attempt = new AbortController();
    const abort = () => attempt.abort();
    signal.addEventListener("abort", abort, { once: true });
    let late = false;
    const stop = clock.after(limit.ms, () => {
      late = true;
      abort();
    });
    try {
      signal.throwIfAborted();
      const response = await fetch(target, { ...COMMON, ...init, signal: attempt.signal });
      return await read(response);
    } catch {
      return late ? limit.answer : { kind: "trouble" };
    } finally {
      stop();
      signal.removeEventListener("abort", abort);
      // Frees the connection of an answer that was not read to its end.
      abort();
    }
  }

  return {
    binding,
    ask(signal) {
      return exchange<Asked>(
        url,
        {},
        { ms: heldMaxMs, answer: { kind: "nothing" } },
        signal,
        async (response) => {
          if (response.status === 204 || response.status === 408) return { kind: "nothing" };
          if (!response.ok) return troubleOf(response, clock);
          const body = await readBody(response);
          if (body.length === 0) return { kind: "nothing" };
          return { kind: "message", body, etag: response.headers.get("etag") ?? undefined };
        },
      );
    },

    async acknowledge(etag, signal) {
      if (binding === "link") return { kind: "acknowledged" };
      const headers: Record<string, string> = etag === undefined ? {} : { "if-match": etag };
      // `keepalive`: a page that moves on at once with the approval still tells the relay.
      const init: RequestInit = { method: "DELETE", headers, keepalive: true };
      return exchange<Acknowledged>(url, init, { ms: answerMaxMs, answer: TROUBLE }, signal, (response) =>
        // Gone, replaced by another message, or no such method: in each case nothing is left to do.
        response.ok || [404, 405, 410, 412].includes(response.status)
          ? { kind: "acknowledged" }
          : troubleOf(response, clock),
      );
    },

    put(body, signal) {
      const ms = binding === "link" ? heldMaxMs : answerMaxMs;
      return exchange<Put>(url, { method: "POST", body }, { ms, answer: TROUBLE }, signal, (response) =>
        response.ok ? { kind: "stored" } : troubleOf(response, clock),
      );
    },

    awaitAcknowledged(signal) {
      const target = new URL(url);
      target.pathname += "/await";
      const limit = { ms: heldMaxMs, answer: { kind: "waiting" } as const };
      return exchange<Awaited>(target, {}, limit, signal, (response) => {
        if (response.status === 408) return { kind: "waiting" };
        return response.ok ? { kind: "delivered" } : troubleOf(response, clock);
      });
    },
  };
}

const TROUBLE: Trouble = { kind: "trouble" };

const COMMON: RequestInit = {
  // Nothing here is for a cache, a cookie jar or the relay's view of our pages. Without credentials a relay that
  // allows every origin by `*` works too.
  cache: "no-store",
  credentials: "omit",
  referrerPolicy: "no-referrer",
};

function troubleOf(response: Response, clock: Clock): Trouble {
  const retryAfterMs = parseRetryAfter(response.headers.get("retry-after"), clock.now());
  return { kind: "trouble", status: response.status, ...(retryAfterMs !== undefined && { retryAfterMs }) };
}

/** Seconds or a date (RFC 9110, 10.2.3). */
export function parseRetryAfter(value: string | null, now: number): number | undefined {
  if (value === null) return undefined;
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}

async function readBody(response: Response): Promise<Bytes> {
  if (response.body === null) return new Uint8Array(0);
  const reader = response.body.getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  while (length <= BODY_MAX_BYTES) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    length += value.length;
  }
  return concatBytes(...parts).slice(0, BODY_MAX_BYTES);
}
