import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { BadBody, type BodyDecoder, ChunkedBody, SizedBody } from "./body.ts";

/** Feeds the pieces one by one; what was not used is what follows the body. */
function decode(decoder: BodyDecoder, pieces: readonly Buffer[]): { body: Buffer; rest: Buffer } {
  const body: Buffer[] = [];
  const rest: Buffer[] = [];
  for (const piece of pieces) {
    const used = decoder.done ? 0 : decoder.feed(piece, (bytes) => body.push(Buffer.from(bytes)));
    rest.push(piece.subarray(used));
  }
  return { body: Buffer.concat(body), rest: Buffer.concat(rest) };
}

function cut(whole: Buffer, at: readonly number[]): Buffer[] {
  const points = [0, ...at.map((point) => point % (whole.length + 1)).sort((a, b) => a - b), whole.length];
  return points.slice(1).map((point, index) => whole.subarray(points[index], point));
}

const cuts = fc.array(fc.nat(), { maxLength: 12 });
const chunk = fc.uint8Array({ minLength: 1, maxLength: 40 });

describe("a body", () => {
  test("of a given size is the same however it arrives, and takes nothing of what follows", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 60 }),
        fc.uint8Array({ maxLength: 20 }),
        cuts,
        (body, after, at) => {
          const found = decode(new SizedBody(body.length), cut(Buffer.concat([body, after]), at));
          assert.deepEqual([found.body, found.rest], [Buffer.from(body), Buffer.from(after)]);
        },
      ),
    );
  });

  test("in chunks is the same however it arrives, extensions and trailers read over", () => {
    const extension = fc.constantFrom("", ";a", ";a=b", ' ;x="y"');
    const trailers = fc.constantFrom("", "x: y\r\n", "x: y\r\nz: \r\n");
    fc.assert(
      fc.property(
        fc.array(fc.tuple(chunk, extension)),
        trailers,
        fc.uint8Array({ maxLength: 20 }),
        cuts,
        (chunks, trailer, after, at) => {
          const wire = Buffer.concat([
            ...chunks.flatMap(([bytes, more]) => [
              Buffer.from(`${bytes.length.toString(16)}${more}\r\n`),
              bytes,
              Buffer.from("\r\n"),
            ]),
            Buffer.from(`0\r\n${trailer}\r\n`),
            after,
          ]);
          const decoder = new ChunkedBody();
          const found = decode(decoder, cut(wire, at));
          assert.ok(decoder.done);
          assert.deepEqual(found.body, Buffer.concat(chunks.map(([bytes]) => bytes)));
          assert.deepEqual(found.rest, Buffer.from(after));
        },
      ),
      { numRuns: 300 },
    );
  });

  test("that breaks its framing is refused", () => {
    for (const wire of [
      "x\r\n",
      "-1\r\n",
      "0x1\r\n",
      "\r\n",
      "123456789\r\n",
      "1\r\nab",
      "1\r\na\n0\r\n\r\n",
      "1 1\r\n",
      "0\r\nno colon\r\n\r\n",
      "0\r\nx\0: y\r\n\r\n",
    ]) {
      assert.throws(
        () => new ChunkedBody().feed(Buffer.from(`${wire}\r\n`), () => {}),
        BadBody,
        JSON.stringify(wire),
      );
    }
    for (const endless of ["1;".padEnd(5000, "x"), `0\r\n${"x: y\r\n".repeat(1000)}`]) {
      assert.throws(() => new ChunkedBody().feed(Buffer.from(endless), () => {}), BadBody);
    }
  });

  test("of any bytes is decoded or refused", () => {
    fc.assert(
      fc.property(fc.uint8Array(), cuts, (bytes, at) => {
        try {
          decode(new ChunkedBody(), cut(Buffer.from(bytes), at));
        } catch (error) {
          assert.ok(error instanceof BadBody);
        }
      }),
      { numRuns: 500 },
    );
  });
});
