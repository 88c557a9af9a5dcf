import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { throwsCode } from "../tests/assert-code.ts";
import { counted, filled } from "../tests/sdk-vectors.ts";
import { open, SEAL_OVERHEAD_BYTES, seal } from "./sealed-box.ts";

const nonce = filled(0x42, 24);

test("what is sealed opens with the same secret and no other", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (message) => {
      const box = seal(counted, nonce, message);
      assert.equal(box.length, message.length + SEAL_OVERHEAD_BYTES);
      assert.deepEqual(open(counted, box), message);
      throwsCode(() => open(filled(1), box), "sealed_undecryptable");
    }),
  );
});

test("nothing seals to nothing, which does not open", () => {
  assert.equal(seal(counted, nonce, new Uint8Array(0)).length, 0);
  const error = throwsCode(() => open(counted, new Uint8Array(0)), "sealed_too_short");
  assert.equal(
    error.message,
    "Encrypted message too small, expected at least 24 bytes nonce, received 0 bytes",
  );
});

test("a box cut short anywhere, or longer, does not open", () => {
  const box = seal(counted, nonce, filled(5, 10));
  for (let length = 0; length < box.length; length++) {
    const code = length < 24 ? "sealed_too_short" : "sealed_undecryptable";
    throwsCode(() => open(counted, box.subarray(0, length)), code);
  }
  throwsCode(() => open(counted, Uint8Array.from([...box, 0])), "sealed_undecryptable");
});

test("one flipped bit in any byte keeps it closed", () => {
  const box = seal(counted, nonce, filled(5, 40));
  for (let at = 0; at < box.length; at++) {
    for (const bit of [1, 0x80]) {
      const broken = box.slice();
      broken[at]! ^= bit;
      throwsCode(() => open(counted, broken), "sealed_undecryptable");
    }
  }
});

test("a secret of another length is our caller's mistake", () => {
  throwsCode(() => seal(filled(1, 31), nonce, counted), "secret_malformed");
  throwsCode(() => open(filled(1, 33), counted), "secret_malformed");
});
