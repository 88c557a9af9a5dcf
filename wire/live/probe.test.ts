import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { hex, toHex } from "#tests/support/hex.ts";
import { decodeProbe, encodeProbe } from "./probe.ts";

describe("a probe", () => {
  test("says bits a second and, from 04 on, the round trip", () => {
    const both = { bitsPerSecond: 1_000_000, rttMs: 20 };
    assert.equal(toHex(encodeProbe(both, 5)), "05800f424014");
    assert.equal(toHex(encodeProbe(both, 3)), "04800f4240");
    assert.deepEqual(decodeProbe(hex("800f4240 14"), 4), both);
  });

  test("tells what is not known from what is nothing, each by itself", () => {
    const measure = fc.option(fc.nat(), { nil: undefined });
    fc.assert(
      fc.property(measure, measure, (bitsPerSecond, rttMs) => {
        const decoded = decodeProbe(encodeProbe({ bitsPerSecond, rttMs }, 5).subarray(1), 5);
        assert.deepEqual(decoded, {
          bitsPerSecond: bitsPerSecond === 0 ? 1 : bitsPerSecond,
          rttMs: rttMs === 0 ? 1 : rttMs,
        });
      }),
    );
  });
});
