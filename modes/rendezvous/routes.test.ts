import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RelayError } from "#core/errors.ts";
import type { ValuesOf } from "#core/options.ts";
import type { RendezvousStore } from "#store/contract/rendezvous-store.ts";
import { openMemoryRendezvousStore } from "#store/memory/rendezvous-store.ts";
import { settle, simClock } from "#tests/support/sim-clock.ts";
import { settle as settleResponse } from "#wire/http/reply.ts";
import { rendezvousOptions } from "./options.ts";
import { Rendezvous } from "./rendezvous.ts";
import { rendezvousRoutes } from "./routes.ts";

const defaults = Object.fromEntries(
  Object.entries(rendezvousOptions).map(([key, spec]) => [key, spec.default]),
) as ValuesOf<typeof rendezvousOptions>;

/** The mode as any runtime would serve it: web-standard requests in, responses out, no network. */
function served(
  config: Partial<typeof defaults> = {},
  wrap: (store: RendezvousStore) => RendezvousStore = (store) => store,
) {
  const all = { ...defaults, ...config };
  const clock = simClock();
  const relay = new Rendezvous(all, wrap(openMemoryRendezvousStore(all)), clock);
  const routes = rendezvousRoutes(relay);
  const ask = (path: string, init: RequestInit = {}): Promise<Response> => {
    const match = routes(new Request(`http://relay.test${path}`, init));
    assert.ok(match, `no route for ${path}`);
    return match.respond();
  };
  const post = (path: string, body: string, init: RequestInit = {}) =>
    ask(path, { method: "POST", body, ...init });
  return { clock, relay, ask, post };
}

describe("the handler with plain web requests", () => {
  test("stores, reads, acknowledges", async () => {
    const { ask, post } = served();
    const stored = await post("/inbox/a", "hello", { headers: { "content-type": "text/x" } });
    assert.equal(stored.status, 200);
    const read = await ask("/inbox/a");
    assert.equal(await read.text(), "hello");
    assert.equal(read.headers.get("content-type"), "text/x");
    assert.equal(read.headers.get("cache-control"), "no-store");
    assert.equal(await (await ask("/inbox/a/ack")).text(), "false");
    assert.equal((await ask("/inbox/a", { method: "DELETE" })).status, 200);
    assert.equal(await (await ask("/inbox/a/ack")).text(), "true");
  });

  test("a body over the limit is 413 in the original's words, whether or not its length was said", async () => {
    const { post, ask } = served();
    const told = await post("/inbox/a", "x".repeat(2049));
    assert.equal(told.status, 413);
    assert.equal(await told.text(), "Failed to buffer the request body: length limit exceeded");
    assert.equal(told.headers.get("content-type"), "text/plain; charset=utf-8");
    let pulled = 0;
    const endless = new ReadableStream({
      pull(controller) {
        pulled++;
        controller.enqueue(new Uint8Array(1024));
      },
    });
    const untold = await ask("/inbox/a", { method: "POST", body: endless, duplex: "half" } as RequestInit);
    assert.equal(untold.status, 413);
    assert.ok(pulled < 10, "stops reading at the limit");
  });

  test("problem details go to a client that asks for JSON, and only to such a one", async () => {
    const { ask } = served();
    const problem = await ask("/inbox/a", { method: "DELETE", headers: { accept: "application/json" } });
    assert.equal(problem.headers.get("content-type"), "application/problem+json");
    const body = (await problem.json()) as Record<string, unknown>;
    assert.equal(body.type, "urn:postern:error:not_found");
    assert.equal(body.status, 404);
    assert.ok(String(body.detail).length > 0);
    for (const accept of ["*/*", "application/json;q=0", "text/html"]) {
      const plain = await ask("/inbox/a", { method: "DELETE", headers: { accept } });
      assert.equal(plain.headers.get("content-type"), "application/octet-stream");
      assert.equal(await plain.text(), "Not found");
    }
  });
});

