import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  type Json,
  ohttpApi,
  padJson,
  plainApi,
  sendCapsule,
  unpadJson,
} from "#tests/support/mailbox-api.ts";
import { type InProcess, mailboxInProcess } from "#tests/support/mailbox-in-process.ts";
import { signedGuardians } from "#tests/support/signed-guardians.ts";
import { signedPurge } from "#tests/support/signed-purge.ts";
import { settle } from "#tests/support/sim-clock.ts";
import { guardianHashOf } from "./guardians.ts";

const T = "d".repeat(64);
const U = "e".repeat(64);
const day = 86_400_000;
const base64 = (text: string) => Buffer.from(text).toString("base64");
/** Opening a capsule takes other threads as long as it takes: waits for what it leads to. */
async function waits({ mailbox }: InProcess): Promise<void> {
  while (mailbox.waiters === 0) await settle();
}
const roomy = { mailboxRateLimit: 1_000_000 };

describe("time in the mailbox", () => {
  test("[17] a message is not fetched after its time, swept or not", async () => {
    const { fetch, clock, store } = await mailboxInProcess();
    const api = plainApi(fetch);
    await api.call("send", { recipient_id: T, ciphertext: base64("x") });
    await clock.advance(120 * day - 1);
    assert.equal((await api.call("fetch", { mailbox_tokens: [T] })).body.blobs.length, 1);
    await clock.advance(1000);
    assert.deepEqual((await api.call("fetch", { mailbox_tokens: [T] })).body.blobs, []);
    assert.equal(store.usage().blobs, 1);
    await store.sweep(clock.now());
    assert.equal(store.usage().blobs, 0);
  });

  test("[22] a purge that is exactly a minute off is taken, one more second is not", async () => {
    const { fetch, clock } = await mailboxInProcess();
    const at = Math.floor(clock.now() / 1000);
    for (const [offset, status] of [
      [60, 200],
      [-60, 200],
      [61, 401],
      [-61, 401],
    ]) {
      assert.equal((await plainApi(fetch).call("purge", signedPurge(T, at + offset!))).status, status);
    }
  });

  test("a purge is not taken twice by a relay that was started anew in between", async () => {
    const first = await mailboxInProcess();
    const purge = signedPurge(T, Math.floor(first.clock.now() / 1000));
    assert.equal((await plainApi(first.fetch).call("purge", purge)).status, 200);
    const second = await mailboxInProcess({ store: first.store, clock: first.clock });
    assert.equal(
      (await plainApi(second.fetch).call("purge", purge)).body.error,
      "purge token replay detected",
    );
  });

  test("[26] unknown, expired and protected codes get one and the same answer", async () => {
    const { from, clock } = await mailboxInProcess();
    const api = plainApi(from("192.0.2.1"));
    const open = (await api.call("exchange_offer", { payload: "P", expires_secs: 30 })).body.code;
    const kept = (await api.call("exchange_offer", { payload: "P", completion_secret: true })).body.code;
    await clock.advance(30_000);
    assert.equal((await api.call("exchange_complete", { code: open })).body.error, "not yet claimed");
    await clock.advance(1);
    const unknown = String((Number(open) + (Number(open) + 1 === Number(kept) ? 2 : 1)) % 1_000_000).padStart(
      6,
      "0",
    );
    const answers = [];
    for (const code of [unknown, open])
      answers.push(await api.call("exchange_claim", { code, response: "" }));
    for (const code of [unknown, open, kept]) answers.push(await api.call("exchange_complete", { code }));
    for (const { status, body, headers } of answers) {
      assert.equal(status, 400);
      assert.deepEqual(body, { status: "error", error: "invalid or expired code" });
      assert.deepEqual([...headers.keys()], [...answers[0]!.headers.keys()]);
    }
  });

  test("an exchange goes on after a restart", async () => {
    const first = await mailboxInProcess();
    const { code } = (await plainApi(first.fetch).call("exchange_offer", { payload: "P" })).body;
    const second = await mailboxInProcess({ store: first.store, clock: first.clock });
    assert.equal(
      (await plainApi(second.fetch).call("exchange_claim", { code, response: "R" })).body.payload,
      "P",
    );
    const third = await mailboxInProcess({ store: first.store, clock: first.clock });
    assert.equal((await plainApi(third.fetch).call("exchange_complete", { code })).body.response, "R");
    assert.equal(third.mailbox.openOffers, 0);
  });

  test("[54] an old client is served until the grace ends, and raising the bar starts it anew", async () => {
    const policy = { versionMin: 2, versionWarn: 3 };
    const first = await mailboxInProcess({ config: policy });
    const begin = Math.floor(first.clock.now() / 1000);
    const ask = async (fetch: typeof first.fetch) =>
      fetch("/v2/health", { headers: { "x-app-compat-version": "1" } });
    const graced = await ask(first.fetch);
    assert.equal(graced.status, 200);
    assert.equal(graced.headers.get("x-upgrade-deadline"), String(begin + 14 * 86_400));
    await first.clock.advance(13 * day);
    const restarted = await mailboxInProcess({ config: policy, store: first.store, clock: first.clock });
    await first.clock.advance(day);
    assert.equal((await ask(restarted.fetch)).status, 426);
    const raised = await mailboxInProcess({
      config: { versionMin: 4 },
      store: first.store,
      clock: first.clock,
    });
    assert.equal((await ask(raised.fetch)).status, 200);
  });

  test("[56] a warning below the bar enforces nothing", async () => {
    const { fetch, clock } = await mailboxInProcess({ config: { versionMin: 5, versionWarn: 2 } });
    await clock.advance(20 * day);
    const answer = await fetch("/v2/health");
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("x-min-version"), "0");
  });

  test("behind OHTTP an old client is told inside, and one that does not say is served", async () => {
    const { fetch } = await mailboxInProcess({ config: { versionMin: 2, versionGraceMs: 0 } });
    const api = ohttpApi(fetch);
    const told = await api.call("register", { mailbox_tokens: [], app_compat_version: 1 });
    assert.deepEqual(told.body, { error: "upgrade_required", min_version: 2 });
    assert.equal((await api.call("register", { mailbox_tokens: [] })).body.status, "ok");
  });

  test("sends and fetches are blurred by as much as the operator says", async () => {
    const config = { deliveryJitterMinMs: 50, deliveryJitterMaxMs: 500 };
    const { fetch, clock } = await mailboxInProcess({ config });
    let answered = false;
    const sending = plainApi(fetch)
      .call("send", { recipient_id: T, ciphertext: "" })
      .then(() => {
        answered = true;
      });
    await clock.advance(49);
    assert.equal(answered, false);
    await clock.advance(451);
    await sending;
  });
});

