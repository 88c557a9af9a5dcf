import type { RelayError } from "#core/errors.ts";
import { type HeaderList, Reply } from "#wire/http/reply.ts";

/** What every answer of this mode says (mailbox protocol, "Answers"). */
const securityHeaders: HeaderList = [
  ["x-content-type-options", "nosniff"],
  ["cache-control", "no-store"],
  ["cross-origin-resource-policy", "same-origin"],
];

export function jsonReply(status: number, value: unknown, headers: HeaderList = []): Reply {
  return new Reply(
    status,
    [["content-type", "application/json"], ...securityHeaders, ...headers],
    JSON.stringify(value),
  );
}

export function bareReply(status: number, headers: HeaderList = []): Reply {
  return new Reply(status, [...securityHeaders, ...headers]);
}

/** The object that tells a client what stopped it. */
export function errorObject(text: string): { status: "error"; error: string } {
  return { status: "error", error: text };
}

export function errorReply(error: RelayError, headers: HeaderList = []): Reply {
  const retry: HeaderList =
    error.retryAfterSeconds === undefined ? [] : [["retry-after", String(error.retryAfterSeconds)]];
  return jsonReply(error.status, errorObject(wordsOf(error)), [...retry, ...headers]);
}

/** Our own sentences, in the form that the original's clients know. */
export function wordsOf(error: RelayError): string {
  if (error.code === "body_too_large" || error.code === "unsupported_media_type") {
    return `invalid request: ${error.message}`;
  }
  return error.code === "storage_unavailable" ? "storage unavailable" : error.message;
}
