import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { eventsOf, liveOnSimClock } from "#tests/support/live-http.ts";
import { FakePublisher } from "#tests/support/live-pair.ts";
import { settle } from "#tests/support/sim-clock.ts";
import { newKeyFile, signingKey, verifyingKey } from "./auth/key.ts";
import { oneKey } from "./auth/key-source.ts";
import { mintToken, tokenId } from "./auth/token.ts";

const asEvents = { headers: { accept: "text/event-stream" } };

describe("a stream of announcements", () => {
  test("tells what there is, then every change, relative to its path", async () => {
    const { live, ask } = liveOnSimClock();
    const { origin } = live.relay;
    const [one, other] = [new FakePublisher(), new FakePublisher()];
    origin.announce("room/cam", one, []);
    origin.announce("elsewhere", one, []);
    const events = eventsOf(await ask("/announced/room", asEvents));
    const next = async () => (await events.next()).value;
    assert.deepEqual(await next(), ["announced", { path: "cam" }]);
    assert.deepEqual(await next(), ["current", { count: 1 }]);
    origin.announce("room/screen", other, []);
    assert.deepEqual(await next(), ["announced", { path: "screen" }]);
    // Another publisher of the same name, and the first one gone: nothing changes for who watches.
    origin.announce("room/cam", other, []);
    origin.unannounce("room/cam", one, false);
    origin.announce("roomy", other, []);
    origin.unannounce("room/screen", other, false);
    assert.deepEqual(await next(), ["unannounced", { path: "screen" }]);
    await events.return(undefined);
  });

  test("tells a slow reader what is true when it reads, not all that was", async () => {
    const { live, ask } = liveOnSimClock();
    const { origin } = live.relay;
    const publisher = new FakePublisher();
    const answer = await ask("/announced", asEvents);
    await settle();
    for (let at = 0; at < 1000; at++) {
      origin.announce(`flap/${at % 10}`, publisher, []);
      origin.unannounce(`flap/${at % 10}`, publisher, false);
    }
    origin.announce("last", publisher, []);
    const seen = new Map<string, boolean>();
    let events = 0;
    for await (const [event, data] of eventsOf(answer)) {
      if (event === "current") continue;
      events++;
      seen.set((data as { path: string }).path, event === "announced");
      if (seen.get("last")) break;
    }
    assert.deepEqual(
      [...seen].filter(([, isThere]) => isThere),
      [["last", true]],
    );
    assert.ok(events < 30, `${events} events`);
  });

  test("shows a sign of life while nothing happens", async () => {
    const { clock, ask } = liveOnSimClock();
    const events = eventsOf(await ask("/announced", asEvents));
    assert.deepEqual((await events.next()).value, ["current", { count: 0 }]);
    for (let beat = 0; beat < 3; beat++) {
      const next = events.next();
      await clock.advance(15_000);
      assert.deepEqual((await next).value, [":", undefined]);
    }
    await events.return(undefined);
    await settle();
    assert.equal(clock.armed, 0);
  });

  test("has its place in a number that is bounded, and gives it back", async () => {
    const { live, ask } = liveOnSimClock({}, { liveEventStreamsMax: 1 });
    const leave = new AbortController();
    await ask("/announced", { ...asEvents, signal: leave.signal });
    const refused = await ask("/announced", asEvents);
    assert.equal(refused.status, 503);
    assert.ok(refused.headers.get("retry-after"));
    leave.abort();
    assert.equal(live.feedCount, 0);
    const answer = await ask("/announced", asEvents);
    assert.equal(answer.status, 200);
    await answer.body?.cancel();
    assert.equal(live.feedCount, 0);
    const gone = await ask("/announced", { ...asEvents, signal: AbortSignal.abort() });
    assert.equal(live.feedCount, 0);
    await gone.body?.cancel();
  });

  test("ends when its token expires, or is revoked", async () => {
    const key = await newKeyFile("ES256", "k");
    const revoked = new Set<string>();
    const policy = { keys: oneKey(await verifyingKey(key)), revoked: async () => revoked, public: undefined };
    const { live, clock, ask } = liveOnSimClock(policy);
    const mint = async (expiresAt: number) =>
      mintToken(
        await signingKey(key),
        { root: "", put: [], get: [""], cluster: false, expiresAt },
        clock.now(),
      );
    const [short, long] = [await mint(clock.now() + 5_000), await mint(clock.now() + 60_000)];
    assert.equal((await ask("/announced", asEvents)).status, 401);
    const [expiring, leaked] = [
      eventsOf(await ask(`/announced?jwt=${short}`, asEvents)),
      eventsOf(await ask(`/announced?jwt=${long}`, asEvents)),
    ];
    await expiring.next();
    await leaked.next();
    await clock.advance(5_000);
    assert.deepEqual((await expiring.next()).value, ["end", { reason: "the token has expired" }]);
    assert.ok((await expiring.next()).done);
    revoked.add(tokenId(long));
    assert.equal(await live.recheck(), 1);
    assert.deepEqual((await leaked.next()).value, ["end", { reason: "the token is no longer accepted" }]);
    assert.ok((await leaked.next()).done);
    assert.equal(clock.armed, 0);
  });

  test("ends when the relay drains", async () => {
    const { live, ask } = liveOnSimClock();
    const events = eventsOf(await ask("/announced", asEvents));
    await events.next();
    await live.drain();
    assert.deepEqual((await events.next()).value, ["end", { reason: "the relay is going down" }]);
    assert.ok((await events.next()).done);
  });
});

describe("a group over HTTP", () => {
  test("is not sent again to who has it", async () => {
    const { live, ask } = liveOnSimClock();
    const publisher = new FakePublisher();
    live.relay.origin.announce("room", publisher, []);
    const first = ask("/fetch/room/chat");
    await settle();
    publisher.asked[0]!.group(7, "seven");
    const answer = await first;
    assert.deepEqual([await answer.text(), answer.headers.get("etag")], ["seven", '"7"']);
    const known = { headers: { "if-none-match": '"7"' } };
    for (const path of ["/fetch/room/chat", "/fetch/room/chat?group=latest", "/fetch/room/chat?group=7"]) {
      const again = await ask(path, known);
      assert.deepEqual([again.status, again.headers.get("etag"), await again.text()], [304, '"7"', ""], path);
    }
    publisher.asked[0]!.group(8, "eight");
    assert.equal(await (await ask("/fetch/room/chat", known)).text(), "eight");
    assert.equal((await ask("/fetch/room/chat?group=6", known)).status, 404);
  });

  test("is given up after thirty seconds", async () => {
    const { live, clock, ask } = liveOnSimClock();
    live.relay.origin.announce("room", new FakePublisher(), []);
    const answer = ask("/fetch/room/chat");
    await clock.advance(29_999);
    await clock.advance(1);
    assert.equal((await answer).status, 504);
  });
});

test("live says that it is there", async () => {
  const { ask } = liveOnSimClock();
  const answer = await ask("/health");
  assert.deepEqual([answer.status, await answer.text()], [200, "ok\n"]);
  assert.equal((await ask("/health", { method: "POST" })).status, 405);
});