describe("a fetch that waits", () => {
  const wait = { prefer: "wait=10" };

  test("ends empty when its time is up, when the client goes and when the relay stops", async () => {
    const { fetch, clock, mailbox } = await mailboxInProcess();
    const ask = (signal?: AbortSignal) =>
      fetch("/v2/fetch", {
        method: "POST",
        headers: { "content-type": "application/json", ...wait },
        body: JSON.stringify({ mailbox_tokens: [T] }),
        ...(signal ? { signal } : {}),
      });
    const late = ask();
    await clock.advance(10_000);
    assert.deepEqual(((await (await late).json()) as Json).blobs, []);
    const gone = new AbortController();
    const leaving = ask(gone.signal);
    await settle();
    assert.equal(mailbox.waiters, 1);
    gone.abort();
    await leaving;
    assert.equal(mailbox.waiters, 0);
    const stopped = ask();
    await settle();
    mailbox.drain();
    await stopped;
    assert.equal(clock.armed, 0);
  });

  test("waits inside a capsule too, and no longer than the relay allows", async () => {
    const relay = await mailboxInProcess({ config: { fetchWaitMs: 5000 } });
    const { fetch, clock } = relay;
    const waiting = ohttpApi(fetch).call("fetch", { mailbox_tokens: [T], wait: 600 });
    await waits(relay);
    await clock.advance(5000);
    assert.deepEqual((await waiting).body.blobs, []);
  });

  test("is answered at once where all places are taken", async () => {
    const { fetch, clock } = await mailboxInProcess({ config: { maxFetchWaiters: 1 } });
    const first = plainApi(fetch).call("fetch", { mailbox_tokens: [T] }, wait);
    await settle();
    assert.deepEqual((await plainApi(fetch).call("fetch", { mailbox_tokens: [U] }, wait)).body.blobs, []);
    await clock.advance(10_000);
    await first;
  });
});

