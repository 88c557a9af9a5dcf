import type { Cancel, Clock, Instant } from "#core/clock.ts";

/** Notices when nothing was heard for too long. */
export class Silence {
  readonly #clock: Clock;
  readonly #onSilence: () => void;
  #mostMs: number;
  #heardAt: Instant;
  #cancel: Cancel;

  constructor(clock: Clock, mostMs: number, onSilence: () => void) {
    this.#clock = clock;
    this.#onSilence = onSilence;
    this.#mostMs = mostMs;
    this.#heardAt = clock.now();
    this.#cancel = clock.after(mostMs, () => this.#look());
  }

  heard(): void {
    this.#heardAt = this.#clock.now();
  }

  /** From now on so much is too long. */
  allow(mostMs: number): void {
    this.#mostMs = mostMs;
    this.heard();
    this.#cancel();
    this.#cancel = this.#clock.after(mostMs, () => this.#look());
  }

  stop(): void {
    this.#cancel();
  }

  #look(): void {
    const left = this.#heardAt + this.#mostMs - this.#clock.now();
    if (left > 0) this.#cancel = this.#clock.after(left, () => this.#look());
    else this.#onSilence();
  }
}
