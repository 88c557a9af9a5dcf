import { joinBytes } from "../../../core/bytes.ts";
import type { Clock } from "../../../core/clock.ts";
import { PosternError } from "./errors.ts";
import { inboxUrl } from "./relay-url.ts";
import type { Trouble } from "./retry.ts";

export type Fetch = (input: string, init?: RequestInit) => Promise<Response>;

/** The platform's `fetch`, looked up at each call, so that one that is replaced later is used. */
export const platformFetch: Fetch = (input, init) => globalThis.fetch(input, init);

/** How long one request may take before it counts as dead, in milliseconds. */
export interface RequestLimits {
  /** For requests that the relay answers at once. */
  readonly answerMaxMs: number;
  /** For requests that the relay holds; longer than it holds any. */
  readonly heldMaxMs: number;
  /** Longer messages are not read. */
  readonly bodyMaxBytes: number;
}

export const REQUEST_LIMITS: RequestLimits = {
  answerMaxMs: 15_000,
  heldMaxMs: 60_000,
  bodyMaxBytes: 16 * 2 ** 20,
};

export interface StoredMessage {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly contentType: string;
  /** Names this message among those of its id; the original relay gives none. */
  readonly etag: string | undefined;
}

type Value<T> = { readonly kind: "value"; readonly value: T };
const value = <T>(of: T): Value<T> => ({ kind: "value", value: of });

/**
 * One id at one relay, one request a call. What may pass is an answer (`trouble`, `again`); what will not rejects with
 * PosternError `relay_refused`, `message_too_large` or `message_gone`.
 */
export class InboxHttp {
  readonly #relay: string;
  readonly #id: string;
  readonly #fetch: Fetch;
  readonly #clock: Clock;
  readonly #limits: RequestLimits;

  constructor(of: { relay: string; id: string; fetch: Fetch; clock: Clock; limits: RequestLimits }) {
    this.#relay = of.relay;
    this.#id = of.id;
    this.#fetch = of.fetch;
    this.#clock = of.clock;
    this.#limits = of.limits;
  }

