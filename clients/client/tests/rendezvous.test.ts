import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Postern, startPostern } from "../../../tests/support/postern.ts";
import { simClock } from "../../../tests/support/sim-clock.ts";
import { createRendezvous, createSecret, type Fetch, type RendezvousTrouble } from "../src/index.ts";

let postern: Postern;
let relay: string;
before(async () => {
  // So short a wait that a receiver asks several times within a test.
  postern = await startPostern(["--inbox-timeout", "1200ms"]);
  relay = postern.url;
});
after(() => postern[Symbol.asyncDispose]());

const quick = { firstPauseMs: 2, longestPauseMs: 10 };
const sides = (fetch?: Fetch) => {
  const secret = createSecret();
  const limits = quick;
  return {
    alice: createRendezvous({ relay, secret, limits }),
    bob: createRendezvous({ relay, secret, limits, ...(fetch && { fetch }) }),
  };
};

test("a sealed message goes from one side to the other and its delivery is told", async () => {
  const { alice, bob } = sides();
  const sent = await alice.send(JSON.stringify({ hello: "bob" }), { contentType: "application/json" });
  assert.ok(sent.expiresAt! > Date.now());
  const delivered = sent.delivered();
  const message = await bob.receive();
  assert.deepEqual(message.json(), { hello: "bob" });
  assert.equal(message.contentType, "application/json");
  assert.equal(await message.acknowledge(), "acknowledged");
  await delivered;
});

test("the relay sees an id and ciphertext", async () => {
  const { alice } = sides();
  await alice.send("meet at noon", { contentType: "text/x-plan" });
  const response = await fetch(`${relay}/inbox/${alice.id}`);
  const body = Buffer.from(await response.arrayBuffer());
  assert.equal(response.headers.get("content-type"), "application/octet-stream");
  assert.ok(!body.includes("noon") && !body.includes("plan"));
});

test("a receiver who came first gets the message, however often the relay has said 408", async () => {
  let statuses: number[] = [];
  let asked = () => {};
  const { alice, bob } = sides(async (...args) => {
    const response = await fetch(...args);
    statuses = [...statuses, response.status];
    if (response.status === 408) asked();
    return response;
  });
  const refused = new Promise<void>((resolve) => {
    asked = resolve;
  });
  const receiving = bob.receive();
  await refused;
  await alice.send("at last");
  assert.equal((await receiving).text(), "at last");
  assert.equal(statuses[0], 408);
  assert.equal(statuses.at(-1), 200);
});

test("a plain id carries the bytes and their type as they are, to any HTTP client", async () => {
  const id = createSecret();
  const rendezvous = createRendezvous({ relay: `${relay}/inbox`, id });
  await rendezvous.send(Uint8Array.of(0, 255, 10), { contentType: "image/x-dot" });
  const response = await fetch(`${relay}/inbox/${id}`);
  assert.deepEqual(new Uint8Array(await response.arrayBuffer()), Uint8Array.of(0, 255, 10));
  assert.equal(response.headers.get("content-type"), "image/x-dot");
  const message = await rendezvous.receive();
  assert.deepEqual(message.body, Uint8Array.of(0, 255, 10));
});

test("an id may be any text", async () => {
  const rendezvous = createRendezvous({ relay, id: "a/b ?#%2F é" });
  await rendezvous.send("x");
  assert.equal(await rendezvous.take((message) => message.text()), "x");
});

test("messages come one after the other, each acknowledged when the next is asked for", async () => {
  const { alice, bob } = sides();
  const got: string[] = [];
  const stop = new AbortController();
  const reading = (async () => {
    for await (const message of bob.messages({ signal: stop.signal })) got.push(message.text());
  })();
  for (const text of ["one", "two", "three"]) await (await alice.send(text)).delivered();
  stop.abort();
  await reading;
  assert.deepEqual(got, ["one", "two", "three"]);
});

test("a message whose handler failed stays at the relay, one left by break too", async () => {
  const { alice, bob } = sides();
  await alice.send("precious");
  await assert.rejects(
    bob.take(() => {
      throw new Error("disk full");
    }),
    { message: "disk full" },
  );
  for await (const message of bob.messages()) {
    assert.equal(message.text(), "precious");
    break;
  }
  assert.equal(await bob.take((message) => message.text()), "precious");
  await assert.rejects(bob.receive({ deadlineMs: 50 }), { code: "timed_out" });
});

test("acknowledging an older message leaves the newer one alone", async () => {
  const { alice, bob } = sides();
  const first = await alice.send("first");
  const message = await bob.receive();
  const waiting = assert.rejects(first.delivered(), { code: "message_gone" });
  await alice.send("second");
  await waiting;
  assert.equal(await message.acknowledge(), "gone");
  assert.equal((await bob.receive()).text(), "second");
});

