import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeBase64url, encodeBase64url } from "./base64url.ts";

test("base64url agrees with Node's, both ways, for any bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const text = encodeBase64url(bytes);
      assert.equal(text, Buffer.from(bytes).toString("base64url"));
      assert.deepEqual(decodeBase64url(text), Uint8Array.from(bytes));
    }),
  );
});

test("base64url has one text for each bytes: any other is refused", () => {
  for (const text of ["A", "AA==", "AB", "AAB", "A+A_", "AA AA", "AAAAA", "é"])
    assert.equal(decodeBase64url(text), undefined, text);
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), (text) => {
      const bytes = decodeBase64url(text);
      if (bytes) assert.equal(encodeBase64url(bytes), text);
    }),
  );
});
