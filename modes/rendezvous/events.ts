import type { Entry } from "#store/contract/rendezvous-store.ts";
import { encodeBase64 } from "#wire/base64.ts";
import { entityTag } from "#wire/http/etag.ts";
import type { RelayRequest } from "#wire/http/request.ts";
import { opaque } from "./answers.ts";
import type { Rendezvous } from "./rendezvous.ts";

/** Between two comments that keep proxies from closing a silent stream. */
const keepAliveMs = 15_000;

const encoder = new TextEncoder();

/**
 * `GET /inbox/{id}` with `Accept: text/event-stream`: the message that is there, then each one stored, as server-sent
 * events `message` whose id is the entity tag and whose data is JSON: `contentType`, `expires` and `body` in base64.
 *
 * The stream takes one of the id's places until the client leaves. `Last-Event-ID` skips the message already seen. A
 * client that reads slower than messages come misses all but the newest, as the inbox itself keeps only that.
 *
 * Throws `too_many_waiters` when the places are taken.
 */
export async function messageEvents(
  request: RelayRequest,
  id: string,
  rendezvous: Rendezvous,
): Promise<Response> {
  let lastSeen = request.headers.get("last-event-id");
  let newest: Entry | undefined;
  let ended = false;
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;

  const say = (text: string) => controller?.enqueue(encoder.encode(text));
  const flush = () => {
    if (!newest || !controller || (controller.desiredSize ?? 0) <= 0) return;
    say(eventOf(newest));
    newest = undefined;
  };
  const offer = (entry: Entry) => {
    if (entry.acked || entityTag(entry.version) === lastSeen) return;
    lastSeen = entityTag(entry.version);
    newest = entry;
    flush();
  };
  const stop = () => {
    unsubscribe();
    stopBeat();
    request.signal.removeEventListener("abort", stop);
  };
  // Listen before looking: a message stored between the two would go unnoticed.
  const unsubscribe = rendezvous.subscribe(id, request.edge?.source, (event) => {
    if (event !== "draining") return offer(event);
    stop();
    ended = true;
    controller?.close();
  });
  const stopBeat = rendezvous.every(keepAliveMs, () => say(":\n\n"));
  request.signal.addEventListener("abort", stop, { once: true });
  if (request.signal.aborted) stop();
  try {
    const present = await rendezvous.peek(id);
    if (present && newest === undefined) offer(present);
  } catch (error) {
    stop();
    throw error;
  }

  const body = new ReadableStream<Uint8Array>(
    {
      start(started) {
        controller = started;
        say("retry: 1000\n\n");
        flush();
        if (ended) started.close();
      },
      pull: flush,
      cancel: stop,
    },
    { highWaterMark: 4 },
  );
  return new Response(body, {
    headers: { "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" },
  });
}

function eventOf(entry: Entry): string {
  const data = JSON.stringify({
    contentType: entry.contentType ?? opaque,
    expires: new Date(entry.expiresAt).toISOString(),
    body: encodeBase64(entry.body ?? new Uint8Array()),
  });
  return `event: message\nid: ${entityTag(entry.version)}\ndata: ${data}\n\n`;
}