describe("a stranger", () => {
  test("does not spend the budget of readers, senders or purgers at other addresses", async () => {
    const { from, fetch, clock } = await mailboxInProcess({ config: { mailboxRateLimit: 3 } });
    const stranger = plainApi(from("198.51.100.9"));
    const statuses = [];
    for (let n = 0; n < 5; n++) statuses.push((await stranger.call("fetch", { mailbox_tokens: [T] })).status);
    assert.deepEqual(statuses, [200, 200, 200, 429, 429]);
    const owner = plainApi(from("192.0.2.1"));
    assert.equal((await owner.call("fetch", { mailbox_tokens: [T] })).status, 200);
    assert.equal((await ohttpApi(fetch).call("fetch", { mailbox_tokens: [T] })).body.status, "ok");
    assert.equal((await owner.call("send", { recipient_id: T, ciphertext: "" })).status, 200);

    const each: [string, () => Json][] = [
      ["ack", () => ({ recipient_id: T, blob_id: "x" })],
      ["purge", () => signedPurge(T, Math.floor(clock.now() / 1000))],
      ["recovery_store", () => ({ key_hash: T, proof_data: "" })],
      ["guardian_query", () => ({ guardian_hash: T })],
    ];
    for (const [action, members] of each) {
      for (let n = 0; n < 3; n++) assert.equal((await stranger.call(action, members())).status, 200, action);
      assert.equal((await stranger.call(action, members())).status, 429, action);
      assert.equal((await owner.call(action, members())).status, 200, action);
    }
  });

  test("does not keep the owner from reading and acknowledging behind OHTTP, where nobody is known", async () => {
    const { fetch } = await mailboxInProcess({ config: { mailboxRateLimit: 3 } });
    const anyone = ohttpApi(fetch);
    const sent = (await plainApi(fetch).call("send", { recipient_id: T, ciphertext: "" })).body;
    for (let n = 0; n < 10; n++) {
      assert.equal((await anyone.call("fetch", { mailbox_tokens: [T] })).body.status, "ok");
      const missed = await anyone.call("ack", { recipient_id: T, blob_id: "x" });
      assert.deepEqual([missed.body.status, missed.body.acknowledged], ["ok", false]);
    }
    const owned = await anyone.call("ack", { recipient_id: T, blob_id: sent.blob_id });
    assert.equal(owned.body.acknowledged, true);
  });

  test("is held back alone when asking too often", async () => {
    const { from } = await mailboxInProcess({ config: { mailboxClientRateLimit: 2 } });
    const health = async (source: string) => (await from(source)("/v2/health")).status;
    assert.deepEqual(
      [await health("a"), await health("a"), await health("a"), await health("b")],
      [200, 200, 429, 200],
    );
  });

  test("who guesses codes is stopped, learns nothing more, and stops nobody else", async () => {
    const { from, clock } = await mailboxInProcess({ config: roomy });
    const honest = plainApi(from("192.0.2.1"));
    const stranger = plainApi(from("198.51.100.9"));
    const { code } = (await honest.call("exchange_offer", { payload: "P" })).body;
    const wrong = (n: number) => String((Number(code) + 1 + n) % 1_000_000).padStart(6, "0");
    for (let n = 0; n < 10; n++) {
      assert.equal((await stranger.call("exchange_complete", { code: wrong(n) })).status, 400);
    }
    for (const guess of [wrong(11), code]) {
      const { status, body } = await stranger.call("exchange_claim", { code: guess, response: "stolen" });
      assert.deepEqual([status, body.error], [429, "rate limit exceeded"]);
    }
    for (let n = 0; n < 30; n++) {
      assert.equal((await honest.call("exchange_complete", { code })).body.error, "not yet claimed");
    }
    assert.equal((await honest.call("exchange_claim", { code, response: "R" })).body.payload, "P");
    await clock.advance(60_000);
    assert.equal((await stranger.call("exchange_complete", { code: wrong(12) })).status, 400);
  });

  test("with many addresses has no more guesses than all strangers together", async () => {
    const { from } = await mailboxInProcess({ config: { ...roomy, ohttpExchangeRateLimit: 20 } });
    const { code } = (await plainApi(from("192.0.2.1")).call("exchange_offer", { payload: "P" })).body;
    const statuses = [];
    for (let n = 1; n <= 25; n++) {
      const guess = String((Number(code) + n) % 1_000_000).padStart(6, "0");
      statuses.push(
        (await plainApi(from(`198.51.100.${n}`)).call("exchange_complete", { code: guess })).status,
      );
    }
    assert.deepEqual(statuses, [...Array(20).fill(400), ...Array(5).fill(429)]);
  });

  test("who hoards long offers leaves room for ordinary ones", async () => {
    const { fetch } = await mailboxInProcess({ config: { ...roomy, exchangeMaxOffers: 4 } });
    const api = plainApi(fetch);
    const offer = async (expires_secs?: number) =>
      (await api.call("exchange_offer", { payload: "", expires_secs })).status;
    assert.deepEqual([await offer(3600), await offer(3600), await offer(3600)], [200, 200, 400]);
    assert.deepEqual([await offer(), await offer(300), await offer()], [200, 200, 400]);
  });

  test("cannot purge a mailbox whose name is neither key nor token, where that is wanted", async () => {
    const { fetch, clock } = await mailboxInProcess({ config: { purgeBinding: "strict" } });
    const api = plainApi(fetch);
    const at = Math.floor(clock.now() / 1000);
    assert.equal((await api.call("purge", signedPurge(T, at))).body.error, "invalid purge signature");
    const own = signedPurge("", at);
    assert.equal((await api.call("purge", { ...own, recipient_id: own.public_key })).status, 200);
    const byToken = signedPurge("ab".repeat(32), at, { token: 0xab });
    assert.equal((await api.call("purge", byToken)).status, 200);
  });

  test("cannot replace a recovery proof, where that is wanted", async () => {
    const { fetch } = await mailboxInProcess({ config: { recoveryOverwrite: false } });
    const api = plainApi(fetch);
    const store = (text: string) => api.call("recovery_store", { key_hash: T, proof_data: base64(text) });
    assert.equal((await store("first")).status, 200);
    assert.equal((await store("second")).status, 400);
    assert.equal((await store("first")).status, 200);
    const { proofs } = (await api.call("recovery_query", { key_hashes: [T] })).body;
    assert.equal(proofs[0].proof_data, base64("first"));
  });

  test("does not spend other people's queries through OHTTP", async () => {
    const { fetch } = await mailboxInProcess();
    const api = ohttpApi(fetch);
    const query = async (hash: string) =>
      (await api.call("recovery_query", { key_hashes: [hash] })).body.status;
    for (let n = 0; n < 10; n++) assert.equal(await query(T), "ok");
    assert.equal(await query(T), "error");
    assert.equal(await query(U), "ok");
  });
});

