import assert from "node:assert/strict";
import { test } from "node:test";
import { bitString, element, objectIdentifier, octetString, time, unsigned } from "./der.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const bytes = (text: string) => new Uint8Array(Buffer.from(text, "hex"));

// Examples of X.690 and of "A Layman's Guide to a Subset of ASN.1, BER, and DER".

test("lengths are written in as few bytes as may be", () => {
  assert.equal(hex(element(0x04, new Uint8Array(0x7f))).slice(0, 4), "047f");
  assert.equal(hex(element(0x04, new Uint8Array(0x80))).slice(0, 6), "048180");
  assert.equal(hex(element(0x04, new Uint8Array(201))).slice(0, 6), "0481c9");
  assert.equal(hex(element(0x04, new Uint8Array(0x100))).slice(0, 8), "04820100");
  assert.equal(hex(element(0x04, new Uint8Array(0x12345))).slice(0, 10), "0483012345");
});

test("numbers have no byte too many and are never negative", () => {
  for (const [given, written] of [
    ["00", "020100"],
    ["", "020100"],
    ["7f", "02017f"],
    ["80", "02020080"],
    ["0080", "02020080"],
    ["0000ff", "020200ff"],
    ["0100", "02020100"],
  ] as const) {
    assert.equal(hex(unsigned(bytes(given))), written);
  }
});

test("object identifiers, bits and octets", () => {
  assert.equal(hex(objectIdentifier("1.2.840.113549")), "06062a864886f70d");
  assert.equal(hex(objectIdentifier("2.5.29.17")), "0603551d11");
  assert.equal(hex(bitString(bytes("6e5dc0"), 6)), "0304066e5dc0");
  assert.equal(hex(octetString(bytes("0123456789abcdef"))), "04080123456789abcdef");
});

test("times have two digits of the year until 2049", () => {
  const text = (at: string) =>
    Buffer.from(time(Date.parse(at)))
      .subarray(2)
      .toString();
  assert.equal(text("1991-05-06T23:45:40Z"), "910506234540Z");
  assert.equal(text("2049-12-31T23:59:59.900Z"), "491231235959Z");
  assert.equal(text("2050-01-01T00:00:00Z"), "20500101000000Z");
});
