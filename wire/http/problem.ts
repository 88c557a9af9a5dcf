import { errorTable, type RelayError } from "#core/errors.ts";
import { type HeaderList, Reply } from "./reply.ts";
import { acceptsExplicitly, type RelayRequest } from "./request.ts";

/**
 * The answer to an error: problem details (RFC 9457) for a client that asks for JSON by name, else the error's sentence
 * as `contentType`, which is what the original relay's clients expect.
 */
export function errorReply(
  request: RelayRequest,
  error: RelayError,
  contentType: string,
  extra: HeaderList = [],
): Reply {
  const headers: HeaderList = [];
  if (error.retryAfterSeconds !== undefined) headers.push(["retry-after", String(error.retryAfterSeconds)]);
  if (error.authenticate !== undefined) headers.push(["www-authenticate", error.authenticate]);
  if (!acceptsExplicitly(request, "application/json", "application/problem+json")) {
    return new Reply(error.status, [["content-type", contentType], ...extra, ...headers], error.message);
  }
  const problem = {
    type: `urn:postern:error:${error.code}`,
    title: error.message,
    status: error.status,
    detail: errorTable[error.code].advice,
    ...(error.retryAfterSeconds === undefined ? {} : { retryAfter: error.retryAfterSeconds }),
  };
  return new Reply(
    error.status,
    [["content-type", "application/problem+json"], ...extra, ...headers],
    JSON.stringify(problem),
  );
}
