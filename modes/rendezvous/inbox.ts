import { RelayError } from "#core/errors.ts";
import { httpDate } from "#wire/http/date.ts";
import { entityTag, ifMatchNames } from "#wire/http/etag.ts";
import { Reply } from "#wire/http/reply.ts";
import { acceptsExplicitly, type RelayRequest, readBody } from "#wire/http/request.ts";
import { contentTypeOf, emptySuccess, messageHeaders, noStore, opaque, waitingOf } from "./answers.ts";
import { messageEvents } from "./events.ts";
import type { Rendezvous } from "./rendezvous.ts";

/** `POST /inbox/{id}`: keep the message; answered once it is durable. */
export async function store(
  request: RelayRequest,
  id: () => string,
  rendezvous: Rendezvous,
): Promise<Response> {
  // The original reads the body first: too long a body hides too long an id.
  const body = await readBody(request, rendezvous.config.maxBodySizeBytes);
  const entry = await rendezvous.store(id(), {
    body,
    contentType: contentTypeOf(request),
    ttlMs: rendezvous.config.inboxCacheTtlMs,
    source: request.edge?.source,
  });
  return emptySuccess([
    ["etag", entityTag(entry.version)],
    ["expires", httpDate(entry.expiresAt)],
  ]);
}

/** `GET /inbox/{id}`: the message, waiting for one if need be; or a stream of them (`Accept: text/event-stream`). */
export async function receive(
  request: RelayRequest,
  id: () => string,
  rendezvous: Rendezvous,
): Promise<Response> {
  if (request.method === "GET" && acceptsExplicitly(request, "text/event-stream")) {
    return messageEvents(request, id(), rendezvous);
  }
  const waiting = waitingOf(request, longestWaitMs(request, rendezvous));
  const entry = await rendezvous.receive(id(), waiting);
  if (!entry) throw new RelayError("timed_out");
  return new Reply(200, [...messageHeaders(entry), ...waiting.applied], entry.body ?? "");
}

/** Version 0.6 of the Pubky SDK gives up at the third 408, whatever the time between: it is let wait longer. */
function longestWaitMs(request: RelayRequest, { config }: Rendezvous): number {
  const sdk06 = request.headers.get("user-agent")?.startsWith("pubky.org@0.6.") ?? false;
  return sdk06 ? Math.max(config.sdk06TimeoutMs, config.inboxTimeoutMs) : config.inboxTimeoutMs;
}

/**
 * `DELETE /inbox/{id}`: acknowledge. With `If-Match`, only the message the reader has seen, so that one stored meanwhile
 * stays (RFC 9110, 13.1.1).
 */
export async function acknowledge(
  request: RelayRequest,
  id: () => string,
  rendezvous: Rendezvous,
): Promise<Response> {
  const channel = id();
  const ifMatch = request.headers.get("if-match");
  let version: number | undefined;
  if (ifMatch !== null) {
    const seen = await rendezvous.peek(channel);
    if (!seen) throw new RelayError("not_found");
    if (!ifMatchNames(ifMatch, entityTag(seen.version))) throw new RelayError("version_mismatch");
    version = seen.version;
  }
  const outcome = await rendezvous.acknowledge(channel, version);
  if (outcome.kind === "missing") throw new RelayError("not_found");
  if (outcome.kind === "version-mismatch") throw new RelayError("version_mismatch");
  return emptySuccess();
}

/** `GET /inbox/{id}/ack`: `true` or `false`. */
export async function readAck(
  _request: RelayRequest,
  id: () => string,
  rendezvous: Rendezvous,
): Promise<Response> {
  const entry = await rendezvous.peek(id());
  if (!entry) throw new RelayError("not_found");
  return new Reply(200, [["content-type", opaque], noStore], String(entry.acked));
}

/** `GET /inbox/{id}/await`: answered when the message stored now is acknowledged. */
export async function awaitAck(
  request: RelayRequest,
  id: () => string,
  rendezvous: Rendezvous,
): Promise<Response> {
  const waiting = waitingOf(request, rendezvous.config.inboxTimeoutMs);
  const entry = await rendezvous.peek(id());
  if (!entry) throw new RelayError("not_found");
  const outcome = await rendezvous.awaitAck(entry, waiting);
  if (outcome === "timed-out") throw new RelayError("timed_out");
  if (outcome !== "acked") throw new RelayError("not_found");
  return emptySuccess(waiting.applied);
}