test("a send whose answer was lost is repeated, and received once", async () => {
  const secret = createSecret();
  let lost = 0;
  const lossy: Fetch = async (url, init) => {
    const response = await fetch(url, init);
    if (init?.method === "POST" && lost++ === 0) {
      await bob.take((message) => got.push(message.text()));
      throw new TypeError("connection reset");
    }
    return response;
  };
  const got: string[] = [];
  const alice = createRendezvous({ relay, secret, fetch: lossy, limits: quick });
  const bob = createRendezvous({ relay, secret, limits: quick });
  const sent = await alice.send("once");
  // Bob acknowledges the repetition without handing it out, and waits for what is new.
  const next = bob.receive();
  await sent.delivered();
  assert.deepEqual(got, ["once"]);
  await alice.send("new");
  assert.equal((await next).text(), "new");
});

test("a stranger's message on the channel is passed over and told", async () => {
  const { alice } = sides();
  const troubles: RendezvousTrouble[] = [];
  const secret = createSecret();
  let noticed = () => {};
  const stranger = new Promise<void>((resolve) => {
    noticed = resolve;
  });
  const bob = createRendezvous({
    relay,
    secret,
    limits: quick,
    onTrouble(trouble) {
      troubles.push(trouble);
      noticed();
    },
  });
  assert.notEqual(alice.id, bob.id);
  await createRendezvous({ relay, id: bob.id }).send("not sealed");
  const receiving = bob.receive();
  await stranger;
  await createRendezvous({ relay, secret }).send("sealed");
  assert.equal((await receiving).text(), "sealed");
  assert.equal(troubles[0]!.unreadable, true);
});

test("a relay that is down for a while is asked again, with growing pauses", async () => {
  const pauses: number[] = [];
  let failures = 4;
  const shaky: Fetch = async (url, init) => {
    if (failures-- > 0) throw new TypeError("fetch failed");
    return fetch(url, init);
  };
  const rendezvous = createRendezvous({
    relay,
    secret: createSecret(),
    fetch: shaky,
    limits: quick,
    onTrouble: ({ pauseMs }) => pauses.push(pauseMs),
  });
  await rendezvous.send("through");
  assert.equal(pauses.length, 4);
  assert.ok(pauses.every((ms) => ms >= 1 && ms <= 10));
});

test("a full relay's Retry-After is waited for", async () => {
  const clock = simClock();
  let calls = 0;
  const full: Fetch = async () =>
    calls++ === 0 ? new Response(null, { status: 503, headers: { "retry-after": "7" } }) : new Response(null);
  const rendezvous = createRendezvous({ relay, secret: createSecret(), fetch: full, clock });
  const sending = rendezvous.send("later");
  await clock.advance(6_999);
  assert.equal(calls, 1);
  await clock.advance(1_000);
  await sending;
  assert.equal(calls, 2);
});

test("what the relay will never take is not repeated", async () => {
  const { alice } = sides();
  await assert.rejects(alice.send(new Uint8Array(2048)), { code: "message_too_large" });
  const plain = createRendezvous({ relay, id: createSecret() });
  await plain.send(new Uint8Array(2048));
  let calls = 0;
  const refusing: Fetch = async () => {
    calls++;
    return new Response("no", { status: 403 });
  };
  const rendezvous = createRendezvous({ relay, id: "x", fetch: refusing });
  await assert.rejects(rendezvous.send("x"), { code: "relay_refused", details: { status: 403 } });
  await assert.rejects(rendezvous.receive(), { code: "relay_refused" });
  assert.equal(calls, 2);
});

test("a relay that gives no tag is acknowledged without one", async () => {
  const headers: (string | undefined)[] = [];
  const { alice, bob } = sides(async (url, init) => {
    if (init?.method === "DELETE") headers.push((init.headers as Record<string, string>)["if-match"]);
    const response = await fetch(url, init);
    return new Response(response.body, { status: response.status });
  });
  const sent = await alice.send("old relay");
  assert.equal(await bob.take((message) => message.text()), "old relay");
  await sent.delivered();
  assert.deepEqual(headers, [undefined]);
});

test("waiting ends at the deadline, and at once when aborted", async () => {
  const { bob } = sides();
  await assert.rejects(bob.receive({ deadlineMs: 30 }), { code: "timed_out" });
  const stop = new AbortController();
  const receiving = bob.receive({ signal: stop.signal });
  stop.abort("changed my mind");
  await assert.rejects(receiving, { code: "aborted", cause: "changed my mind" });
  await assert.rejects(bob.send("x", { signal: AbortSignal.abort() }), { code: "aborted" });
});

test("options that cannot be are refused at once, by name", () => {
  const secret = createSecret();
  for (const bad of [
    "relay.example",
    "ftp://relay.example",
    "https://u:p@relay.example",
    "https://r.example/?x",
  ])
    assert.throws(() => createRendezvous({ relay: bad, secret }), { code: "option_invalid" });
  for (const id of ["", "x".repeat(257), ".", ".."])
    assert.throws(() => createRendezvous({ relay, id }), { code: "option_invalid" });
  assert.throws(() => createRendezvous({ relay, secret: "short" }), { code: "secret_malformed" });
});
