import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeZbase32, encodeZbase32 } from "./zbase32.ts";

test("bytes come back from their text", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
      const text = encodeZbase32(bytes);
      assert.equal(text.length, Math.ceil((bytes.length * 8) / 5));
      assert.deepEqual(decodeZbase32(text), bytes);
    }),
  );
});

test("a text that decodes is the text of its bytes: there is no second one", () => {
  const letter = fc.constantFrom(..."ybndrfg8ejkmcpqxot1uwisza345h769", "l", "A", "0", "é");
  fc.assert(
    fc.property(fc.string({ unit: letter, maxLength: 60 }), (text) => {
      const bytes = decodeZbase32(text);
      if (bytes) assert.equal(encodeZbase32(bytes), text);
    }),
  );
});
