import assert from "node:assert/strict";
import { test } from "node:test";
import { joinBytes } from "./bytes.ts";

test("joined bytes are in order, and in memory of their own", () => {
  const slab = Uint8Array.of(9, 1, 2, 3, 9);
  const joined = joinBytes([slab.subarray(1, 3), new Uint8Array(), slab.subarray(3, 4)]);
  slab.fill(0);
  assert.deepEqual(joined, Uint8Array.of(1, 2, 3));
  assert.equal(joined.buffer.byteLength, 3);
  assert.deepEqual(joinBytes([]), new Uint8Array());
});
