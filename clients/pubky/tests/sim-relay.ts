import type { Clock } from "../../../core/clock.ts";
import type { Fetch } from "../src/relay-channel.ts";

const HELD_MS = 25_000;
const KEPT_MS = 300_000;

interface Message {
  body: Uint8Array<ArrayBuffer>;
  etag: string;
  acked: boolean;
  expiresAt: number;
}

/** What a request can meet instead of the relay. */
export type Fault = { status: number; headers?: Record<string, string>; body?: string } | "network" | "hang";

/**
 * The relay's inbox and link bindings behind a `fetch`, on a simulated clock: enough to be wrong in every way a
 * relay can be. The real ones are met in `tests/interop`.
 */
export interface SimRelay {
  readonly fetch: Fetch;
  /** Every request so far, as `"GET /inbox/…"` without the channel: `"GET inbox"`, `"DELETE inbox"`. */
  readonly log: string[];
  /** Headers of the last request. */
  readonly lastHeaders: () => Headers;
  /** The next requests meet these, one each. */
  fault(...faults: Fault[]): void;
  /** Every request meets this until it is `undefined` again. */
  down: Fault | undefined;
  /** Leaves something on `channel`, as a stranger would; on the last one that was asked for, when none is given. */
  plant(body: string | Uint8Array<ArrayBuffer>, channel?: string): void;
  /** Whether the last channel's message was acknowledged; `undefined` when there is none. */
  readonly acked: boolean | undefined;
  /** The last channel's message. */
  readonly body: Uint8Array<ArrayBuffer> | undefined;
  readonly waiting: number;
  withEtags: boolean;
}

export function simRelay(clock: Clock): SimRelay {
  const log: string[] = [];
  const faults: Fault[] = [];
  const waiters = new Set<() => void>();
  let headers = new Headers();
  const messages = new Map<string, Message>();
  let lastChannel = "";
  let version = 0;
  const wake = () => {
    for (const waiter of [...waiters]) waiter();
  };
  const live = (channel = lastChannel) => {
    const message = messages.get(channel);
    return message && message.expiresAt > clock.now() ? message : undefined;
  };

  /** Waits until `look` sees something, as long as the relay holds a request. */
  async function held(look: () => Response | undefined, signal: AbortSignal | null | undefined) {
    const endsAt = clock.now() + HELD_MS;
    for (;;) {
      const seen = look();
      if (seen) return seen;
      if (clock.now() >= endsAt) return new Response("Request timed out", { status: 408 });
      await new Promise<void>((resolve, reject) => {
        const done = () => {
          waiters.delete(done);
          stop();
          resolve();
        };
        const stop = clock.after(endsAt - clock.now(), done);
        waiters.add(done);
        signal?.addEventListener("abort", () => {
          waiters.delete(done);
          stop();
          reject(new DOMException("aborted", "AbortError"));
        });
      });
    }
  }

  const relay: SimRelay = {
    log,
    lastHeaders: () => headers,
    down: undefined,
    withEtags: true,
    fault: (...more) => void faults.push(...more),
    plant(body, channel = lastChannel) {
      const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
      messages.set(channel, {
        body: bytes,
        etag: `"${++version}"`,
        acked: false,
        expiresAt: clock.now() + KEPT_MS,
      });
      wake();
    },
    get acked() {
      return live()?.acked;
    },
    get body() {
      return live()?.body;
    },
    get waiting() {
      return waiters.size;
    },
    async fetch(input, init = {}) {
      const method = init.method ?? "GET";
      const [, binding, channel, tail] = new URL(input).pathname.split("/");
      lastChannel = channel!;
      log.push([method, binding, tail].filter(Boolean).join(" "));
      headers = new Headers(init.headers);
      init.signal?.throwIfAborted();
      const fault = faults.shift() ?? relay.down;
      if (fault === "network") throw new TypeError("fetch failed");
      if (fault === "hang") {
        return new Promise((_, reject) => {
          init.signal?.addEventListener("abort", () => reject(init.signal?.reason));
        });
      }
      if (fault) return new Response(fault.body ?? null, fault);

      if (method === "POST") {
        relay.plant(Uint8Array.from(init.body as Uint8Array), channel);
        const mine = live(channel);
        if (binding !== "link") return new Response();
        return held(() => (mine?.acked ? new Response() : undefined), init.signal);
      }
      if (method === "DELETE") {
        const kept = live(channel);
        if (!kept) return new Response(null, { status: 404 });
        const only = headers.get("if-match");
        if (only !== null && only !== kept.etag) return new Response(null, { status: 412 });
        kept.acked = true;
        wake();
        return new Response();
      }
      if (tail === "await") {
        if (!live(channel)) return new Response(null, { status: 404 });
        return held(() => (live(channel)?.acked ? new Response("true") : undefined), init.signal);
      }
      return held(() => {
        const kept = live(channel);
        if (!kept || kept.acked) return undefined;
        if (binding === "link") {
          kept.acked = true;
          wake();
        }
        return new Response(kept.body, { headers: relay.withEtags ? { etag: kept.etag } : {} });
      }, init.signal);
    },
  };
  return relay;
}
