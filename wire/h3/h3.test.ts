import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { hex, toHex } from "#tests/support/hex.ts";
import { LiveProtocolError } from "#wire/live/error-code.ts";
import {
  decodeDatagramStart,
  decodeSessionClose,
  encodeDatagramStart,
  encodeSessionClose,
  encodeStreamStart,
  fromH3Error,
  toH3Error,
} from "./frames.ts";
import { decodeHuffman } from "./huffman.ts";
import { decodeFields, encodeFields } from "./qpack.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

describe("header compression", () => {
  test("Huffman strings of RFC 7541, C.4 and C.6", () => {
    assert.equal(text(decodeHuffman(hex("f1e3c2e5f23a6ba0ab90f4ff"))), "www.example.com");
    assert.equal(text(decodeHuffman(hex("a8eb10649cbf"))), "no-cache");
    assert.equal(text(decodeHuffman(hex("25a849e95bb8e8b4bf"))), "custom-value");
    assert.equal(text(decodeHuffman(hex("9d29ad171863c78f0b97c8e9ae82ae43d3"))), "https://www.example.com");
    const cookie =
      "94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007";
    assert.equal(
      text(decodeHuffman(hex(cookie))),
      "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    );
  });

  test("a field of RFC 9204, B.1, and indexed ones", () => {
    const section = hex("0000 510b 2f696e6465782e68746d6c");
    assert.deepEqual(decodeFields(section), [[":path", "/index.html"]]);
    assert.deepEqual(decodeFields(hex("0000 cf d7 d9 ff 23")), [
      [":method", "CONNECT"],
      [":scheme", "https"],
      [":status", "200"],
      ["x-frame-options", "sameorigin"],
    ]);
  });

  test("what is encoded decodes to itself, and other bytes are refused", () => {
    const field = fc.tuple(fc.string({ maxLength: 300 }), fc.string({ maxLength: 300, unit: "grapheme" }));
    fc.assert(
      fc.property(fc.array(field), (list) => assert.deepEqual(decodeFields(encodeFields(list)), list)),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          decodeFields(bytes);
        } catch (error) {
          assert.ok(error instanceof LiveProtocolError, String(error));
        }
      }),
      { numRuns: 2_000 },
    );
    for (const dynamic of ["0100", "0000 80", "0000 40", "0000 10"]) {
      assert.throws(() => decodeFields(hex(dynamic)), LiveProtocolError);
    }
  });
});

describe("WebTransport over HTTP/3", () => {
  test("bytes that Chromium and quinn agreed with", () => {
    assert.equal(toHex(encodeSessionClose(2, "no")), "0009684306000000026e6f");
    assert.equal(toHex(encodeStreamStart(true, 0)), "405400");
    assert.equal(toHex(encodeStreamStart(false, 4)), "404104");
    assert.equal(toH3Error(13), 0x52e4a40fa8e8);
    assert.equal(toH3Error(30), 0x52e4a40fa8fa);
    assert.deepEqual(decodeSessionClose(0x2843, hex("000000026e6f")), { code: 2, reason: "no" });
  });

  test("errors go there and back", () => {
    fc.assert(fc.property(fc.nat(0xffff_ffff), (code) => assert.equal(fromH3Error(toH3Error(code)), code)));
    assert.equal(fromH3Error(0x10c), 0);
  });

  test("a long reason is cut at a whole character", () => {
    const close = encodeSessionClose(1, "ü".repeat(1000));
    assert.ok(close.length < 1060);
  });
});

describe("datagrams", () => {
  test("name their session by a quarter of its number", () => {
    assert.equal(toHex(encodeDatagramStart(0)), "00");
    assert.equal(toHex(encodeDatagramStart(4 * 64)), "4040");
    assert.deepEqual(decodeDatagramStart(hex("4040 0102")), { sessionId: 256, body: hex("0102") });
    assert.deepEqual(decodeDatagramStart(hex("01")), { sessionId: 4, body: hex("") });
    for (const part of ["", "40"]) assert.throws(() => decodeDatagramStart(hex(part)), LiveProtocolError);
  });
});
