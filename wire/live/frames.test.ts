import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { hex, toHex } from "#tests/support/hex.ts";
import { Encoder } from "./encoder.ts";
import { LiveProtocolError } from "./error-code.ts";
import { FrameConverter, FrameScanner } from "./frames.ts";
import { encodeFrameHeader, unzigzag, zigzag } from "./group.ts";

interface Frame {
  payload: Uint8Array;
  delta: number;
}

const frames = fc.array(
  fc.record({ payload: fc.uint8Array({ maxLength: 200 }), delta: fc.integer({ min: -1e9, max: 1e9 }) }),
  { maxLength: 8 },
);
const encodeA = (list: Frame[]) =>
  Buffer.concat(list.flatMap(({ payload }) => [encodeFrameHeader(payload.length, undefined), payload]));
const encodeB = (list: Frame[]) =>
  Buffer.concat(list.flatMap(({ payload, delta }) => [encodeFrameHeader(payload.length, delta), payload]));

/** `bytes` in pieces as long as `cuts` say, over and over. */
function* pieces(bytes: Uint8Array, cuts: number[]): Generator<Uint8Array> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const next = at + cuts[turn % cuts.length]!;
    yield bytes.subarray(at, next);
    at = next;
  }
}

const cuts = fc.array(fc.integer({ min: 1, max: 70 }), { minLength: 1, maxLength: 6 });

describe("frames of a group", () => {
  test("a frame with a timestamp, as @moq/net writes it", () => {
    assert.equal(toHex(encodeFrameHeader(2, 1000)), "47d002");
    assert.equal(unzigzag(zigzag(-3)), -3);
  });

  test("with timestamps beyond 2^53, in nanoseconds, are frames like others", () => {
    const chunks: Uint8Array[] = [];
    const converter = new FrameConverter("B", "A", 1000, (chunk) => chunks.push(chunk));
    const header = new Encoder()
      .bigVarint(2n * 1_790_000_000_000_000_000n)
      .varint(2)
      .finish();
    converter.push(Buffer.concat([header, Buffer.from("ab")]), 0);
    assert.equal(toHex(Buffer.concat(chunks)), "026162");
  });

  test("with such timestamps keep them as objects of moq-transport", () => {
    const chunks: Uint8Array[] = [];
    const converter = new FrameConverter("B", "D", 1000, (chunk) => chunks.push(chunk));
    converter.push(Buffer.concat([encodeFrameHeader(2, 1_790_000_000_000_000_000), Buffer.from("ab")]), 0);
    assert.equal(toHex(Buffer.concat(chunks)), "000a10ff18d75b8423f30000026162");
  });

  test("are found in either class, however the bytes are cut", () => {
    fc.assert(
      fc.property(frames, cuts, fc.constantFrom("A" as const, "B" as const), (list, sizes, frameClass) => {
        const scanner = new FrameScanner(frameClass, 1000);
        const found: Frame[] = [];
        const bytes = frameClass === "A" ? encodeA(list) : encodeB(list);
        for (const piece of pieces(bytes, sizes)) {
          scanner.push(piece, {
            frame: (_size, delta) => found.push({ payload: new Uint8Array(0), delta }),
            payload: (more) => {
              const last = found[found.length - 1]!;
              last.payload = Buffer.concat([last.payload, more]);
            },
          });
        }
        assert.ok(scanner.whole);
        assert.deepEqual(
          found.map(({ payload, delta }) => [toHex(payload), delta]),
          list.map(({ payload, delta }) => [toHex(payload), frameClass === "A" ? 0 : delta]),
        );
      }),
    );
  });

  test("lose their timestamps on the way from B to A, and nothing else", () => {
    fc.assert(
      fc.property(frames, cuts, (list, sizes) => {
        const out: Uint8Array[] = [];
        const converter = new FrameConverter("B", "A", 1000, (chunk) => out.push(chunk));
        for (const piece of pieces(encodeB(list), sizes)) converter.push(piece, 0);
        assert.equal(toHex(Buffer.concat(out)), toHex(encodeA(list)));
      }),
    );
  });

  test("get the time of their arrival on the way from A to B", () => {
    const out: Uint8Array[] = [];
    const converter = new FrameConverter("A", "B", 1000, (chunk) => out.push(chunk));
    converter.push(hex("024130"), 1000);
    converter.push(hex("02"), 1005);
    converter.push(hex("4131"), 1009);
    assert.equal(toHex(Buffer.concat(out)), "47d0024130" + "0a024131");
  });

  test("beyond the limit are refused at their header", () => {
    const scanner = new FrameScanner("A", 1000);
    assert.throws(() => scanner.push(hex("43e9"), { frame() {}, payload() {} }), LiveProtocolError);
  });
});
