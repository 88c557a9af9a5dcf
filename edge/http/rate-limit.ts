import type { Clock } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import { TokenBuckets } from "#core/token-buckets.ts";
import { errorReply } from "#wire/http/problem.ts";
import { addHeader } from "#wire/http/reply.ts";
import type { RelayRequest } from "#wire/http/request.ts";

export interface RateLimits {
  /** Tokens a minute; 0 is no limit. */
  readonly rateLimit: number;
  /** Tokens a full bucket holds. */
  readonly rateBurst: number;
}

/** Lets a request through to `respond`, or answers in its place. */
export type Gate = (request: RelayRequest, respond: () => Promise<Response>) => Promise<Response>;

/**
 * Holds back a client that asks too often, with the `RateLimit` fields of the IETF draft. Requests without a source
 * (loopback and private addresses) are not counted. Undefined when there is no limit.
 */
export function rateLimitGate(limits: RateLimits, clock: Clock): Gate | undefined {
  if (limits.rateLimit === 0) return undefined;
  const buckets = new TokenBuckets({ perMinute: limits.rateLimit, burst: limits.rateBurst }, clock);
  const refillSeconds = Math.ceil((limits.rateBurst / limits.rateLimit) * 60);
  const policy = `"default";q=${limits.rateBurst};w=${refillSeconds}`;
  return async (request, respond) => {
    const source = request.edge?.source;
    if (source === undefined) return respond();
    const { remaining, waitSeconds } = buckets.take(source);
    const refused = () =>
      errorReply(
        request,
        new RelayError("rate_limited", { retryAfterSeconds: waitSeconds }),
        "text/plain; charset=utf-8",
      );
    const response = waitSeconds === 0 ? await respond() : refused();
    addHeader(response, "ratelimit-policy", policy);
    addHeader(response, "ratelimit", `"default";r=${remaining};t=${waitSeconds || refillSeconds}`);
    return response;
  };
}
