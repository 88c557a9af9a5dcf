import assert from "node:assert/strict";
import { test } from "node:test";
import { simClock } from "../../../tests/support/sim-clock.ts";
import { counted } from "../tests/sdk-vectors.ts";
import { simRelay } from "../tests/sim-relay.ts";
import { parseRetryAfter, relayChannel } from "./relay-channel.ts";

const never = new AbortController().signal;

function world(path = "inbox") {
  const clock = simClock();
  const relay = simRelay(clock);
  const relayUrl = `https://relay.example/${path}`;
  return {
    clock,
    relay,
    channel: relayChannel({ relay: relayUrl, clientSecret: counted, fetch: relay.fetch, clock }),
  };
}

test("a message goes from one end to the other and is acknowledged", async () => {
  const { channel } = world();
  const body = Uint8Array.of(1, 2, 3);
  assert.deepEqual(await channel.put(body, never), { kind: "stored" });
  const awaited = channel.awaitAcknowledged(never);
  const asked = await channel.ask(never);
  assert.deepEqual(asked, { kind: "message", body, etag: '"1"' });
  assert.deepEqual(await channel.acknowledge('"1"', never), { kind: "acknowledged" });
  assert.deepEqual(await awaited, { kind: "delivered" });
});

test("what goes wrong is an answer, never a rejection", async () => {
  const { channel, relay } = world();
  relay.fault("network", "network", "network", "network");
  assert.deepEqual(await channel.ask(never), { kind: "trouble" });
  assert.deepEqual(await channel.put(counted, never), { kind: "trouble" });
  assert.deepEqual(await channel.acknowledge(undefined, never), { kind: "trouble" });
  assert.deepEqual(await channel.awaitAcknowledged(never), { kind: "trouble" });
  relay.fault({ status: 429, headers: { "retry-after": "7" } });
  assert.deepEqual(await channel.ask(never), { kind: "trouble", status: 429, retryAfterMs: 7_000 });
  assert.deepEqual(await channel.ask(AbortSignal.abort()), { kind: "trouble" });
});

test("every request has its limit: a minute where the relay holds it, else a quarter of one", async () => {
  for (const [call, ms, answer] of [
    ["ask", 60_000, { kind: "nothing" }],
    ["awaitAcknowledged", 60_000, { kind: "waiting" }],
    ["put", 15_000, { kind: "trouble" }],
    ["acknowledge", 15_000, { kind: "trouble" }],
  ] as const) {
    const { channel, relay, clock } = world();
    relay.fault("hang");
    const calls = {
      ask: () => channel.ask(never),
      awaitAcknowledged: () => channel.awaitAcknowledged(never),
      put: () => channel.put(counted, never),
      acknowledge: () => channel.acknowledge(undefined, never),
    };
    let answered: unknown;
    void calls[call]().then((value) => {
      answered = value;
    });
    await clock.advance(ms - 1);
    assert.equal(answered, undefined);
    await clock.advance(1);
    assert.deepEqual(answered, answer);
    assert.equal(clock.armed, 0);
  }
});

test("a link relay holds longer, and needs no acknowledgement", async () => {
  const { channel, relay, clock } = world("link");
  relay.fault("hang");
  let isAnswered = false;
  void channel.ask(never).then(() => {
    isAnswered = true;
  });
  await clock.advance(659_999);
  assert.equal(isAnswered, false);
  await clock.advance(1);
  assert.equal(isAnswered, true);
  assert.deepEqual(await channel.acknowledge(undefined, never), { kind: "acknowledged" });
  assert.deepEqual(relay.log, ["GET link"]);
});

test("a body without end is cut", async () => {
  const clock = simClock();
  let pulled = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulled += 4_096;
      controller.enqueue(new Uint8Array(4_096));
    },
  });
  const fetch = async () => new Response(endless);
  const channel = relayChannel({ relay: "https://relay.example/inbox", clientSecret: counted, fetch, clock });
  const asked = await channel.ask(never);
  assert.ok(asked.kind === "message");
  assert.equal(asked.body.length, 65_536);
  assert.ok(pulled < 100_000);
});

test("Retry-After is read as seconds or as a date", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  assert.equal(parseRetryAfter("12", now), 12_000);
  assert.equal(parseRetryAfter(" 0 ", now), 0);
  assert.equal(parseRetryAfter("Thu, 01 Jan 2026 00:00:30 GMT", now), 30_000);
  assert.equal(parseRetryAfter("Wed, 31 Dec 2025 00:00:30 GMT", now), 0);
  for (const value of [null, "", "soon", "-"]) assert.equal(parseRetryAfter(value, now), undefined);
});
