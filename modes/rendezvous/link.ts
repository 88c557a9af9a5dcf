import { RelayError } from "#core/errors.ts";
import { errorReply } from "#wire/http/problem.ts";
import { type HeaderList, Reply } from "#wire/http/reply.ts";
import { type RelayRequest, readBody } from "#wire/http/request.ts";
import { contentTypeOf, emptySuccess, messageHeaders, noStore, opaque, waitingOf } from "./answers.ts";
import type { Rendezvous } from "./rendezvous.ts";

/** The original marks the answers of the older binding that matter (not its errors to a consumer). */
const deprecated: HeaderList = [["deprecation", "true"]];

/** `POST /link/{id}`: keep the message and wait until somebody took it. */
export async function storeAndWait(
  request: RelayRequest,
  id: () => string,
  rendezvous: Rendezvous,
): Promise<Response> {
  const body = await readBody(request, rendezvous.config.maxBodySizeBytes);
  const waiting = waitingOf(request, rendezvous.config.linkTimeoutMs);
  const entry = await rendezvous.store(id(), {
    body,
    contentType: contentTypeOf(request),
    ttlMs: rendezvous.config.linkTimeoutMs,
    source: waiting.source,
  });
  const outcome = await rendezvous.awaitAck(entry, waiting);
  if (outcome === "acked") return emptySuccess(deprecated);
  // The message lives exactly as long as its producer waits, so its expiry is the end of the wait.
  const code = outcome === "replaced" ? "entry_expired" : "timed_out";
  return errorReply(request, new RelayError(code), opaque, [noStore, ...deprecated]);
}

/**
 * `GET /link/{id}`: the message, which is acknowledged once the answer was written out. A consumer that vanished before
 * does not use it up, and HEAD only looks.
 */
export async function receiveOnce(
  request: RelayRequest,
  id: () => string,
  rendezvous: Rendezvous,
): Promise<Response> {
  const waiting = waitingOf(request, rendezvous.config.linkTimeoutMs);
  const entry = await rendezvous.receive(id(), waiting);
  if (!entry) throw new RelayError("timed_out");
  const headers = [...messageHeaders(entry), ...waiting.applied, ...deprecated];
  const consume = request.method === "GET";
  return new Reply(200, headers, entry.body ?? "", (delivery) => {
    if (consume && delivery === "sent") rendezvous.consume(entry);
  });
}
