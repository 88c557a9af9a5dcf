import { type BackoffLimits, clientBackoff } from "../../../core/backoff.ts";
import { type Clock, type Entropy, type Instant, systemClock, systemEntropy } from "../../../core/clock.ts";
import { encodeBase64url } from "../../../wire/base64url.ts";
import { PosternError } from "./errors.ts";
import {
  type Fetch,
  InboxHttp,
  platformFetch,
  REQUEST_LIMITS,
  type RequestLimits,
  type StoredMessage,
} from "./inbox-http.ts";
import { parseRelay } from "./relay-url.ts";
import { type Patience, persist, type Trouble } from "./retry.ts";
import { channelIdOf, Sealer, type Secret } from "./sealing.ts";

interface CommonOptions {
  /** The relay's URL, as `https://relay.example`. */
  readonly relay: string | URL;
  /** Told of each attempt that failed and is repeated: for a line such as "the relay does not answer". */
  readonly onTrouble?: (trouble: RendezvousTrouble) => void;
  readonly limits?: Partial<BackoffLimits & RequestLimits>;
  readonly fetch?: Fetch;
  readonly clock?: Clock;
  readonly entropy?: Entropy;
}

/** Sealed: the relay and its operator see an id and ciphertext, and messages of others are ignored. */
export interface SealedRendezvousOptions extends CommonOptions {
  /** What both sides share; see `createSecret`. */
  readonly secret: Secret;
  readonly id?: undefined;
}

/** Not sealed: for what is sealed already. Whoever knows the id can read, replace and acknowledge. */
export interface PlainRendezvousOptions extends CommonOptions {
  /** 1 to 256 bytes of UTF-8; make it unguessable. */
  readonly id: string;
  readonly secret?: undefined;
}

export type RendezvousOptions = SealedRendezvousOptions | PlainRendezvousOptions;

export interface RendezvousTrouble {
  /** The HTTP status; absent when there was no answer at all. */
  readonly status?: number;
  /** The message that waits there is not sealed with this secret: somebody else knows the id. */
  readonly unreadable?: true;
  /** Until the next attempt. */
  readonly pauseMs: number;
}

export interface WaitOptions {
  /** When to give up, in milliseconds from now; `Infinity` for never. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

export interface SendOptions extends WaitOptions {
  /** What the body is, for the receiver; sealed along with it. Default: text or opaque bytes, as the body is. */
  readonly contentType?: string;
}

/** A message that the relay has taken: durably, where it keeps messages on disk. */
export interface SentMessage {
  /** When the relay drops it uncollected, where the relay tells. */
  readonly expiresAt: Instant | undefined;
  /**
   * Resolves when the receiver has acknowledged. Default deadline: 300,000 ms, as long as a relay keeps a message.
   *
   * Rejects with PosternError `message_gone` when it expired or another one took its place, `timed_out`,
   * `relay_unreachable`, `relay_refused`, `aborted`.
   */
  delivered(options?: WaitOptions): Promise<void>;
}

export interface Message {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly contentType: string;
  /** The body as UTF-8. */
  text(): string;
  /** The body as JSON. Throws `SyntaxError` for what is none. */
  json(): unknown;
  /**
   * Tells the relay, and through it the sender, that the message was taken; calling it again does nothing. Until then
   * it stays at the relay and is received again. `gone`: it had expired or was replaced.
   *
   * Default deadline: 30,000 ms. Rejects with PosternError `relay_unreachable`, `relay_refused`, `aborted`.
   */
  acknowledge(options?: WaitOptions): Promise<"acknowledged" | "gone">;
}

