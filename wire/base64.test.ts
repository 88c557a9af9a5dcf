import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeBase64, encodeBase64 } from "./base64.ts";

test("bytes come back as they were, in the form that everybody writes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 9000 }), (bytes) => {
      const text = encodeBase64(bytes);
      assert.equal(text, Buffer.from(bytes).toString("base64"));
      assert.deepEqual(decodeBase64(text), bytes.slice());
    }),
  );
});

test("any other text is refused", () => {
  for (const text of ["YQ", "YQ=", "YR==", "YWK=", "Y Q=", "YQ==\n", "_-8=", "====", "=", "YQ==YQ==", "é==="])
    assert.equal(decodeBase64(text), undefined, text);
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), (text) => {
      const bytes = decodeBase64(text);
      assert.ok(bytes === undefined || encodeBase64(bytes) === text);
    }),
    { numRuns: 2000 },
  );
});
