import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { hex, toHex } from "#tests/support/hex.ts";
import { decodeDatagram, encodeDatagram, encodeDatagramContent } from "./datagram.ts";
import { LiveProtocolError } from "./error-code.ts";

const number = fc.oneof(fc.nat(63), fc.nat(100_000), fc.maxSafeNat());

describe("a datagram", () => {
  test("is subscription, sequence, timestamp and payload, without a length", () => {
    const content = encodeDatagramContent(2, 3, Buffer.from("world"));
    assert.equal(toHex(encodeDatagram(1, content)), "010203776f726c64");
    assert.equal(toHex(encodeDatagram(7, encodeDatagramContent(42, 1_000, new Uint8Array(0)))), "072a43e8");
  });

  test("is read, and goes on under another id, whatever its numbers and payload", () => {
    fc.assert(
      fc.property(
        number,
        number,
        number,
        number,
        fc.uint8Array(),
        (id, other, sequence, timestamp, payload) => {
          const content = encodeDatagramContent(sequence, timestamp, payload);
          const { subscribeId, datagram } = decodeDatagram(encodeDatagram(id, content));
          assert.equal(subscribeId, id);
          assert.deepEqual(datagram, { sequence, content, payloadBytes: payload.length });
          assert.equal(decodeDatagram(encodeDatagram(other, datagram.content)).subscribeId, other);
        },
      ),
    );
  });

  test("keeps a timestamp beyond 2^53 as it came, and shares no bytes with what it was read from", () => {
    const body = hex("01 02 ffffffffffffffff 61");
    const { datagram } = decodeDatagram(body);
    body.fill(0);
    assert.equal(toHex(datagram.content), "02ffffffffffffffff61");
    assert.equal(datagram.payloadBytes, 1);
  });

  test("that ends before its payload is none", () => {
    for (const part of ["", "01", "0102", "010240", "c1", "01 ffffffffffffffff 00"]) {
      assert.throws(() => decodeDatagram(hex(part)), LiveProtocolError, part);
    }
  });

  test("of noise is read or refused", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 30 }), (body) => {
        try {
          assert.ok(decodeDatagram(body).datagram.payloadBytes <= body.length - 3);
        } catch (error) {
          assert.ok(error instanceof LiveProtocolError);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
