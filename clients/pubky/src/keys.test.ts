import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { simEntropy } from "../../../tests/support/sim-clock.ts";
import { throwsCode } from "../tests/assert-code.ts";
import { filled, hex, sdkVectors, unhex } from "../tests/sdk-vectors.ts";
import { Keypair, PublicKey } from "./keys.ts";

for (const { seed, publicKey, z32, display } of sdkVectors.keys.valid) {
  test(`the seed ${seed.slice(0, 8)}… has the SDK's public key`, () => {
    const keypair = Keypair.fromSecret(unhex(seed));
    assert.equal(hex(keypair.publicKey.toBytes()), publicKey);
    assert.equal(keypair.publicKey.z32, z32);
    assert.equal(String(keypair.publicKey), display);
    for (const key of [PublicKey.parse(z32), PublicKey.parse(display), PublicKey.parseZ32(z32)]) {
      assert.ok(key.equals(keypair.publicKey));
    }
    throwsCode(() => PublicKey.parseZ32(display), "key_malformed");
  });
}

test("whatever the SDK refuses as a key, and what it takes beyond the definition, is refused", () => {
  const taken = sdkVectors.keys.parse.filter(({ sdk }) => "ok" in sdk).map(({ text }) => text.slice(0, 6));
  // A colon after the prefix, and last bits that are not zero.
  assert.deepEqual(taken, ["pubky:", "999999"]);
  for (const { text } of sdkVectors.keys.parse) throwsCode(() => PublicKey.parse(text), "key_malformed");
});

test("bytes that are no point on the curve are no key", () => {
  throwsCode(() => PublicKey.fromBytes(filled(2)), "key_malformed");
  throwsCode(() => PublicKey.fromBytes(filled(7, 31)), "key_malformed");
});

test("no text and no bytes crash the parser", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.uint8Array({ minLength: 31, maxLength: 33 })), (input) => {
      try {
        const key = typeof input === "string" ? PublicKey.parse(input) : PublicKey.fromBytes(input);
        assert.ok(PublicKey.parse(key.z32).equals(key));
      } catch (error) {
        assert.equal((error as { code?: string }).code, "key_malformed");
      }
    }),
  );
});

test("a signature holds for its message and key alone", () => {
  const keypair = Keypair.random(simEntropy(1));
  const other = Keypair.random(simEntropy(2));
  const message = filled(1);
  const signature = keypair.sign(message);
  assert.ok(keypair.publicKey.verify(signature, message));
  assert.ok(!other.publicKey.verify(signature, message));
  assert.ok(!keypair.publicKey.verify(signature, filled(2)));
  assert.ok(!keypair.publicKey.verify(signature.subarray(1), message));
  assert.ok(!keypair.publicKey.verify(filled(255, 64), message));
});

test("a key of small order, for which one signature fits many messages, verifies nothing", () => {
  const neutral = new Uint8Array(32);
  neutral[0] = 1;
  const key = PublicKey.fromBytes(neutral);
  const signature = new Uint8Array(64);
  signature[0] = 1;
  assert.ok(!key.verify(signature, filled(1)));
});

test("the secret shows only where it is asked for", () => {
  const keypair = Keypair.fromSecret(filled(0xab));
  assert.equal(hex(keypair.secretBytes()), "ab".repeat(32));
  const shown = JSON.stringify(keypair) + inspect(keypair, { depth: 9 }) + String(keypair);
  assert.ok(!/abab|171/.test(shown));
  assert.deepEqual(JSON.parse(JSON.stringify(keypair)), { publicKey: keypair.publicKey.z32 });
  throwsCode(() => Keypair.fromSecret(filled(1, 31)), "secret_malformed");
});

test("bytes given out are copies", () => {
  const keypair = Keypair.fromSecret(filled(7));
  keypair.secretBytes().fill(0);
  keypair.publicKey.toBytes().fill(0);
  assert.ok(Keypair.fromSecret(keypair.secretBytes()).publicKey.equals(keypair.publicKey));
});
