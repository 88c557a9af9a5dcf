import type { Clock, Instant } from "./clock.ts";
import { RecentMap } from "./recent-map.ts";

interface Bucket {
  tokens: number;
  at: Instant;
}

export interface BucketLimits {
  /** Tokens a bucket gains in a minute. */
  readonly perMinute: number;
  /** Tokens a full bucket holds. */
  readonly burst: number;
}

/** Buckets kept at least; those not used for longest are full again or nearly so, and go first. */
const bucketsKept = 100_000;

/** Token buckets by key. A key costs its length in memory: never let a remote choose how long it is. */
export class TokenBuckets {
  readonly #limits: BucketLimits;
  readonly #clock: Clock;
  readonly #buckets = new RecentMap<string, Bucket>(bucketsKept);

  constructor(limits: BucketLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Takes one token. `waitSeconds` is 0 when there was one, else how long until there is. */
  take(key: string): { remaining: number; waitSeconds: number } {
    const bucket = this.#bucket(key);
    this.#buckets.set(key, bucket);
    const waitSeconds = this.#waitSeconds(bucket);
    if (waitSeconds === 0) bucket.tokens -= 1;
    return { remaining: Math.floor(bucket.tokens), waitSeconds };
  }

  /** How long until there is a token: 0 if there is one now. Takes nothing. */
  waitSeconds(key: string): number {
    return this.#waitSeconds(this.#bucket(key));
  }

  #bucket(key: string): Bucket {
    const { perMinute, burst } = this.#limits;
    const now = this.#clock.now();
    const bucket = this.#buckets.get(key);
    if (!bucket) return { tokens: burst, at: now };
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) * perMinute) / 60_000);
    bucket.at = now;
    return bucket;
  }

  #waitSeconds({ tokens }: Bucket): number {
    if (tokens >= 1) return 0;
    return Math.max(1, Math.ceil(((1 - tokens) * 60) / this.#limits.perMinute));
  }
}
