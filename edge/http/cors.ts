import { addHeader } from "#wire/http/reply.ts";
import type { Handler, RelayRequest } from "#wire/http/request.ts";
import { emptyReply } from "#wire/http/router.ts";

/** Headers of ours that a script may read; without this it sees only the safelisted ones. */
const exposed =
  "deprecation,etag,expires,key-fingerprint,preference-applied,ratelimit,ratelimit-policy,retry-after,x-min-version,x-upgrade-deadline,x-warn-version";

/**
 * Cross-origin requests (Fetch, "CORS protocol"). The origin is mirrored and credentials are allowed, because the Pubky
 * SDK sends its requests with credentials and browsers refuse `*` then. Nothing here is authenticated by a cookie.
 *
 * `policy` is `["mirror"]`, `["off"]` or the origins that may.
 */
export function withCors(policy: readonly string[], handler: Handler): Handler {
  if (policy.includes("off")) return handler;
  const anyone = policy.includes("mirror");
  return async (request) => {
    const response =
      request.method === "OPTIONS" ? preflight(request, await handler(request)) : await handler(request);
    const origin = request.headers.get("origin");
    addHeader(response, "access-control-allow-credentials", "true");
    addHeader(response, "vary", "origin, access-control-request-method, access-control-request-headers");
    if (origin !== null && (anyone || policy.includes(origin))) {
      addHeader(response, "access-control-allow-origin", origin);
      if (request.method !== "OPTIONS") addHeader(response, "access-control-expose-headers", exposed);
    }
    return response;
  };
}

/** Granted on every path, as the original does; `without` is what the path answers to OPTIONS by itself. */
function preflight(request: RelayRequest, without: Response): Response {
  const allow = without.headers.get("allow");
  const reply = emptyReply(200, allow === null ? [] : [["allow", allow]]);
  const method = request.headers.get("access-control-request-method");
  const headers = request.headers.get("access-control-request-headers");
  if (method !== null) addHeader(reply, "access-control-allow-methods", method);
  if (headers !== null) addHeader(reply, "access-control-allow-headers", headers);
  if (request.headers.has("access-control-request-private-network")) {
    addHeader(reply, "access-control-allow-private-network", "true");
  }
  if (method !== null) addHeader(reply, "access-control-max-age", "7200");
  return reply;
}
