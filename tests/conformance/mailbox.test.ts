import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import {
  type Fetch,
  type Json,
  type MailboxApi,
  ohttpApi,
  padBytes,
  padJson,
  plainApi,
  sendCapsule,
  unpadJson,
} from "#tests/support/mailbox-api.ts";
import { type Postern, startPostern } from "#tests/support/postern.ts";
import { signedPurge } from "#tests/support/signed-purge.ts";

// The cases of the mailbox protocol that a black box can be asked without waiting; those about time run on a simulated
// clock in modes/mailbox/. Numbers in brackets are the cases'.

let mailboxes = 0;
/** A mailbox that no other case uses. */
const fresh = () => createHash("sha256").update(`mailbox ${mailboxes++}`).digest("hex");
const base64 = (of: string | number) =>
  Buffer.from(typeof of === "string" ? of : Buffer.alloc(of, 1)).toString("base64");
const nowSeconds = () => Math.floor(Date.now() / 1000);

/** A relay of its own for cases about limits; shared ones for the rest. */
function relay(name: string, args: readonly string[], body: (at: () => Fetch) => void): void {
  describe(name, () => {
    let postern: Postern;
    before(async () => {
      postern = await startPostern(args);
    });
    after(async () => {
      await postern[Symbol.asyncDispose]();
    });
    body(() => (path, init) => fetch(postern.url + path, init));
  });
}

/** The case over plain HTTP and inside capsules. */
function bothWays(name: string, at: () => Fetch, body: (api: MailboxApi) => Promise<void>): void {
  for (const make of [plainApi, ohttpApi]) {
    test(`${name} (${make === plainApi ? "plain" : "OHTTP"})`, () =>
      body(make((path, init) => at()(path, init))));
  }
}

function refused(called: { status: number | undefined; body: Json }, status: number, words: string): void {
  if (called.status !== undefined) assert.equal(called.status, status);
  assert.equal(called.body.status, "error");
  assert.ok(String(called.body.error).includes(words), `${called.body.error} names ${words}`);
}

const fast = ["--mailbox-rate-limit", "1000000", "--ohttp-exchange-rate-limit", "1000000"];

