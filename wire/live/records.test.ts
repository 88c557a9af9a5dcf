import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { joinBytes } from "#core/bytes.ts";
import { LiveProtocolError } from "./error-code.ts";
import { RecordReader, recordHeadroom, sealRecord } from "./records.ts";

/** A record as it goes on the wire. */
function sealed(body: Uint8Array): Uint8Array {
  const buffer = new Uint8Array(recordHeadroom + body.length);
  buffer.set(body, recordHeadroom);
  return buffer.subarray(0, sealRecord(buffer, recordHeadroom, buffer.length));
}

describe("records of qmux over a byte stream", () => {
  test("come out as they went in, however the stream is cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 6 }),
        (bodies, cuts) => {
          const found: Uint8Array[] = [];
          const reader = new RecordReader(16_382, (record) => found.push(record));
          const bytes = joinBytes(bodies.map(sealed));
          for (let at = 0, cut = 0; at < bytes.length; cut++) {
            const end = at + cuts[cut % cuts.length]!;
            reader.push(bytes.slice(at, end));
            at = end;
          }
          assert.deepEqual(found.map(Buffer.from), bodies.map(Buffer.from));
        },
      ),
    );
  });

  test("at their largest have a length of two bytes; one byte more is refused before it arrives", () => {
    const found: number[] = [];
    const reader = new RecordReader(16_382, (record) => found.push(record.length));
    reader.push(sealed(new Uint8Array(16_382)));
    assert.deepEqual(found, [16_382]);
    assert.throws(() => reader.push(new Uint8Array([0x7f, 0xff])), LiveProtocolError);
  });
});