  /** `POST /inbox/{id}`: the moment the message expires, where the relay tells. */
  async store(
    body: Uint8Array<ArrayBuffer>,
    contentType: string,
    signal: AbortSignal,
  ): Promise<Value<number | undefined> | Trouble> {
    const init = { method: "POST", body, headers: { "content-type": contentType } };
    return this.#exchange("", init, this.#limits.answerMaxMs, signal, undefined, (response) => {
      const expiresAt = Date.parse(response.headers.get("expires") ?? "");
      return value(Number.isNaN(expiresAt) ? undefined : expiresAt);
    });
  }

  /** `GET /inbox/{id}`: the message; `again` when none came while the relay waited. */
  async read(signal: AbortSignal): Promise<Value<StoredMessage> | "again" | Trouble> {
    return this.#exchange("", {}, this.#limits.heldMaxMs, signal, "again", async (response) => {
      if (response.status === 204) return "again";
      const body = await this.#readBody(response);
      const etag = response.headers.get("etag") ?? undefined;
      // A proxy's empty answer is no message; the relay's own names what it gives.
      if (body.length === 0 && etag === undefined) return "again";
      return value({ body, etag, contentType: response.headers.get("content-type") ?? "" });
    });
  }

  /** `DELETE /inbox/{id}`: of this message alone, where the relay gave it a tag. */
  async acknowledge(
    etag: string | undefined,
    signal: AbortSignal,
  ): Promise<Value<"acknowledged" | "gone"> | Trouble> {
    const headers: Record<string, string> = etag === undefined ? {} : { "if-match": etag };
    // A page that closes right after it took the message still tells the relay.
    const init = { method: "DELETE", headers, keepalive: true };
    return this.#exchange("", init, this.#limits.answerMaxMs, signal, undefined, (response) =>
      value(response.ok ? "acknowledged" : "gone"),
    );
  }

  /** `GET /inbox/{id}/await`: answered when the message that is stored now was acknowledged. */
  async awaitAck(signal: AbortSignal): Promise<Value<undefined> | "again" | Trouble> {
    return this.#exchange("/await", {}, this.#limits.heldMaxMs, signal, "again", (response) => {
      if (response.status === 404) throw new PosternError("message_gone", { details: { status: 404 } });
      return value(undefined);
    });
  }

  /**
   * What became of a message that was read before, for relays that give no tags: whether it still waits there, was
   * acknowledged, or is gone.
   */
  async stateOf(
    message: StoredMessage,
    signal: AbortSignal,
  ): Promise<Value<"waiting" | "acknowledged" | "gone"> | Trouble> {
    const limitMs = this.#limits.answerMaxMs;
    const acked = await this.#exchange("/ack", {}, limitMs, signal, undefined, async (response) => {
      if (response.status === 404) return value("gone" as const);
      return value((await response.text()) === "true" ? ("acknowledged" as const) : ("waiting" as const));
    });
    if (acked.kind === "trouble" || acked.value !== "waiting") return acked;
    // Something waits, so that reading answers at once: is it the same?
    const present = await this.read(signal);
    if (present === "again") return value("acknowledged");
    if (present.kind === "trouble") return present;
    const { body } = present.value;
    const isSame = body.length === message.body.length && body.every((byte, at) => byte === message.body[at]);
    return value(isSame ? "waiting" : "gone");
  }

  async #exchange<A, Empty extends "again" | undefined>(
    rest: "" | "/ack" | "/await",
    init: RequestInit,
    limitMs: number,
    signal: AbortSignal,
    /** What no answer within the limit means, and 408: for a held request, that nothing happened. */
    empty: Empty,
    read: (response: Response) => A | Promise<A>,
  ): Promise<A | Trouble | NonNullable<Empty>> {
    const attempt = new AbortController();
    const abort = () => attempt.abort();
    signal.addEventListener("abort", abort, { once: true });
    let late = false;
    const disarm = this.#clock.after(limitMs, () => {
      late = true;
      abort();
    });
    try {
      if (signal.aborted) return { kind: "trouble" };
      const url = inboxUrl(this.#relay, this.#id, rest);
      const response = await this.#fetch(url, { ...common, ...init, signal: attempt.signal });
      const { status } = response;
      if (status === 408 && empty) return empty;
      if (status === 408 || status === 429 || status >= 500) return troubleOf(response, this.#clock);
      if (status === 413) throw new PosternError("message_too_large", { details: { status } });
      const gone = [404, 410, 412].includes(status) && (init.method === "DELETE" || rest !== "");
      if (!response.ok && !gone) {
        // The original answers 404 to a reader whom its sweep threw out.
        if (status === 404 && empty) return troubleOf(response, this.#clock);
        throw new PosternError("relay_refused", { details: { status } });
      }
      return await read(response);
    } catch (error) {
      if (error instanceof PosternError) throw error;
      return late && empty ? empty : { kind: "trouble" };
    } finally {
      disarm();
      signal.removeEventListener("abort", abort);
      // Frees the connection of an answer that was not read to its end.
      abort();
    }
  }

  async #readBody(response: Response): Promise<Uint8Array<ArrayBuffer>> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    if (response.body) {
      for await (const chunk of readerOf(response.body)) {
        length += chunk.length;
        if (length > this.#limits.bodyMaxBytes) throw new PosternError("message_too_large");
        chunks.push(chunk);
      }
    }
    return joinBytes(chunks);
  }
}

/** Streams are not async iterable in every browser yet. */
async function* readerOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  for (;;) {
    const { done, value: chunk } = await reader.read();
    if (done) return;
    yield chunk;
  }
}

const common: RequestInit = {
  // Nothing here is for a cache, a cookie jar or the relay's view of our pages.
  cache: "no-store",
  credentials: "omit",
  referrerPolicy: "no-referrer",
};

function troubleOf(response: Response, clock: Pick<Clock, "now">): Trouble {
  const retryAfterMs = parseRetryAfter(response.headers.get("retry-after"), clock.now());
  return { kind: "trouble", status: response.status, ...(retryAfterMs !== undefined && { retryAfterMs }) };
}

/** Seconds or a date (RFC 9110, 10.2.3), as milliseconds from now. */
export function parseRetryAfter(text: string | null, now: number): number | undefined {
  if (text === null) return undefined;
  if (/^\d{1,9}$/.test(text.trim())) return Number(text) * 1000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}