relay("mailbox", [...fast, "--recovery-rate-limit", "1000000"], (at) => {
  const plain = plainApi((path, init) => at()(path, init));

  bothWays("[1] what is sent is fetched, byte for byte", at, async (api) => {
    const mailbox = fresh();
    const sent = await api.call("send", {
      recipient_id: mailbox,
      ciphertext: base64("test-data"),
      version: 2,
    });
    assert.equal(sent.body.status, "ok");
    assert.match(sent.body.blob_id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const { body } = await api.call("fetch", { mailbox_tokens: [mailbox] });
    assert.equal(body.blobs[0].ciphertext, base64("test-data"));
    assert.equal(body.blobs[0].mailbox_token, mailbox);
  });

  bothWays("[2] a recipient that is no mailbox is refused", at, async (api) => {
    for (const id of ["too-short", "z".repeat(64), "a".repeat(65), ""]) {
      refused(
        await api.call("send", { recipient_id: id, ciphertext: "" }),
        400,
        "recipient_id must be 64 hex",
      );
    }
  });

  bothWays("[3] a ciphertext that is not base64 is refused", at, async (api) => {
    for (const ciphertext of ["not-base64!", "YQ", "YQ=", "YR==", "Y Q=", "YQ==\n", "_-8="]) {
      const called = await api.call("send", { recipient_id: fresh(), ciphertext });
      refused(called, 400, "ciphertext must be valid base64");
    }
  });

  test("[4] an empty ciphertext is a message", async () => {
    const mailbox = fresh();
    assert.equal((await plain.call("send", { recipient_id: mailbox, ciphertext: "" })).status, 200);
    assert.equal((await plain.call("fetch", { mailbox_tokens: [mailbox] })).body.blobs[0].ciphertext, "");
  });

  bothWays("[5] fetching removes nothing and is oldest first", at, async (api) => {
    const mailbox = fresh();
    for (const text of ["one", "two"])
      await api.call("send", { recipient_id: mailbox, ciphertext: base64(text) });
    for (let round = 0; round < 2; round++) {
      const { body } = await api.call("fetch", { mailbox_tokens: [mailbox, mailbox, "not hex"] });
      assert.deepEqual(
        body.blobs.map((blob: Json) => blob.ciphertext),
        [base64("one"), base64("two")],
      );
      assert.ok(body.blobs.every((blob: Json) => Number.isInteger(blob.created_at) && blob.blob_id));
      assert.equal(body.truncated, false);
    }
  });

  test("[6] one to a hundred mailboxes are fetched at once", async () => {
    const many = Array.from({ length: 101 }, fresh);
    refused(await plain.call("fetch", { mailbox_tokens: [] }), 400, "must contain 1-100 entries");
    refused(await plain.call("fetch", { mailbox_tokens: many }), 400, "must contain 1-100 entries");
    assert.equal((await plain.call("fetch", { mailbox_tokens: many.slice(1) })).status, 200);
  });

  bothWays("[7] a message is acknowledged once", at, async (api) => {
    const mailbox = fresh();
    const { body } = await api.call("send", { recipient_id: mailbox, ciphertext: base64("x") });
    const ack = { recipient_id: mailbox, blob_id: body.blob_id };
    assert.deepEqual((await api.call("ack", ack)).body, { status: "ok", acknowledged: true });
    assert.deepEqual((await api.call("ack", ack)).body, { status: "ok", acknowledged: false });
    assert.deepEqual((await api.call("fetch", { mailbox_tokens: [mailbox] })).body.blobs, []);
  });

  test("[8] an acknowledgement for another mailbox removes nothing", async () => {
    const mailbox = fresh();
    const { body } = await plain.call("send", { recipient_id: mailbox, ciphertext: base64("x") });
    const other = await plain.call("ack", { recipient_id: fresh(), blob_id: body.blob_id });
    assert.deepEqual([other.status, other.body.acknowledged], [200, false]);
    assert.equal((await plain.call("fetch", { mailbox_tokens: [mailbox] })).body.blobs.length, 1);
  });

  test("[13] a success says nothing of retrying, and every answer has the security headers", async () => {
    const { headers } = await plain.call("send", { recipient_id: fresh(), ciphertext: "" });
    assert.equal(headers.get("retry-after") ?? "", "");
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    assert.equal(headers.get("cache-control"), "no-store");
    assert.equal(headers.get("cross-origin-resource-policy"), "same-origin");
  });

  test("[14] registering counts, and checks what it counts", async () => {
    const { body } = await plain.call("register", { mailbox_tokens: [fresh(), fresh()] });
    assert.deepEqual(body, { status: "ok", accepted: 2, registered: 2 });
    const wrong = await plain.call("register", { mailbox_tokens: [fresh(), "x"] });
    refused(wrong, 400, "mailbox_tokens[1] must be 64 hex characters");
    const many = { mailbox_tokens: Array.from({ length: 1901 }, () => "a".repeat(64)) };
    refused(await plain.call("register", many), 400, "too many mailbox_tokens: 1901 (max 1900)");
  });

  test("[15] a long page ends just below 96 KiB, and its cursor leads on", async () => {
    const mailbox = fresh();
    const send = () => plain.call("send", { recipient_id: mailbox, ciphertext: base64(1) });
    for (let n = 0; n < 600; n += 20) await Promise.all(Array.from({ length: 20 }, send));
    const first = (await plain.call("fetch", { mailbox_tokens: [mailbox] })).body;
    assert.equal(first.truncated, true);
    const size = JSON.stringify(first.blobs).length;
    assert.ok(size > 0.9 * 98_304 && size <= 98_304, `${size} bytes`);
    const second = (await plain.call("fetch", { mailbox_tokens: [mailbox], after: first.cursor })).body;
    assert.equal(second.truncated, false);
    const ids = [...first.blobs, ...second.blobs].map((blob: Json) => blob.blob_id);
    assert.equal(new Set(ids).size, 600);
  });

  bothWays("[16] large messages come one at a time", at, async (api) => {
    const mailbox = fresh();
    for (let n = 0; n < 3; n++) {
      await plain.call("send", { recipient_id: mailbox, ciphertext: base64(40 * 1024) });
    }
    const { body } = await api.call("fetch", { mailbox_tokens: [mailbox] });
    assert.deepEqual([body.blobs.length, body.truncated], [1, true]);
  });

  test("a message too large for OHTTP is named there, blocks nothing, and comes directly", async () => {
    const ohttp = ohttpApi(at());
    const mailbox = fresh();
    const large = await plain.call("send", { recipient_id: mailbox, ciphertext: base64(500_000) });
    assert.equal(large.status, 200);
    await plain.call("send", { recipient_id: mailbox, ciphertext: base64("small") });
    const { body } = await ohttp.call("fetch", { mailbox_tokens: [mailbox] });
    assert.deepEqual(
      body.blobs.map((blob: Json) => blob.ciphertext),
      [base64("small")],
    );
    assert.equal(body.oversized[0].blob_id, large.body.blob_id);
    assert.equal(body.oversized[0].size, 500_000);
    const direct = (await plain.call("fetch", { mailbox_tokens: [mailbox] })).body;
    assert.equal(direct.blobs[0].ciphertext.length, base64(500_000).length);
  });

  test("upper and lower case name one mailbox, and the caller's spelling comes back", async () => {
    const mailbox = fresh();
    await plain.call("send", { recipient_id: mailbox.toUpperCase(), ciphertext: base64("x") });
    const { body } = await plain.call("fetch", { mailbox_tokens: [mailbox.toUpperCase()] });
    assert.equal(body.blobs[0].mailbox_token, mailbox.toUpperCase());
    assert.equal((await plain.call("fetch", { mailbox_tokens: [mailbox] })).body.blobs.length, 1);
  });

  test("a fetch that may wait is woken by a message, and without asking nothing waits", async () => {
    const mailbox = fresh();
    const waiting = plain.call("fetch", { mailbox_tokens: [fresh(), mailbox] }, { prefer: "wait=20" });
    const begin = performance.now();
    assert.deepEqual((await plain.call("fetch", { mailbox_tokens: [mailbox] })).body.blobs, []);
    await plain.call("send", { recipient_id: mailbox, ciphertext: base64("woken") });
    const { body, headers } = await waiting;
    assert.equal(body.blobs[0].ciphertext, base64("woken"));
    assert.equal(headers.get("preference-applied"), "wait=20");
    assert.ok(performance.now() - begin < 10_000);
  });

  bothWays("[18] a signed purge empties the mailbox", at, async (api) => {
    const mailbox = fresh();
    for (const text of ["one", "two"])
      await api.call("send", { recipient_id: mailbox, ciphertext: base64(text) });
    const { body } = await api.call("purge", signedPurge(mailbox, nowSeconds()));
    assert.deepEqual(body, { status: "ok", blobs_deleted: 2 });
    assert.deepEqual((await api.call("fetch", { mailbox_tokens: [mailbox] })).body.blobs, []);
  });

  test("[19] the same purge again is refused as a replay", async () => {
    const purge = signedPurge(fresh(), nowSeconds());
    assert.equal((await plain.call("purge", purge)).status, 200);
    refused(await plain.call("purge", purge), 401, "purge token replay detected");
  });

  test("[20, 21] a purge with a bad signature, time, or hex is refused and removes nothing", async () => {
    const mailbox = fresh();
    await plain.call("send", { recipient_id: mailbox, ciphertext: base64("x") });
    const purge = signedPurge(mailbox, nowSeconds());
    refused(
      await plain.call("purge", { ...purge, signature: "ff".repeat(64) }),
      401,
      "invalid purge signature",
    );
    refused(await plain.call("purge", signedPurge(mailbox, nowSeconds() - 300)), 401, "timestamp");
    refused(await plain.call("purge", { ...purge, public_key: "zz" }), 401, "invalid public_key hex");
    // Hexadecimal is told before lengths, whichever member it is.
    const twice = { ...purge, public_key: "00", purge_token: "zz" };
    refused(await plain.call("purge", twice), 401, "invalid purge_token hex");
    refused(
      await plain.call("purge", { ...purge, signature: "00" }),
      401,
      "signature must be 64 bytes, got 1",
    );
    refused(
      await plain.call("purge", { ...purge, purge_token: "00ff" }),
      401,
      "purge_token must be 32 bytes, got 2",
    );
    assert.equal((await plain.call("fetch", { mailbox_tokens: [mailbox] })).body.blobs.length, 1);
  });

  bothWays("[24] an exchange goes from offer to claim to complete", at, async (api) => {
    const { code } = (await api.call("exchange_offer", { payload: "P", expires_secs: null })).body;
    assert.match(code, /^\d{6}$/);
    assert.deepEqual((await api.call("exchange_claim", { code, response: "R" })).body, {
      status: "ok",
      payload: "P",
    });
    assert.deepEqual((await api.call("exchange_complete", { code })).body, { status: "ok", response: "R" });
  });

  test("[25] each step of an exchange happens once, and in its order", async () => {
    const { code } = (await plain.call("exchange_offer", { payload: "P" })).body;
    refused(await plain.call("exchange_complete", { code }), 400, "not yet claimed");
    assert.equal((await plain.call("exchange_claim", { code, response: "R" })).status, 200);
    refused(await plain.call("exchange_claim", { code, response: "S" }), 400, "already claimed");
    assert.equal((await plain.call("exchange_complete", { code })).body.response, "R");
    refused(await plain.call("exchange_complete", { code }), 400, "invalid or expired code");
  });

  bothWays("[27] a code is six ASCII digits", at, async (api) => {
    const codes = [
      "",
      "12345",
      "1234567",
      "abcdef",
      "12-345",
      " 12345",
      "12345\n",
      "１２３４５６",
      "12345\0",
    ];
    for (const code of codes) {
      refused(await api.call("exchange_claim", { code, response: "" }), 400, "6 digits");
      refused(await api.call("exchange_complete", { code }), 400, "6 digits");
    }
  });

  test("[28] an offer lives from 30 seconds to an hour", async () => {
    for (const expires_secs of [29, 0, 3601, 2 ** 64]) {
      refused(await plain.call("exchange_offer", { payload: "", expires_secs }), 400, "TTL must be between");
    }
    for (const expires_secs of [30, 3600]) {
      assert.equal((await plain.call("exchange_offer", { payload: "", expires_secs })).status, 200);
    }
  });

  test("[29, 30] payloads and responses are texts of up to 65,536 bytes", async () => {
    for (const payload of ["x".repeat(65_536), "", "a\0b 🦊"]) {
      const { status, body } = await plain.call("exchange_offer", { payload });
      assert.equal(status, 200);
      assert.equal(
        (await plain.call("exchange_claim", { code: body.code, response: "" })).body.payload,
        payload,
      );
    }
    refused(await plain.call("exchange_offer", { payload: "é".repeat(32_769) }), 400, "payload too large");
    const { code } = (await plain.call("exchange_offer", { payload: "P" })).body;
    const response = "x".repeat(65_537);
    refused(await plain.call("exchange_claim", { code, response }), 400, "payload too large");
    assert.equal((await plain.call("exchange_claim", { code, response: "" })).status, 200);
  });

  test("[31] a body over 128 KiB is too large", async () => {
    const body = JSON.stringify({ payload: "x".repeat(200 * 1024) });
    const headers = { "content-type": "application/json" };
    const answer = await at()("/v2/exchange/offer", { method: "POST", headers, body });
    assert.equal(answer.status, 413);
    assert.match(((await answer.json()) as { error: string }).error, /^invalid request: /);
  });

  test("[34] members that are missing or mistyped, and bodies that are no objects, are refused", async () => {
    const post = async (body: string, type = "application/json") =>
      at()("/v2/exchange/claim", { method: "POST", headers: { "content-type": type }, body });
    for (const body of [
      "{}",
      '{"code":"123456"}',
      '{"response":""}',
      "not json",
      "",
      "[]",
      '{"code":1,"response":""}',
    ]) {
      const answer = await post(body);
      assert.equal(answer.status, 400, body);
      assert.match(((await answer.json()) as { error: string }).error, /^invalid request: /);
    }
    assert.equal((await post("{}", "text/plain")).status, 415);
    assert.equal((await at()("/v2/exchange/offer")).status, 405);
  });

  test("text is kept letter by letter, and what is not Unicode is refused", async () => {
    const payload = "\0 \u{1f511} é \ufeff";
    const offered = await plain.call("exchange_offer", { payload });
    const claimed = await plain.call("exchange_claim", { code: offered.body.code, response: payload });
    assert.equal(claimed.body.payload, payload);
    const headers = { "content-type": "application/json" };
    for (const body of [Buffer.from('{"payload":"\xff"}', "latin1"), '{"payload":"\\ud83d"}']) {
      const answer = await at()("/v2/exchange/offer", { method: "POST", headers, body });
      assert.equal(answer.status, 400, String(body));
      assert.match(await answer.text(), /"error":"invalid request: /);
    }
    const inner = '{"version":2,"action":"exchange_offer","payload":"\xff"}';
    const { outer } = await sendCapsule(
      (path, init) => at()(path, init),
      padBytes(Buffer.from(inner, "latin1")),
    );
    assert.equal(outer.status, 400);
    assert.match(await outer.text(), /invalid inner request JSON/);
  });

  test("a longer code and a secret make an exchange that nobody guesses, and complete may be repeated", async () => {
    const offered = await plain.call("exchange_offer", {
      payload: "P",
      code_digits: 10,
      completion_secret: true,
    });
    const { code, completion_secret } = offered.body;
    assert.match(code, /^\d{10}$/);
    await plain.call("exchange_claim", { code, response: "R" });
    refused(await plain.call("exchange_complete", { code }), 400, "invalid or expired code");
    for (let n = 0; n < 2; n++) {
      assert.equal((await plain.call("exchange_complete", { code, completion_secret })).body.response, "R");
    }
  });

  test("the action's name is a path too", async () => {
    const headers = { "content-type": "application/json" };
    const answer = await at()("/v2/exchange_offer", { method: "POST", headers, body: '{"payload":""}' });
    assert.equal(answer.status, 200);
  });

  bothWays("[36] a recovery proof is kept for 90 days", at, async (api) => {
    const key_hash = fresh();
    assert.deepEqual((await api.call("recovery_store", { key_hash, proof_data: base64("proof") })).body, {
      status: "ok",
    });
    const { proofs } = (await api.call("recovery_query", { key_hashes: [key_hash.toUpperCase(), key_hash] }))
      .body;
    assert.equal(proofs.length, 1);
    assert.equal(proofs[0].key_hash, key_hash);
    assert.equal(proofs[0].proof_data, base64("proof"));
    assert.equal(proofs[0].expires_at - proofs[0].created_at, 7_776_000);
  });

  test("[37, 38] a query finds what is there, the newest proof of each hash", async () => {
    const [a, b, unknown] = [fresh(), fresh(), fresh()];
    assert.deepEqual((await plain.call("recovery_query", { key_hashes: [unknown] })).body.proofs, []);
    for (const [key_hash, proof] of [
      [a, "1"],
      [a, "2"],
      [b, "3"],
    ]) {
      await plain.call("recovery_store", { key_hash, proof_data: base64(proof!) });
    }
    const { proofs } = (await plain.call("recovery_query", { key_hashes: [a, unknown, b] })).body;
    assert.deepEqual(proofs.map((proof: Json) => proof.proof_data).sort(), [base64("2"), base64("3")].sort());
  });

  test("[39] a bad hash, a large proof and too many hashes are refused", async () => {
    refused(
      await plain.call("recovery_store", { key_hash: "abcd", proof_data: "" }),
      400,
      "key_hash must be 64 hex",
    );
    refused(
      await plain.call("recovery_store", { key_hash: fresh(), proof_data: "!" }),
      400,
      "invalid base64",
    );
    refused(
      await plain.call("recovery_store", { key_hash: fresh(), proof_data: base64(4097) }),
      400,
      "4096 byte limit",
    );
    const key_hashes = Array.from({ length: 51 }, fresh);
    refused(await plain.call("recovery_query", { key_hashes }), 400, "too many key_hashes (max 50)");
  });

  test("[42] the key is one bare configuration, and its fingerprint is its hash", async () => {
    const answer = await at()("/v2/ohttp-key");
    const key = Buffer.from(await answer.arrayBuffer());
    assert.equal(answer.headers.get("content-type"), "application/ohttp-keys");
    assert.equal(key.length, 41);
    assert.equal(key.subarray(35).toString("hex"), "000400010003");
    assert.equal(answer.headers.get("key-fingerprint"), createHash("sha256").update(key).digest("hex"));
  });

  test("[43] what is no capsule is refused", async () => {
    for (const body of ["garbage".repeat(20), "", "x"]) {
      const answer = await at()("/v2/ohttp", { method: "POST", body });
      assert.equal(answer.status, 400);
      assert.equal(((await answer.json()) as Json).error, "failed to decapsulate request");
    }
  });

  test("[44–46] what is wrong inside a capsule is told where it may be told", async () => {
    const outer = async (inner: Uint8Array) => (await sendCapsule(at(), inner)).outer;
    const missing = await outer(padJson({ action: "fetch" }));
    assert.equal(missing.status, 400);
    assert.match(((await missing.json()) as { error: string }).error, /^invalid inner request JSON/);
    const unpadded = await outer(new Uint8Array([0xff, 0, 0, 0, 1]));
    assert.equal(((await unpadded.json()) as Json).error, "invalid padding in OHTTP request");
    const told = async (inner: Json) => unpadJson((await sendCapsule(at(), padJson(inner))).padded!);
    assert.match(
      String((await told({ version: 1, action: "fetch" })).error),
      /unsupported protocol version: 1/,
    );
    assert.match(String((await told({ version: 2, action: "nonsense" })).error), /^unknown action: nonsense/);
    assert.match(String((await told({ version: 2, action: "send" })).error), /^bad send payload: /);
  });

  test("[47] every sealed answer has the size of a bucket, a fetch that of a rung", async () => {
    const mailbox = fresh();
    const sizeOf = async (inner: Json) =>
      (await sendCapsule(at(), padJson({ version: 2, ...inner }))).padded!.byteLength;
    assert.equal(await sizeOf({ action: "nonsense" }), 256);
    for (const [bytes, size] of [
      [0, 4096],
      [9000, 32_768],
      [30_000, 98_304],
    ]) {
      await plain.call("send", { recipient_id: mailbox, ciphertext: base64(bytes!) });
      assert.equal(await sizeOf({ action: "fetch", mailbox_tokens: [mailbox] }), size);
    }
  });

  test("a capsule is served once", async () => {
    const mailbox = fresh();
    const send = padJson({ version: 2, action: "send", recipient_id: mailbox, ciphertext: base64("once") });
    const { capsule } = await sendCapsule(at(), send);
    const again = await at()("/v2/ohttp", { method: "POST", body: capsule.slice() });
    assert.equal(again.status, 400);
    assert.equal((await plain.call("fetch", { mailbox_tokens: [mailbox] })).body.blobs.length, 1);
  });

  test("[51] escrow gives each of two the other's blob", async () => {
    const ohttp = ohttpApi(at());
    const gate_hash = fresh();
    const put = (slot_hash: string, blob: string) =>
      ohttp.call("escrow", { escrow_action: "Put", gate_hash, slot_hash, blob, ttl_seconds: 600 });
    const get = (slot_hash: string) => ohttp.call("escrow", { escrow_action: "Get", gate_hash, slot_hash });
    const [mine, theirs] = [fresh(), fresh()];
    assert.deepEqual((await get(mine)).body, { status: "NotFound" });
    assert.deepEqual((await put(mine, "bWluZQ==")).body, { status: "Stored" });
    assert.deepEqual((await put(mine, "bWluZQ==")).body, { status: "AlreadyExists" });
    assert.deepEqual((await get(mine)).body, { status: "NotReady", count: 1 });
    assert.deepEqual((await ohttp.call("escrow", { escrow_action: "Count", gate_hash })).body, {
      status: "Count",
      count: 1,
    });
    assert.deepEqual((await put(theirs, "dGhlaXJz")).body, { status: "Stored" });
    assert.deepEqual((await get(mine)).body, { status: "Blob", blob: "dGhlaXJz" });
    assert.deepEqual((await get(theirs)).body, { status: "Blob", blob: "bWluZQ==" });
    assert.deepEqual((await put(fresh(), "eA==")).body, { status: "GateFull" });
    refused(await put("x", "eA=="), 200, "slot_hash must be 64 hex characters");
    assert.equal((await plain.call("escrow", {})).status, 404);
  });

  test("[55] without a policy everybody is served, and the headers say so", async () => {
    const answer = await at()("/v2/health");
    assert.deepEqual(await answer.json(), { status: "ok" });
    for (const { headers } of [answer, await at()("/v2/nothing"), await at()("/v2/send")]) {
      assert.equal(headers.get("x-min-version"), "0");
      assert.equal(headers.get("x-warn-version"), "0");
    }
  });

  test("[73] the probes say that it is up, and nothing else", async () => {
    for (const path of ["/health", "/up", "/ready"]) {
      const answer = await at()(path);
      assert.equal(answer.status, 200);
      assert.deepEqual(await answer.json(), { status: "healthy" });
    }
    const unknown = await at()("/v2/unknown");
    assert.equal(unknown.status, 404);
    assert.deepEqual(await unknown.json(), {
      error: "Not found. Use /health for status or /v2/ for the API.",
    });
  });

  test("[74] a WebSocket is refused where the API is", async () => {
    const { hostname, port } = new URL((await at()("/health")).url);
    for (const path of ["/", "/v2/", "/federation/../v2"]) {
      const status = await new Promise<string>((resolve, reject) => {
        const socket = connect(Number(port), hostname, () => {
          socket.write(
            `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n`,
          );
        });
        socket.once("data", (data) => {
          resolve(data.toString("latin1").slice(9, 12));
          socket.destroy();
        });
        socket.once("error", reject);
      });
      assert.equal(status, "426", path);
    }
  });
});

relay("limits of one a minute", ["--mailbox-rate-limit", "1", "--ohttp-exchange-rate-limit", "1"], (at) => {
  const plain = plainApi((path, init) => at()(path, init));

  test("[12] the second send to a mailbox within the minute is told when to come back", async () => {
    const mailbox = fresh();
    const send = () => plain.call("send", { recipient_id: mailbox, ciphertext: "" });
    assert.equal((await send()).status, 200);
    const second = await send();
    refused(second, 429, "rate limit exceeded");
    assert.match(second.headers.get("retry-after")!, /^[1-9]\d*$/);
    assert.equal((await plain.call("fetch", { mailbox_tokens: [mailbox] })).status, 200);
  });

  test("[23] forged purges do not spend the owner's", async () => {
    const mailbox = fresh();
    for (let n = 0; n < 30; n++) {
      const forged = { ...signedPurge(mailbox, nowSeconds()), signature: "ff".repeat(64) };
      assert.equal((await plain.call("purge", forged)).status, 401);
    }
    assert.equal((await plain.call("purge", signedPurge(mailbox, nowSeconds()))).status, 200);
  });

  test("[33] offers through OHTTP share a budget of their own", async () => {
    const ohttp = ohttpApi(at());
    assert.equal((await ohttp.call("exchange_offer", { payload: "1" })).body.status, "ok");
    const second = await ohttp.call("exchange_offer", { payload: "2" });
    refused(second, 200, "rate limit exceeded");
    assert.ok(second.body.retry_after >= 1);
  });

  test("[40] the second proof for a hash within the minute is refused", async () => {
    const proof = { key_hash: fresh(), proof_data: "" };
    assert.equal((await plain.call("recovery_store", proof)).status, 200);
    refused(await plain.call("recovery_store", proof), 429, "rate limit exceeded");
  });
});

relay("limits of two a minute", ["--mailbox-rate-limit", "2"], (at) => {
  const plain = plainApi((path, init) => at()(path, init));

  test("[32] the third offer within the minute is refused, whatever its payload", async () => {
    const statuses = [];
    for (const payload of ["1", "2", "3"])
      statuses.push((await plain.call("exchange_offer", { payload })).status);
    assert.deepEqual(statuses, [200, 200, 429]);
  });

  test("[41] eleven recovery queries within a minute are one too many", async () => {
    const statuses = [];
    for (let n = 0; n < 11; n++) {
      statuses.push((await plain.call("recovery_query", { key_hashes: [fresh()] })).status);
    }
    assert.deepEqual(statuses, [...Array(10).fill(200), 429]);
  });
});

relay(
  "small quotas",
  ["--max-mailbox-blobs", "2", "--max-mailbox-size", "200", "--exchange-max-offers", "2"],
  (at) => {
    const plain = plainApi((path, init) => at()(path, init));
    const send = (mailbox: string, bytes: number) =>
      plain.call("send", { recipient_id: mailbox, ciphertext: base64(bytes) });

    test("[9] a full mailbox refuses, and takes again when there is room, but never more than it holds", async () => {
      const mailbox = fresh();
      const ids = [(await send(mailbox, 8)).body.blob_id, (await send(mailbox, 8)).body.blob_id];
      const third = await send(mailbox, 8);
      refused(third, 429, "quota exceeded for recipient");
      assert.equal(third.headers.get("retry-after"), "10");
      for (const blob_id of ids) await plain.call("ack", { recipient_id: mailbox, blob_id });
      refused(await send(mailbox, 201), 429, "quota exceeded for recipient");
      assert.equal((await send(mailbox, 200)).status, 200);
    });

    test("[35] offers beyond the places are refused", async () => {
      const offers = [];
      for (const payload of ["1", "2", "3"]) offers.push(await plain.call("exchange_offer", { payload }));
      assert.deepEqual(
        offers.map(({ status }) => status),
        [200, 200, 400],
      );
      assert.equal(offers[2]!.body.error, "too many offers");
    });
  },
);

relay(
  "a relay that is full",
  ["--max-storage", "1100", "--max-mailbox-blobs", "0", "--max-mailbox-size", "0"],
  (at) => {
    const plain = plainApi((path, init) => at()(path, init));

    test("[11] no quota of a mailbox, but the relay's: a clear refusal, and nothing is dropped", async () => {
      const mailbox = fresh();
      const send = () => plain.call("send", { recipient_id: mailbox, ciphertext: base64(400) });
      assert.deepEqual([(await send()).status, (await send()).status], [200, 200]);
      const third = await plain.call("send", { recipient_id: fresh(), ciphertext: base64(400) });
      refused(third, 429, "storage quota exceeded");
      assert.equal((await plain.call("fetch", { mailbox_tokens: [mailbox] })).body.blobs.length, 2);
    });
  },
);

relay("an old client", ["--version-min", "2", "--version-grace", "0d"], (at) => {
  test("[52] is refused, and told what it would need", async () => {
    for (const headers of [{ "x-app-compat-version": "1" }, {}]) {
      const answer = await at()("/v2/health", { headers });
      assert.equal(answer.status, 426);
      assert.deepEqual(await answer.json(), { error: "upgrade_required", min_version: 2 });
      assert.equal(answer.headers.get("x-min-version"), "2");
    }
    assert.equal((await at()("/v2/nothing")).status, 426);
    assert.equal((await at()("/v2/ohttp-key")).status, 200);
  });
});

relay("a client that should be newer", ["--version-min", "1", "--version-warn", "2"], (at) => {
  test("[53] is served, and sees what is wanted", async () => {
    const answer = await at()("/v2/health", { headers: { "x-app-compat-version": "2" } });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("x-min-version"), "1");
    assert.equal(answer.headers.get("x-warn-version"), "2");
    assert.equal(answer.headers.get("x-upgrade-deadline"), null);
  });
});

relay("OHTTP switched off", ["--no-ohttp"], (at) => {
  test("[50] has no key and no gateway", async () => {
    const key = await at()("/v2/ohttp-key");
    assert.deepEqual([key.status, await key.text()], [404, ""]);
    const gateway = await at()("/v2/ohttp", { method: "POST", body: "x" });
    assert.equal(gateway.status, 404);
    assert.equal(((await gateway.json()) as Json).error, "ohttp not enabled");
  });
});
