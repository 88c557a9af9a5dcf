import type { Clock } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import { encodeBase64url } from "#wire/base64url.ts";
import { errorReply } from "#wire/http/problem.ts";
import { Reply } from "#wire/http/reply.ts";
import { pathOf, type RelayRequest, targetOf } from "#wire/http/request.ts";
import { emptyReply, type Routes } from "#wire/http/router.ts";
import { operations, parseOperation, type Scope } from "#wire/privacy-pass/scope.ts";
import type { PrivacyPass } from "./privacy-pass.ts";
import { parseSessionPath } from "./session-path.ts";

/**
 * `GET /challenge?path=&op=`: the challenge a token must answer to do `op` at `path`; a path that ends with `*` asks for
 * all below it, `form=binary` for the form of the newer drafts. 501 where Privacy Pass is off.
 */
export function challengeRoutes(privacyPass: PrivacyPass | undefined, clock: Clock): Routes {
  return (request) => {
    if (pathOf(request) !== "/challenge") return undefined;
    const respond = async () => {
      if (request.method !== "GET" && request.method !== "HEAD")
        return emptyReply(405, [["allow", "GET,HEAD"]]);
      try {
        return answer(request, privacyPass, clock);
      } catch (error) {
        if (!(error instanceof RelayError)) throw error;
        return errorReply(request, error, "text/plain; charset=utf-8");
      }
    };
    return { route: "/challenge", respond };
  };
}

function answer(request: RelayRequest, privacyPass: PrivacyPass | undefined, clock: Clock): Reply {
  if (!privacyPass) throw new RelayError("not_enabled");
  const { tokenKey } = privacyPass;
  if (!tokenKey) throw new RelayError("issuer_unavailable", { retryAfterSeconds: 10 });
  const query = new URLSearchParams(targetOf(request).split("?").slice(1).join("?"));
  const form = query.get("form") === "binary" ? "binary" : "text";
  const body = {
    challenge: encodeBase64url(privacyPass.challenge(scopeOf(query), clock.now(), form)),
    token_key: encodeBase64url(tokenKey),
    issuer: privacyPass.issuerName,
  };
  const headers: [string, string][] = [
    ["content-type", "application/json"],
    ["cache-control", "no-store"],
  ];
  return new Reply(200, headers, JSON.stringify(body));
}

function scopeOf(query: URLSearchParams): Scope {
  const operation = parseOperation(query.get("op"));
  if (!operation) throw new RelayError("bad_request", { text: `op is one of ${operations.join(", ")}` });
  const path = query.get("path") ?? "";
  return path.endsWith("*")
    ? { operation, path: parseSessionPath(path.slice(0, -1)), match: "prefix" }
    : { operation, path: parseSessionPath(path), match: "exact" };
}
