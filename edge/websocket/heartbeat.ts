import type { Cancel, Clock } from "#core/clock.ts";

/** A connection as its heartbeat sees it. */
export interface Beating {
  /** When something last came from the remote. */
  heardAt(): number;
  ping(): void;
  /** Ends it without a word: nobody is there. */
  drop(): void;
}

export interface HeartbeatOptions {
  /** How often a connection is pinged. */
  pingIntervalMs: number;
  /** A connection that has been silent for so long is dropped. */
  silenceMaxMs: number;
}

/** Pings all connections of a listener on one timer, and drops those that fell silent. */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  readonly #clock: Clock;
  readonly #connections = new Set<Beating>();
  #cancel: Cancel | undefined;

  constructor(options: HeartbeatOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  get count(): number {
    return this.#connections.size;
  }

  add(connection: Beating): void {
    this.#connections.add(connection);
    this.#arm();
  }

  remove(connection: Beating): void {
    this.#connections.delete(connection);
    if (this.#connections.size > 0) return;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #arm(): void {
    if (this.#cancel !== undefined) return;
    this.#cancel = this.#clock.after(this.#options.pingIntervalMs, () => {
      this.#cancel = undefined;
      this.#beat();
      if (this.#connections.size > 0) this.#arm();
    });
  }

  #beat(): void {
    const now = this.#clock.now();
    for (const connection of this.#connections) {
      if (now - connection.heardAt() > this.#options.silenceMaxMs) connection.drop();
      else connection.ping();
    }
  }
}
