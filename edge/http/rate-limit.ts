import type { Clock, Instant } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import { errorReply } from "#wire/http/problem.ts";
import { addHeader } from "#wire/http/reply.ts";
import type { Handler } from "#wire/http/request.ts";

interface Bucket {
  tokens: number;
  at: Instant;
}

export interface RateLimits {
  /** Tokens a minute; 0 is no limit. */
  readonly rateLimit: number;
  /** Tokens a full bucket holds. */
  readonly rateBurst: number;
}

/** Buckets kept at once; the least recently used is full again or nearly so, and goes first. */
const maxBuckets = 100_000;

/** Token buckets by key: each holds `rateBurst` tokens and gains `rateLimit` a minute. */
export class TokenBuckets {
  readonly #limits: RateLimits;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();

  constructor(limits: RateLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Takes one token. `waitSeconds` is 0 when there was one, else how long until there is. */
  take(key: string): { remaining: number; waitSeconds: number } {
    const { rateLimit, rateBurst } = this.#limits;
    const now = this.#clock.now();
    const perMs = rateLimit / 60_000;
    const bucket = this.#buckets.get(key) ?? { tokens: rateBurst, at: now };
    bucket.tokens = Math.min(rateBurst, bucket.tokens + (now - bucket.at) * perMs);
    bucket.at = now;
    // Deleted and set again: the map's order is the order of use.
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > maxBuckets) this.#buckets.delete(this.#buckets.keys().next().value!);
    if (bucket.tokens < 1) {
      return { remaining: 0, waitSeconds: Math.max(1, Math.ceil((1 - bucket.tokens) / perMs / 1000)) };
    }
    bucket.tokens -= 1;
    return { remaining: Math.floor(bucket.tokens), waitSeconds: 0 };
  }
}

/**
 * Holds back a client that asks too often, with the `RateLimit` fields of the IETF draft. Requests without a source
 * (loopback and private addresses) are not counted.
 */
export function withRateLimit(limits: RateLimits, clock: Clock, handler: Handler): Handler {
  if (limits.rateLimit === 0) return handler;
  const buckets = new TokenBuckets(limits, clock);
  const refillSeconds = Math.ceil((limits.rateBurst / limits.rateLimit) * 60);
  const policy = `"default";q=${limits.rateBurst};w=${refillSeconds}`;
  return async (request) => {
    const source = request.edge?.source;
    if (source === undefined) return handler(request);
    const { remaining, waitSeconds } = buckets.take(source);
    const response =
      waitSeconds === 0
        ? await handler(request)
        : errorReply(
            request,
            new RelayError("rate_limited", { retryAfterSeconds: waitSeconds }),
            "text/plain; charset=utf-8",
          );
    addHeader(response, "ratelimit-policy", policy);
    addHeader(response, "ratelimit", `"default";r=${remaining};t=${waitSeconds || refillSeconds}`);
    return response;
  };
}