describe("Prefer: wait", () => {
  test("shortens a poll, never beyond the relay's own limit, and is confirmed", async () => {
    const { ask, post, clock } = served({ inboxTimeoutMs: 25_000 });
    const short = ask("/inbox/a", { headers: { prefer: "respond-async, wait=2" } });
    await clock.advance(2000);
    assert.equal((await short).status, 408);
    const long = ask("/inbox/a", { headers: { prefer: "wait=3600" } });
    await clock.advance(24_999);
    await post("/inbox/a", "m1");
    assert.equal((await long).headers.get("preference-applied"), "wait=25");
    const none = await ask("/inbox/b", { headers: { prefer: "wait=0" } });
    assert.equal(none.status, 408);
    assert.equal(clock.armed, 0);
  });

  test("a preference that is no number changes nothing", async () => {
    const { ask, clock } = served({ inboxTimeoutMs: 1000 });
    const asked = ask("/inbox/a", { headers: { prefer: "wait=soon" } });
    await clock.advance(999);
    assert.equal(clock.armed, 1);
    await clock.advance(1);
    assert.equal((await asked).status, 408);
  });
});

describe("version 0.6 of the Pubky SDK", () => {
  test("waits longer on /inbox, because its third 408 ends a login", async () => {
    const { ask, clock } = served({ inboxTimeoutMs: 25_000, sdk06TimeoutMs: 600_000 });
    const sdk = ask("/inbox/a", { headers: { "user-agent": "pubky.org@0.6.0" } });
    const other = ask("/inbox/a", { headers: { "user-agent": "pubky.org@0.7.1" } });
    await clock.advance(25_000);
    assert.equal((await other).status, 408);
    await clock.advance(574_999);
    assert.equal(clock.armed, 1);
    await clock.advance(1);
    assert.equal((await sdk).status, 408);
  });
});

describe("ETag and If-Match", () => {
  test("an acknowledgement cannot delete a message that the reader has not seen", async () => {
    const { ask, post } = served();
    await post("/inbox/a", "A");
    const seen = (await ask("/inbox/a")).headers.get("etag")!;
    await post("/inbox/a", "B");
    const refused = await ask("/inbox/a", { method: "DELETE", headers: { "if-match": seen } });
    assert.equal(refused.status, 412);
    const now = await ask("/inbox/a");
    assert.equal(await now.text(), "B");
    const tag = now.headers.get("etag")!;
    assert.notEqual(tag, seen);
    for (const ifMatch of [`"other", ${tag}`, "*", tag]) {
      assert.equal(
        (await ask("/inbox/a", { method: "DELETE", headers: { "if-match": ifMatch } })).status,
        200,
      );
    }
    assert.equal((await ask("/inbox/none", { method: "DELETE", headers: { "if-match": tag } })).status, 404);
  });

  test("the answer to a store names the message's tag and when it expires", async () => {
    const { ask, post, clock } = served();
    const stored = await post("/inbox/a", "A");
    const read = await ask("/inbox/a");
    assert.equal(stored.headers.get("etag"), read.headers.get("etag"));
    assert.equal(stored.headers.get("expires"), new Date(clock.now() + 300_000).toUTCString());
    assert.equal(read.headers.get("expires"), stored.headers.get("expires"));
  });
});

describe("/link", () => {
  test("a message is used up only once its answer was written out", async () => {
    const { ask, post, relay } = served();
    const producing = post("/link/a", "once");
    await settle();
    const lost = await ask("/link/a");
    settleResponse(lost, "lost");
    await settle();
    assert.equal((await relay.peek("a"))?.acked, false);
    const head = await ask("/link/a", { method: "HEAD" });
    settleResponse(head, "sent");
    await settle();
    assert.equal((await relay.peek("a"))?.acked, false);
    const sent = await ask("/link/a");
    assert.equal(await sent.text(), "once");
    assert.equal(sent.headers.get("deprecation"), "true");
    settleResponse(sent, "sent");
    const produced = await producing;
    assert.equal(produced.status, 200);
    assert.equal(produced.headers.get("deprecation"), "true");
  });

  test("what was delivered late does not use up the message that came after it", async () => {
    const { ask, post, relay } = served();
    void post("/link/a", "first");
    await settle();
    const slow = await ask("/link/a");
    void post("/link/a", "second");
    await settle();
    settleResponse(slow, "sent");
    await settle();
    assert.equal((await relay.peek("a"))?.acked, false);
  });

  test("a producer that nobody answers hears so when its message expires", async () => {
    const { post, clock, ask } = served({ linkTimeoutMs: 800 });
    const producing = post("/link/a", "x");
    await settle();
    await clock.advance(801);
    const answer = await producing;
    assert.equal(answer.status, 408);
    assert.equal(answer.headers.get("deprecation"), "true");
    assert.equal((await ask("/inbox/a/ack")).status, 404);
  });
});

