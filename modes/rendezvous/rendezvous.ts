import type { Cancel, Clock } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import type { ValuesOf } from "#core/options.ts";
import type { AckOutcome, Entry, RendezvousStore } from "#store/contract/rendezvous-store.ts";
import type { rendezvousOptions } from "./options.ts";
import { WaiterCount, WaitingRoom } from "./waiting-room.ts";

export type RendezvousConfig = ValuesOf<typeof rendezvousOptions>;

/** What happens to an id while somebody waits on it. */
type MessageEvent = { readonly kind: "stored"; readonly entry: Entry } | { readonly kind: "draining" };
type AckEvent =
  | { readonly kind: "acked" | "replaced"; readonly version: number }
  | { readonly kind: "draining" };

export interface Waiting {
  /** Longest to wait, in milliseconds. */
  readonly waitMs: number;
  /** Aborts when the client goes away; its place is free at once. */
  readonly signal: AbortSignal;
  /** Whose share of the places it takes. */
  readonly source: string | undefined;
}

export interface NewMessage {
  readonly body: Uint8Array;
  readonly contentType: string | undefined;
  readonly ttlMs: number;
  readonly source: string | undefined;
}

/** What became of waiting for an acknowledgement. */
export type AwaitOutcome = "acked" | "replaced" | "expired" | "timed-out";

/**
 * The rendezvous rules: one message for each id, kept until it is acknowledged, replaced or expires, and handed to
 * everybody who asks for it or waits for it. `/inbox` and `/link` are two bindings of this.
 *
 * Waiting is listening first, then looking, so that a message stored between the two is not missed.
 */
export class Rendezvous {
  readonly config: RendezvousConfig;
  readonly #store: RendezvousStore;
  readonly #clock: Clock;
  readonly #report: (error: unknown) => void;
  readonly #count: WaiterCount;
  readonly #messages: WaitingRoom<MessageEvent>;
  readonly #acks: WaitingRoom<AckEvent>;
  #draining = false;

  /** `report` hears what went wrong where nobody is left to be answered. */
  constructor(
    config: RendezvousConfig,
    store: RendezvousStore,
    clock: Clock,
    report: (error: unknown) => void = () => {},
  ) {
    this.config = config;
    this.#store = store;
    this.#clock = clock;
    this.#report = report;
    this.#count = new WaiterCount(config);
    this.#messages = new WaitingRoom(config, this.#count);
    this.#acks = new WaitingRoom(config, this.#count);
  }

  /** Requests that wait now. */
  get waiters(): number {
    return this.#count.total;
  }

