import type { Clock } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import { TokenBuckets } from "#core/token-buckets.ts";
import { errorReply } from "#wire/http/problem.ts";
import { addHeader } from "#wire/http/reply.ts";
import type { Handler } from "#wire/http/request.ts";

export interface RateLimits {
  /** Tokens a minute; 0 is no limit. */
  readonly rateLimit: number;
  /** Tokens a full bucket holds. */
  readonly rateBurst: number;
}

/**
 * Holds back a client that asks too often, with the `RateLimit` fields of the IETF draft. Requests without a source
 * (loopback and private addresses) are not counted.
 */
export function withRateLimit(limits: RateLimits, clock: Clock, handler: Handler): Handler {
  if (limits.rateLimit === 0) return handler;
  const buckets = new TokenBuckets({ perMinute: limits.rateLimit, burst: limits.rateBurst }, clock);
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
