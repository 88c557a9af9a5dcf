import type { Clock } from "#core/clock.ts";
import { Durations } from "#core/durations.ts";

/** Seconds, as the original has them. */
const durationBounds: readonly number[] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Requests to the API, those inside capsules included: how many, how they ended, how long they took. */
export class Traffic {
  readonly durations = new Durations(durationBounds);
  readonly #clock: Clock;
  #received = 0;
  #sent = 0;
  #rejected = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get received(): number {
    return this.#received;
  }

  /** Answered with what was asked for. */
  get sent(): number {
    return this.#sent;
  }

  get rejected(): number {
    return this.#rejected;
  }

  /** Carries a request out and counts it. `isSuccess` judges the answer; a failure of ours is a rejection too. */
  async count<T>(carryOut: () => Promise<T>, isSuccess: (answer: T) => boolean): Promise<T> {
    this.#received++;
    const begin = this.#clock.now();
    let succeeded = false;
    try {
      const answer = await carryOut();
      succeeded = isSuccess(answer);
      return answer;
    } finally {
      if (succeeded) this.#sent++;
      else this.#rejected++;
      this.durations.observe((this.#clock.now() - begin) / 1000);
    }
  }
}