/** One place at one relay, where programs that cannot reach each other leave a message and pick it up. */
export interface Rendezvous {
  /** The channel's id at the relay. Who knows it can disturb, though with a secret not read or forge. */
  readonly id: string;
  /** The relay's base URL. */
  readonly relay: string;
  /**
   * Leaves a message, in place of any that still waits, and resolves once the relay has it. Attempts the same bytes
   * again until then; a receiver with a secret sees them once. Default deadline: 30,000 ms.
   *
   * Rejects with PosternError `relay_unreachable`, `relay_refused`, `message_too_large`, `content_type_malformed`,
   * `aborted`.
   */
  send(body: Uint8Array | string, options?: SendOptions): Promise<SentMessage>;
  /**
   * The next message, waiting for it. Acknowledge it when you are done. Default deadline: 300,000 ms.
   *
   * Rejects with PosternError `timed_out`, `relay_unreachable`, `relay_refused`, `message_too_large`, `aborted`.
   */
  receive(options?: WaitOptions): Promise<Message>;
  /**
   * The next message, acknowledged once `handle` is done with it. When `handle` fails the message stays at the relay.
   * Resolves to what `handle` does; rejects as `receive` and `acknowledge` do.
   */
  take<T>(handle: (message: Message) => T | Promise<T>, options?: WaitOptions): Promise<T>;
  /**
   * Message after message, each acknowledged when the next is asked for; leaving the loop, by `break` as by an error,
   * leaves the message at hand at the relay unless you acknowledged it. Default deadline: none. Ends, without an
   * error, when `signal` aborts.
   */
  messages(options?: WaitOptions): AsyncGenerator<Message, void, undefined>;
}

const SEND_DEADLINE_MS = 30_000;
/** As long as a relay keeps a message, unless it is told otherwise. */
const RECEIVE_DEADLINE_MS = 300_000;
/** Messages that are known again when a sender repeats them. */
const TAKEN_REMEMBERED_MAX = 64;

/**
 * @throws PosternError `option_invalid`, `secret_malformed`
 *
 * ```ts
 * const rendezvous = createRendezvous({ relay: "https://relay.example", secret });
 * const sent = await rendezvous.send("hello");
 * await sent.delivered();
 * ```
 */
export function createRendezvous(options: RendezvousOptions): Rendezvous {
  return new RelayRendezvous(options);
}

class RelayRendezvous implements Rendezvous {
  readonly id: string;
  readonly relay: string;
  readonly #inbox: InboxHttp;
  readonly #sealer: Sealer | undefined;
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly #retryLimits: BackoffLimits;
  readonly #onTrouble: CommonOptions["onTrouble"];
  /** Marks of messages that were acknowledged, the oldest first. */
  readonly #taken = new Set<string>();

  constructor(options: RendezvousOptions) {
    const { clock = systemClock(), entropy = systemEntropy, fetch = platformFetch } = options;
    this.relay = parseRelay(options.relay);
    this.id = options.secret === undefined ? plainId(options.id) : channelIdOf(options.secret);
    this.#sealer = options.secret === undefined ? undefined : new Sealer(options.secret);
    this.#clock = clock;
    this.#entropy = entropy;
    this.#retryLimits = { ...clientBackoff, ...options.limits };
    this.#onTrouble = options.onTrouble;
    const limits = { ...REQUEST_LIMITS, ...options.limits };
    this.#inbox = new InboxHttp({ relay: this.relay, id: this.id, fetch, clock, limits });
  }

  async send(body: Uint8Array | string, options: SendOptions = {}): Promise<SentMessage> {
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : Uint8Array.from(body);
    const contentType =
      options.contentType ??
      (typeof body === "string" ? "text/plain; charset=utf-8" : "application/octet-stream");
    const sealed = this.#sealer?.seal(bytes, contentType, this.#entropy);
    const patience = this.#patience(options, SEND_DEADLINE_MS, "relay_unreachable");
    const expiresAt = await persist(patience, (signal) =>
      sealed
        ? this.#inbox.store(sealed, "application/octet-stream", signal)
        : this.#inbox.store(bytes, contentType, signal),
    );
    return {
      expiresAt,
      delivered: (waiting = {}) =>
        persist(this.#patience(waiting, RECEIVE_DEADLINE_MS, "timed_out"), (signal) =>
          this.#inbox.awaitAck(signal),
        ),
    };
  }

  async receive(options: WaitOptions = {}): Promise<Message> {
    const patience = this.#patience(options, RECEIVE_DEADLINE_MS, "timed_out");
    return await persist(patience, async (signal) => {
      const read = await this.#inbox.read(signal);
      if (read === "again" || read.kind === "trouble") return read;
      const mark = this.#markOf(read.value);
      if (mark !== undefined && this.#taken.has(mark)) {
        // A repetition: its sender has not heard that the message was taken.
        const told = await this.#inbox.acknowledge(read.value.etag, signal);
        return told.kind === "trouble" ? told : "again";
      }
      const message = this.#open(read.value, mark);
      return message ? { kind: "value", value: message } : { kind: "trouble", unreadable: true };
    });
  }

