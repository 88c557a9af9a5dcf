import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { hex, toHex } from "#tests/support/hex.ts";
import { Decoder } from "./decoder.ts";
import { Encoder } from "./encoder.ts";
import { varintSize } from "./varint.ts";

describe("variable-length integers (RFC 9000, A.1)", () => {
  test("the samples of the RFC", () => {
    assert.equal(new Decoder(hex("c2197c5eff14e88c")).bigVarint(), 151_288_809_941_952_652n);
    assert.equal(new Decoder(hex("9d7f3e7d")).varint(), 494_878_333);
    assert.equal(new Decoder(hex("7bbd")).varint(), 15_293);
    assert.equal(new Decoder(hex("4025")).varint(), 37);
    assert.equal(toHex(new Encoder().bigVarint(151_288_809_941_952_652n).finish()), "c2197c5eff14e88c");
    assert.equal(toHex(new Encoder().varint(494_878_333).finish()), "9d7f3e7d");
  });

  test("numbers and big numbers agree and are minimal", () => {
    const magnitude = fc
      .integer({ min: 0, max: 53 })
      .chain((bits) => fc.integer({ min: 0, max: 2 ** bits - 1 }));
    fc.assert(
      fc.property(magnitude, (value) => {
        const bytes = new Encoder().varint(value).finish();
        assert.equal(bytes.length, varintSize(value));
        assert.equal(new Decoder(bytes).varint(), value);
        assert.equal(new Decoder(bytes).bigVarint(), BigInt(value));
      }),
    );
    fc.assert(
      fc.property(fc.bigInt(0n, (1n << 62n) - 1n), (value) => {
        assert.equal(new Decoder(new Encoder().bigVarint(value).finish()).bigVarint(), value);
      }),
    );
  });

  test("one that ends early, and one beyond 2^53, is a decode error", () => {
    for (const bytes of ["", "40", "80ffff", "c0000000000000"]) {
      assert.throws(() => new Decoder(hex(bytes)).varint(), { code: 5 });
    }
    assert.throws(() => new Decoder(hex("ffffffffffffffff")).varint(), { code: 5 });
  });
});