describe("the vectors of the mailbox protocol", () => {
  test("the signed purge is taken", async () => {
    const { fetch, clock } = await mailboxInProcess();
    await clock.advance(1_767_225_600_000 - clock.now());
    const purge = signedPurge(T, 1_767_225_600, { seed: 0, token: 0xab });
    assert.equal(purge.public_key, "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29");
    assert.equal(
      purge.signature,
      "a28ecf80b9383030c853e2443d8854fad5e49494186b985c3e20639dc933f6d266366c2359a9cbaeeddbfeb5c313acb313db238c0ad34882dd38d4c636e73c0b",
    );
    assert.equal((await plainApi(fetch).call("purge", purge)).status, 200);
  });

  test("a key's guardian set has the name that it should", () => {
    const key = Buffer.from("3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29", "hex");
    assert.equal(guardianHashOf(key), "869f0ae888e1789296bf46c9ab0fc3999f69a9b47651abd732eda5a180f2a813");
  });
});

describe("what OHTTP keeps", () => {
  const register = padJson({ version: 2, action: "register", mailbox_tokens: [] });
  const keyOf = async (fetch: (path: string) => Promise<Response>) =>
    new Uint8Array(await (await fetch("/v2/ohttp-key")).arrayBuffer());

  test("[48] a key opens for one window more, then it is gone", async () => {
    const { fetch, clock, seeds } = await mailboxInProcess();
    const key = await keyOf(fetch);
    await clock.advance(day);
    assert.notDeepEqual(await keyOf(fetch), key);
    assert.equal((await sendCapsule(fetch, register, key)).outer.status, 200);
    await clock.advance(day);
    const { outer } = await sendCapsule(fetch, register, key);
    assert.equal(outer.status, 400);
    assert.deepEqual(await outer.json(), {
      status: "error",
      error: "failed to decapsulate request",
      type: "https://iana.org/assignments/http-problem-types#ohttp-key",
    });
    assert.equal(seeds.windows().length, 3);
  });

  test("[49] a restart changes no key", async () => {
    const first = await mailboxInProcess();
    const key = await keyOf(first.fetch);
    const second = await mailboxInProcess({ clock: first.clock, seeds: first.seeds, seed: 9 });
    assert.deepEqual(await keyOf(second.fetch), key);
    assert.equal((await sendCapsule(second.fetch, register, key)).outer.status, 200);
  });

  test("an answer on its way survives a rotation", async () => {
    const relay = await mailboxInProcess();
    const { fetch, clock } = relay;
    const waiting = ohttpApi(fetch).call("fetch", { mailbox_tokens: [T], wait: 20 });
    await waits(relay);
    await clock.advance(2 * day);
    assert.equal((await waiting).body.status, "ok");
  });

  test("the replay memory forgets the oldest first", async () => {
    const { fetch, gateway } = await mailboxInProcess({ replayMemory: 1 });
    const capsules = [];
    for (let n = 0; n < 3; n++) capsules.push((await sendCapsule(fetch, register)).capsule);
    assert.equal((await gateway.open(capsules[2]!)).kind, "refused");
    assert.equal((await gateway.open(capsules[0]!)).kind, "opened");
  });

  test("more than are opened at once are told to come again", async () => {
    const { fetch } = await mailboxInProcess();
    const key = await keyOf(fetch);
    const all = await Promise.all(Array.from({ length: 40 }, () => sendCapsule(fetch, register, key)));
    const statuses = new Set(all.map(({ outer }) => outer.status));
    assert.ok(statuses.has(200) && statuses.has(429));
  });
});

