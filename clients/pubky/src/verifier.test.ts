import assert from "node:assert/strict";
import { test } from "node:test";
import { simClock } from "../../../tests/support/sim-clock.ts";
import { rejectsCode, throwsCode } from "../tests/assert-code.ts";
import { filled } from "../tests/sdk-vectors.ts";
import { signAuthToken } from "./auth-token.ts";
import { parseCapabilities } from "./capabilities.ts";
import { PubkyError } from "./errors.ts";
import { Keypair } from "./keys.ts";
import { memoryReplayStore } from "./replay-store.ts";
import { createVerifier } from "./verifier.ts";

const keypair = Keypair.fromSecret(filled(7));
const start = 1_700_000_000_000;
const tokenAt = (at: number) => signAuthToken(keypair, parseCapabilities("/pub/a/:rw"), BigInt(at) * 1000n);

test("a token tells who signed it, what for and when, once", async () => {
  const verifier = createVerifier({ clock: simClock(start) });
  const token = await tokenAt(start);
  const verified = await verifier.verify(token);
  assert.ok(verified.publicKey.equals(keypair.publicKey));
  assert.deepEqual(verified.capabilities, ["/pub/a/:rw"]);
  assert.equal(verified.issuedAt, start);
  await rejectsCode(verifier.verify(token), "token_replayed");
  await rejectsCode(verifier.verify(token), "token_replayed");
  await verifier.verify(await tokenAt(start + 1));
});

test("two verifiers with one store accept a token once between them", async () => {
  const clock = simClock(start);
  const replayStore = memoryReplayStore({ clock });
  const [one, two] = [createVerifier({ clock, replayStore }), createVerifier({ clock, replayStore })];
  const token = await tokenAt(start);
  const outcomes = await Promise.allSettled([one.verify(token), two.verify(token)]);
  assert.deepEqual(outcomes.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
});

for (const offset of [-180_000, 0, 180_000]) {
  test(`a token ${offset} ms from now is a replay for as long as its window lasts`, async () => {
    const clock = simClock(start);
    const verifier = createVerifier({ clock });
    const token = await tokenAt(start + offset);
    await verifier.verify(token);
    let refused = "";
    for (let waited = 0; waited <= 400_000; waited += 10_000) {
      const error: unknown = await verifier.verify(token).catch((reason: unknown) => reason);
      assert.ok(error instanceof PubkyError);
      refused = error.code;
      assert.ok(refused === "token_replayed" || refused === "token_too_old");
      await clock.advance(10_000);
    }
    assert.equal(refused, "token_too_old");
  });
}

test("the window can be set", async () => {
  const verifier = createVerifier({ clock: simClock(start), windowMs: 45_000 });
  await rejectsCode(verifier.verify(await tokenAt(start - 46_000)), "token_too_old");
  await rejectsCode(verifier.verify(await tokenAt(start + 46_000)), "token_from_future");
  await verifier.verify(await tokenAt(start - 44_000));
});

test("a token that was given to another application is refused where capabilities are demanded", async () => {
  const demanding = (capabilities: string) => createVerifier({ clock: simClock(start), capabilities });
  const token = await tokenAt(start);
  await demanding("/pub/a/:rw").verify(token);
  const missing = await rejectsCode(demanding("/pub/b/:rw").verify(token), "capabilities_missing");
  assert.deepEqual(missing.details.capabilities, ["/pub/b/:rw"]);
  const extra = await rejectsCode(demanding("/pub/a/:r").verify(token), "capabilities_extra");
  assert.deepEqual(extra.details.capabilities, ["/pub/a/:w"]);
  await rejectsCode(demanding("").verify(token), "capabilities_extra");
  throwsCode(() => demanding("bogus"), "capabilities_invalid");
});

test("a token that is refused is not remembered", async () => {
  const clock = simClock(start);
  const store = memoryReplayStore({ clock });
  const verifier = createVerifier({ clock, replayStore: store });
  await rejectsCode(verifier.verify(new Uint8Array(0)), "token_malformed");
  await rejectsCode(verifier.verify(await tokenAt(start - 200_000)), "token_too_old");
  assert.equal(store.size, 0);
});

test("a store that fails refuses the token", async () => {
  const down = { insertIfAbsent: () => Promise.reject(new TypeError("store is down")) };
  const verifier = createVerifier({ clock: simClock(start), replayStore: down });
  await assert.rejects(verifier.verify(await tokenAt(start)), TypeError);
});