  /**
   * Keeps the message in place of whatever the id held, then wakes who waits for it.
   *
   * Resolves once it is durable. Throws `at_capacity` when there is no room for a new id.
   */
  async store(id: string, message: NewMessage): Promise<Entry> {
    const { body, contentType, source } = message;
    if (this.config.refuseEmpty && body.byteLength === 0) throw new RelayError("empty_message");
    const now = this.#clock.now();
    const kept = { body, contentType, expiresAt: now + message.ttlMs };
    const outcome = await this.#store.put(id, kept, source, now);
    if (outcome.kind !== "stored") {
      throw new RelayError("at_capacity", { retryAfterSeconds: this.#roomInSeconds() });
    }
    if (outcome.replaced) this.#acks.announce(id, { kind: "replaced", version: outcome.replaced.version });
    this.#messages.announce(id, { kind: "stored", entry: outcome.entry });
    return outcome.entry;
  }

  /**
   * The id's message, waiting for one if need be; undefined when none came in time.
   *
   * Throws `too_many_waiters` when the places are taken.
   */
  async receive(id: string, waiting: Waiting): Promise<Entry | undefined> {
    const present = unread(await this.#store.get(id, this.#clock.now()));
    if (present || waiting.waitMs === 0) return present;
    return await this.#wait<MessageEvent, Entry | undefined>(this.#messages, id, waiting, {
      onEvent: (event) => (event.kind === "stored" ? { outcome: event.entry } : { outcome: undefined }),
      onDeadline: () => undefined,
      look: async () => {
        const entry = unread(await this.#store.get(id, this.#clock.now()));
        return entry ? { outcome: entry } : undefined;
      },
    });
  }

  /** Acknowledges the id's message, or only the one of the given version. */
  async acknowledge(id: string, version?: number): Promise<AckOutcome> {
    const outcome = await this.#store.ack(id, version, this.#clock.now());
    if (outcome.kind === "acked") this.#acks.announce(id, { kind: "acked", version: outcome.version });
    return outcome;
  }

  /** Acknowledges a message whose reader was answered already. */
  consume(entry: Entry): void {
    this.acknowledge(entry.id, entry.version).catch(this.#report);
  }

  /** The entry as it stands, acknowledged or not. */
  async peek(id: string): Promise<Entry | undefined> {
    return this.#store.get(id, this.#clock.now());
  }

  /** Waits until the given message is acknowledged, replaced or gone. */
  async awaitAck(entry: Entry, waiting: Waiting): Promise<AwaitOutcome> {
    if (entry.acked) return "acked";
    const { id, version, expiresAt } = entry;
    const deadline = this.#clock.now() + waiting.waitMs;
    const late: AwaitOutcome = expiresAt < deadline ? "expired" : "timed-out";
    const waitMs = Math.min(waiting.waitMs, expiresAt - this.#clock.now());
    return await this.#wait<AckEvent, AwaitOutcome>(
      this.#acks,
      id,
      { ...waiting, waitMs },
      {
        onEvent(event) {
          if (event.kind === "draining") return { outcome: "timed-out" };
          return event.version === version ? { outcome: event.kind } : undefined;
        },
        onDeadline: () => late,
        look: async () => {
          const now = await this.#store.get(id, this.#clock.now());
          if (!now) return { outcome: late };
          if (now.version !== version) return { outcome: "replaced" };
          return now.acked ? { outcome: "acked" } : undefined;
        },
      },
    );
  }

  /**
   * Tells `listen` of every message stored from now on, until the returned function is called. Takes a place, as a wait
   * does. `draining` is the last thing it hears.
   */
  subscribe(id: string, source: string | undefined, listen: (entry: Entry | "draining") => void): () => void {
    const place = this.#messages.join(id, source, (event) => {
      listen(event.kind === "stored" ? event.entry : "draining");
    });
    return () => place.leave();
  }

  /** Calls `beat` again and again, until the returned function is called. */
  every(intervalMs: number, beat: () => void): Cancel {
    let cancel: Cancel;
    const arm = () => {
      cancel = this.#clock.after(intervalMs, () => {
        arm();
        beat();
      });
    };
    arm();
    return () => cancel();
  }

  /** Drops what expired. */
  sweep(): Promise<number> {
    return this.#store.sweep(this.#clock.now());
  }

  /** Answers everybody who waits as if their time were up; who comes later does not wait at all. */
  drain(): void {
    this.#draining = true;
    this.#messages.announceAll({ kind: "draining" });
    this.#acks.announceAll({ kind: "draining" });
  }

  async #wait<Event, Outcome>(
    room: WaitingRoom<Event>,
    id: string,
    { waitMs, signal, source }: Waiting,
    rules: {
      onEvent(event: Event): { outcome: Outcome } | undefined;
      onDeadline(): Outcome;
      look(): Promise<{ outcome: Outcome } | undefined>;
    },
  ): Promise<Outcome> {
    return await new Promise<Outcome>((resolve, reject) => {
      const finish = (outcome: Outcome) => {
        place.leave();
        cancel();
        signal.removeEventListener("abort", gone);
        resolve(outcome);
      };
      // Nobody is left to answer: what it resolves to is thrown away with the connection.
      const gone = () => finish(rules.onDeadline());
      const place = room.join(id, source, (event) => {
        const result = rules.onEvent(event);
        if (result) finish(result.outcome);
      });
      const cancel = this.#clock.after(this.#draining ? 0 : waitMs, () => finish(rules.onDeadline()));
      if (signal.aborted) return gone();
      signal.addEventListener("abort", gone, { once: true });
      rules.look().then(
        (result) => result && finish(result.outcome),
        (error) => {
          place.leave();
          cancel();
          signal.removeEventListener("abort", gone);
          reject(error);
        },
      );
    });
  }

  /** When asking again may help: expiry makes room, and nothing lives longer than its TTL. */
  #roomInSeconds(): number {
    return Math.max(1, Math.min(30, Math.ceil(this.config.inboxCacheTtlMs / 1000)));
  }
}

function unread(entry: Entry | undefined): Entry | undefined {
  return entry?.acked ? undefined : entry;
}