  async take<T>(handle: (message: Message) => T | Promise<T>, options: WaitOptions = {}): Promise<T> {
    const message = await this.receive(options);
    const result = await handle(message);
    await message.acknowledge(options.signal ? { signal: options.signal } : {});
    return result;
  }

  async *messages(options: WaitOptions = {}): AsyncGenerator<Message, void, undefined> {
    const { deadlineMs = Number.POSITIVE_INFINITY, signal } = options;
    const endsAt = this.#clock.now() + deadlineMs;
    const abortable = signal ? { signal } : {};
    try {
      for (;;) {
        const message = await this.receive({ ...abortable, deadlineMs: endsAt - this.#clock.now() });
        yield message;
        await message.acknowledge(abortable);
      }
    } catch (error) {
      if (!(error instanceof PosternError && error.code === "aborted")) throw error;
    }
  }

  #patience(options: WaitOptions, deadlineMs: number, late: Patience["late"]): Patience {
    const report = this.#onTrouble;
    return {
      clock: this.#clock,
      entropy: this.#entropy,
      limits: this.#retryLimits,
      endsAt: this.#clock.now() + (options.deadlineMs ?? deadlineMs),
      signal: options.signal,
      late,
      onTrouble:
        report && (({ status, unreadable }, pauseMs) => report(troubleReport(status, unreadable, pauseMs))),
    };
  }

  /** What tells a sealed message from every other: its nonce. Equal messages that are not sealed may be two. */
  #markOf({ body }: StoredMessage): string | undefined {
    return this.#sealer && encodeBase64url(body.subarray(1, 25));
  }

  #open(stored: StoredMessage, mark: string | undefined): Message | undefined {
    let opened: { readonly body: Uint8Array<ArrayBuffer>; readonly contentType: string } = stored;
    if (this.#sealer) {
      try {
        opened = this.#sealer.open(stored.body);
      } catch {
        return undefined;
      }
    }
    const { body, contentType } = opened;
    let acknowledged: Promise<"acknowledged" | "gone"> | undefined;
    return {
      body,
      contentType,
      text: () => new TextDecoder().decode(body),
      json: () => JSON.parse(new TextDecoder().decode(body)),
      acknowledge: (options = {}) => {
        acknowledged ??= this.#acknowledge(stored, mark, options).catch((error) => {
          acknowledged = undefined;
          throw error;
        });
        return acknowledged;
      },
    };
  }

  async #acknowledge(
    stored: StoredMessage,
    mark: string | undefined,
    options: WaitOptions,
  ): Promise<"acknowledged" | "gone"> {
    // Remembered first: if the relay never hears of it, the message is still not handed out twice.
    if (mark !== undefined) this.#remember(mark);
    const patience = this.#patience(options, SEND_DEADLINE_MS, "relay_unreachable");
    let isRepeated = false;
    return await persist(patience, async (signal) => {
      if (isRepeated && stored.etag === undefined) {
        // The last attempt may have arrived. Without a tag, another would then hit whatever was stored since.
        const state = await this.#inbox.stateOf(stored, signal);
        if (state.kind === "trouble") return state;
        if (state.value !== "waiting") return { kind: "value", value: state.value };
      }
      isRepeated = true;
      return this.#inbox.acknowledge(stored.etag, signal);
    });
  }

  #remember(mark: string): void {
    this.#taken.add(mark);
    if (this.#taken.size > TAKEN_REMEMBERED_MAX) {
      for (const oldest of this.#taken) {
        this.#taken.delete(oldest);
        return;
      }
    }
  }
}

function troubleReport(
  status: number | undefined,
  unreadable: Trouble["unreadable"],
  pauseMs: number,
): RendezvousTrouble {
  return { pauseMs, ...(status !== undefined && { status }), ...(unreadable && { unreadable }) };
}

/** @throws PosternError `option_invalid` */
function plainId(id: string): string {
  const length = new TextEncoder().encode(id).length;
  // `.` and `..` are ids to a relay, but no URL can carry them: parsers take them for directions.
  if (length >= 1 && length <= 256 && id !== "." && id !== "..") return id;
  const message = "id: expected 1 to 256 bytes of UTF-8, and neither . nor ..";
  throw new PosternError("option_invalid", { message, details: { option: "id" } });
}