describe("server-sent events", () => {
  const events = { headers: { accept: "text/event-stream" } };
  const decoder = new TextDecoder();

  /** Reads until the stream has said `text`. */
  async function until(reader: ReadableStreamDefaultReader<Uint8Array>, text: string): Promise<string> {
    let all = "";
    while (!all.includes(text)) {
      const { done, value } = await reader.read();
      if (done) throw new Error(`the stream ended before ${text}: ${all}`);
      all += decoder.decode(value);
    }
    return all;
  }

  test("tell the message that is there, and each that comes", async () => {
    const { ask, post } = served();
    await post("/inbox/a", "one", { headers: { "content-type": "text/x" } });
    const response = await ask("/inbox/a", events);
    assert.equal(response.headers.get("content-type"), "text/event-stream");
    const reader = response.body!.getReader();
    const first = await until(reader, "\n\n");
    const more = first.includes("event: message") ? first : first + (await until(reader, "}\n\n"));
    const data = JSON.parse(/data: (.*)/.exec(more)![1]!);
    assert.equal(atob(data.body), "one");
    assert.equal(data.contentType, "text/x");
    assert.equal(/id: (\S+)/.exec(more)?.[1], (await ask("/inbox/a")).headers.get("etag"));
    await post("/inbox/a", "two");
    assert.match(await until(reader, "}\n\n"), new RegExp(btoa("two")));
    await reader.cancel();
  });

  test("a client that comes back is not told again what it has seen", async () => {
    const { ask, post } = served();
    const tag = (await post("/inbox/a", "one")).headers.get("etag")!;
    const again = await ask("/inbox/a", { headers: { ...events.headers, "last-event-id": tag } });
    const reader = again.body!.getReader();
    await until(reader, "retry");
    await post("/inbox/a", "two");
    const next = await until(reader, "}\n\n");
    assert.ok(next.includes(btoa("two")) && !next.includes(btoa("one")));
    await reader.cancel();
  });

  test("a silent stream is kept alive, and ends when the relay drains", async () => {
    const { ask, clock, relay } = served();
    const reader = (await ask("/inbox/a", events)).body!.getReader();
    await until(reader, "retry");
    await clock.advance(15_000);
    await until(reader, ":\n\n");
    relay.drain();
    assert.equal((await reader.read()).done, true);
    assert.equal(relay.waiters, 0);
    assert.equal(clock.armed, 0);
  });

  test("a client that leaves frees its place at once", async () => {
    const { ask, relay, clock } = served({ maxWaitersPerId: 1 });
    const client = new AbortController();
    await ask("/inbox/a", { ...events, signal: client.signal });
    await settle();
    assert.equal((await ask("/inbox/a", events)).status, 503);
    client.abort();
    await settle();
    assert.equal(relay.waiters, 0);
    assert.equal(clock.armed, 0);
  });

  test("a store that fails takes no place, and a relay that drains meanwhile ends the stream", async () => {
    let look = async (): Promise<undefined> => {
      throw new RelayError("storage_unavailable");
    };
    const { ask, relay, clock } = served({}, (store) => ({ ...store, get: () => look() }));
    assert.equal((await ask("/inbox/a", events)).status, 503);
    assert.equal(relay.waiters, 0);
    assert.equal(clock.armed, 0);
    look = async () => {
      relay.drain();
      return undefined;
    };
    const reader = (await ask("/inbox/a", events)).body!.getReader();
    await until(reader, "retry");
    assert.equal((await reader.read()).done, true);
    assert.equal(relay.waiters, 0);
  });

  test("a client that does not read misses all but the newest, and costs no memory", async () => {
    const { ask, post } = served();
    const reader = (await ask("/inbox/a", events)).body!.getReader();
    for (let at = 0; at < 100; at++) await post("/inbox/a", `m${at}`);
    const all = await until(reader, btoa("m99"));
    assert.ok(all.split("event: message").length < 10);
    await reader.cancel();
  });
});
