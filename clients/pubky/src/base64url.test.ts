import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { throwsCode } from "../tests/assert-code.ts";
import { decodeBase64url, encodeBase64url } from "./base64url.ts";

test("bytes become what RFC 4648 says, and come back", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
      const text = encodeBase64url(bytes);
      assert.equal(text, Buffer.from(bytes).toString("base64url"));
      assert.deepEqual(decodeBase64url(text), bytes);
    }),
  );
});

test("padding, other alphabets, a letter too many and stray last bits are refused", () => {
  for (const text of ["AA==", "A", "AAAAA", "AB", "AAB", "a+b/", "a b_", "A\n", "é_é_"]) {
    throwsCode(() => decodeBase64url(text), "base64url_malformed");
  }
});
