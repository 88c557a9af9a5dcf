import type { Clock } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import { TokenBuckets } from "#core/token-buckets.ts";

/** Clients look for these words: whatever says them is tried again later. */
const text = "rate limit exceeded";

/** So many a minute for each key, all of them at once if need be. */
export class Limiter {
  readonly #buckets: TokenBuckets;
  #refused = 0;

  constructor(perMinute: number, clock: Clock) {
    this.#buckets = new TokenBuckets({ perMinute, burst: perMinute }, clock);
  }

  /** How often somebody was refused. */
  get refused(): number {
    return this.#refused;
  }

  /** Throws `rate_limited`. */
  take(key: string): void {
    this.#check(this.#buckets.take(key).waitSeconds);
  }

  /** Throws `rate_limited` if there is nothing left, and takes nothing. */
  check(key: string): void {
    this.#check(this.#buckets.waitSeconds(key));
  }

  /** Takes what was checked before; whether it was there makes no difference any more. */
  charge(key: string): void {
    this.#buckets.take(key);
  }

  #check(waitSeconds: number): void {
    if (waitSeconds === 0) return;
    this.#refused++;
    throw new RelayError("rate_limited", { text, retryAfterSeconds: Math.min(60, waitSeconds) });
  }
}