describe("any JSON whatsoever", () => {
  const names = [
    "recipient_id",
    "ciphertext",
    "mailbox_tokens",
    "blob_id",
    "code",
    "response",
    "payload",
    "key_hashes",
    "timestamp",
    "public_key",
    "signature",
    "purge_token",
    "expires_secs",
    "entries",
    "guardian_hash",
    "escrow_action",
    "gate_hash",
    "slot_hash",
    "key_hash",
    "proof_data",
    "after",
    "wait",
    "code_digits",
  ];
  const value = fc.oneof(fc.jsonValue(), fc.constantFrom(T, "123456", "Put", [T], -1, 2 ** 53, "YQ=="));
  const members = fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 6 });

  test("is answered with success or a refusal by every action, plain and sealed alike", async () => {
    const { fetch, mailbox } = await mailboxInProcess({
      config: { ...roomy, ohttpExchangeRateLimit: 1_000_000, fetchWaitMs: 0 },
    });
    const signal = new AbortController().signal;
    const { parseInner, performInner } = await import("./oblivious.ts");
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...mailbox.actions, "escrow"), members, async (action, of) => {
        const direct = await plainApi(fetch).call(action, of as Json);
        assert.ok([200, 400, 401, 404, 413, 429].includes(direct.status!), `${direct.status}`);
        const inner = parseInner(new TextEncoder().encode(JSON.stringify({ ...of, version: 2, action })));
        const { body } = await performInner(inner, mailbox, signal);
        assert.ok("status" in body);
      }),
      { numRuns: 400 },
    );
  });

  test("bytes that are no JSON are refused, inside and outside", async () => {
    const { fetch } = await mailboxInProcess({ config: roomy });
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 80 }), async (body) => {
        const headers = { "content-type": "application/json" };
        const answer = await fetch("/v2/send", { method: "POST", headers, body: body.slice() });
        assert.equal(answer.status, 400);
        const { outer } = await sendCapsule(fetch, body);
        assert.equal(outer.status, 400);
      }),
      { numRuns: 60 },
    );
  });
});

