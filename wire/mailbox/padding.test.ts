import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { simEntropy } from "#tests/support/sim-clock.ts";
import { bucketOf, fetchRungOf, pad, unpad } from "./padding.ts";

test("a message is filled to the first bucket that holds it and its length", () => {
  const expected = [
    [0, 256],
    [252, 256],
    [253, 512],
    [508, 512],
    [1020, 1024],
    [1021, 4096],
    [4092, 4096],
    [4093, 4352],
    [10_000, 10_240],
  ];
  for (const [length, size] of expected) assert.equal(bucketOf(length!), size);
});

test("an answer to fetch has one of three sizes, and every size is one that clients take", () => {
  assert.deepEqual(
    [0, 4092, 4093, 32_764, 32_765, 98_300].map(fetchRungOf),
    [4096, 4096, 32_768, 32_768, 98_304, 98_304],
  );
  assert.equal(fetchRungOf(98_301) % 256, 0);
});

test("what is padded comes out again, and the rest is random", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 6000 }), fc.integer({ min: 1 }), (message, seed) => {
      const padded = pad(message, bucketOf(message.byteLength), simEntropy(seed));
      assert.equal(padded.byteLength, bucketOf(message.byteLength));
      assert.deepEqual(unpad(padded), message);
    }),
  );
});

test("a length that does not fit is refused, whatever the bytes", () => {
  assert.equal(unpad(new Uint8Array(3)), undefined);
  assert.equal(unpad(Uint8Array.of(0, 0, 0, 1)), undefined);
  assert.deepEqual(unpad(Uint8Array.of(0, 0, 0, 1, 7)), Uint8Array.of(7));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const message = unpad(bytes);
      assert.ok(message === undefined || message.byteLength + 4 <= bytes.byteLength);
    }),
  );
});
