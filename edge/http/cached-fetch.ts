import type { Clock, Instant } from "#core/clock.ts";

/** What was answered. */
export interface FetchedText {
  readonly status: number;
  readonly text: string;
}

export interface CachedFetchSettings {
  readonly clock: Clock;
  /** How long one request may take. */
  readonly timeoutMs: number;
  /** A longer body is an error. */
  readonly maxLength: number;
  /** Answers kept at most; the oldest goes first. */
  readonly entriesMax: number;
  /** How long an answer is good that does not say so itself; and the least, so that nobody makes us ask for each session. */
  readonly freshAtLeastMs: number;
  /** No answer is good for longer, whatever it says. */
  readonly freshAtMostMs: number;
  readonly fetch?: typeof globalThis.fetch;
}

interface Entry extends FetchedText {
  readonly etag: string | undefined;
  readonly freshUntil: Instant;
}

/**
 * Reads small texts over HTTP and keeps them as long as their `Cache-Control` says (RFC 9111), asking with
 * `If-None-Match` afterwards. Several who ask for one URL at once share a request. 200 and 404 are answers; anything else
 * rejects, and so does a body that is too long or too late, with a message that holds nothing of the URL.
 */
export class CachedFetch {
  readonly #settings: CachedFetchSettings;
  readonly #entries = new Map<string, Entry>();
  readonly #underway = new Map<string, Promise<FetchedText>>();

  constructor(settings: CachedFetchSettings) {
    this.#settings = settings;
  }

  get(url: string): Promise<FetchedText> {
    const known = this.#entries.get(url);
    if (known && known.freshUntil > this.#settings.clock.now()) return Promise.resolve(known);
    let underway = this.#underway.get(url);
    if (!underway) {
      underway = this.#ask(url, known).finally(() => this.#underway.delete(url));
      this.#underway.set(url, underway);
    }
    return underway;
  }

  /** The body of a 200; rejects for a 404 too. */
  async text(url: string): Promise<string> {
    const { status, text } = await this.get(url);
    if (status !== 200) throw new Error(`answered ${status}`);
    return text;
  }

  async #ask(url: string, known: Entry | undefined): Promise<FetchedText> {
    const { timeoutMs, fetch = globalThis.fetch } = this.#settings;
    const response = await fetch(url, {
      redirect: "error",
      signal: AbortSignal.timeout(timeoutMs),
      headers: { accept: "application/json", ...(known?.etag && { "if-none-match": known.etag }) },
    });
    if (response.status === 304 && known) return this.#keep(url, response, known);
    if (response.status !== 200 && response.status !== 404) {
      await response.body?.cancel();
      throw new Error(`answered ${response.status}`);
    }
    return this.#keep(url, response, { status: response.status, text: await this.#read(response) });
  }

  async #read(response: Response): Promise<string> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of response.body ?? []) {
      length += chunk.byteLength;
      if (length > this.#settings.maxLength) throw new Error("answered more than expected");
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString("utf8");
  }

  #keep(url: string, { headers }: Response, { status, text }: FetchedText): FetchedText {
    const { clock, entriesMax, freshAtLeastMs, freshAtMostMs } = this.#settings;
    const says = headers.get("cache-control") ?? "";
    this.#entries.delete(url);
    if (/\bno-store\b/i.test(says)) return { status, text };
    const maxAgeMs = Number(/\bmax-age=(\d{1,9})\b/i.exec(says)?.[1] ?? 0) * 1000;
    const freshMs = /\bno-cache\b/i.test(says)
      ? 0
      : Math.min(Math.max(maxAgeMs, freshAtLeastMs), freshAtMostMs);
    const entry = {
      status,
      text,
      etag: headers.get("etag") ?? undefined,
      freshUntil: clock.now() + freshMs,
    };
    this.#entries.set(url, entry);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= entriesMax) break;
      this.#entries.delete(oldest);
    }
    return entry;
  }
}

/** Over the network only under TLS; to this machine as it is. Throws `RangeError`, without the URL. */
export function assertTrustworthyUrl(text: string): void {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;
  if (url?.protocol === "https:" || (url?.protocol === "http:" && loopback.test(url.hostname))) return;
  throw new RangeError("a URL must begin with https://, or be of this machine");
}