test("a send with a name is done once within ten minutes, for the same mailbox and bytes", async () => {
  const { fetch, clock } = await mailboxInProcess();
  const name = "ab".repeat(32);
  const named = (idempotency_key: string, ciphertext = "aGk=") => ({
    recipient_id: name,
    ciphertext,
    idempotency_key,
  });
  const plain = plainApi(fetch);
  const idOf = async (call: Promise<{ body: { blob_id: string } }>) => (await call).body.blob_id;
  const first = await idOf(plain.call("send", named("k")));
  assert.equal(await idOf(ohttpApi(fetch).call("send", named("k"))), first);
  const { idempotency_key: _, ...unnamed } = named("");
  assert.equal(await idOf(plain.call("send", unnamed, { "idempotency-key": "k" })), first);
  const twice = [plain.call("send", named("both")), plain.call("send", named("both"))];
  assert.equal(await idOf(twice[0]!), await idOf(twice[1]!));
  const others = [named("other"), named("k", "eW8="), unnamed, unnamed];
  const ids = new Set([first, await idOf(twice[0]!)]);
  for (const other of others) ids.add(await idOf(plain.call("send", other)));
  assert.equal(ids.size, 6);
  assert.equal((await plain.call("fetch", { mailbox_tokens: [name] })).body.blobs.length, 6);
  assert.equal((await plain.call("send", named("x".repeat(256)))).status, 400);
  await clock.advance(600_000);
  assert.notEqual(await idOf(plain.call("send", named("k"))), first);
});

test("guardian sets are changed by the owner of the key alone, and each change once", async () => {
  const { fetch, clock } = await mailboxInProcess();
  const api = plainApi(fetch);
  const timestamp = Math.floor(clock.now() / 1000);
  const signed = (domain: "guardian-store" | "guardian-delete", at = timestamp) =>
    signedGuardians(domain, at);
  const { guardian_hash } = signed("guardian-store");
  const entries = [{ data: base64("one") }, { data: base64("two") }];
  const store = { ...signed("guardian-store"), entries };
  assert.deepEqual((await api.call("guardian_store", store)).body, { status: "ok" });
  assert.equal((await api.call("guardian_store", store)).status, 401);
  assert.equal((await api.call("guardian_store", { guardian_hash, entries })).status, 400);
  assert.equal((await api.call("guardian_delete", signed("guardian-store", timestamp + 1))).status, 401);
  assert.deepEqual((await api.call("guardian_query", { guardian_hash })).body.guardians, entries);
  assert.deepEqual((await api.call("guardian_delete", signed("guardian-delete"))).body, {
    status: "ok",
    deleted: true,
  });
  assert.deepEqual((await api.call("guardian_query", { guardian_hash })).body.guardians, []);
});

test("a capsule's answer shows nothing of a failure outside", async () => {
  const { fetch } = await mailboxInProcess();
  const { outer, padded } = await sendCapsule(
    fetch,
    padJson({ version: 2, action: "purge", ...signedPurge(T, 0) }),
  );
  assert.equal(outer.status, 200);
  assert.match(String(unpadJson(padded!).error), /timestamp/);
});
