import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesToHex } from "@noble/hashes/utils.js";
import { openMemoryMailboxStore } from "#store/memory/mailbox-store.ts";
import { simClock } from "#tests/support/sim-clock.ts";
import { Hints, signedBytes } from "./hints.ts";
import { relayIdentity } from "./relay-identity.ts";

const identity = relayIdentity("us", new Uint8Array(32).fill(7));
const limits = { maxBlobsPerMailbox: 0, maxBytesPerMailbox: 0, maxStorageBytes: 1000, blobTtlMs: 1000 };

test("a relay's keys and signature are those of the protocol's vectors", () => {
  assert.equal(
    Buffer.from(identity.publicKey).toString("base64url"),
    "E75P6uryBMf9M1j8nAByGIHRdCeBKCJ-xnTzf3_pe20",
  );
  assert.equal(identity.signingKey, "5290f884e4a17b993894f81ce72fe28d1e35eb8ed0258863129cb793f5327159");
  const hints = [
    { blobId: "b", relayUrl: "wss://two.test", expiresAt: 200_000 },
    { blobId: "a", relayUrl: "wss://one.test", expiresAt: 100_000 },
  ];
  const bytes = signedBytes(hints);
  assert.equal(
    bytesToHex(bytes),
    "617773733a2f2f6f6e652e746573740000000000000064627773733a2f2f74776f2e7465737400000000000000c8",
  );
  assert.equal(
    bytesToHex(identity.sign(bytes)),
    "d2f8649ee1237c5acb875f5a1401d468b7137a9cb90e99b1db4c62553b36a66ddf02eec57cf589b1e75810c97db0c89f5e87b02f0428dc06516024b91204a505",
  );
});

test("hints end with their messages, are kept on a full relay, and are counted", async () => {
  const clock = simClock();
  const store = openMemoryMailboxStore(limits);
  await store.putRecord("offer", "x", { value: new Uint8Array(990), expiresAt: undefined }, clock.now());
  const hints = new Hints(store, clock, identity);
  const name = "ab".repeat(32);
  assert.equal(hints.answerFor([name]), undefined);
  for (const [blobId, afterMs] of [
    ["b", 2000],
    ["a", 1000],
  ] as const) {
    await hints.add(name, { blobId, relayUrl: "ws://x.test", expiresAt: clock.now() + afterMs });
  }
  const told = () =>
    (hints.answerFor([name, "unknown"])?.hints as { blob_id: string }[] | undefined)?.map(
      (hint) => hint.blob_id,
    );
  assert.deepEqual(told(), ["a", "b"]);
  await clock.advance(1000);
  assert.deepEqual(told(), ["b"]);
  assert.deepEqual([hints.held, hints.stored, hints.expired], [1, 2, 0]);
  await clock.advance(1000);
  assert.equal(told(), undefined);
  hints.recount();
  assert.deepEqual([hints.held, hints.expired], [0, 1]);
  await hints.drop(name);
  assert.equal(hints.held, 0);
});
