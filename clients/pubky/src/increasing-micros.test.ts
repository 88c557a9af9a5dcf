import assert from "node:assert/strict";
import { test } from "node:test";
import { simClock, simEntropy } from "../../../tests/support/sim-clock.ts";
import { increasingMicros } from "./increasing-micros.ts";

test("no two times are the same, even within one millisecond", async () => {
  const clock = simClock();
  const entropy = simEntropy();
  let last = 0n;
  for (let i = 0; i < 3_000; i++) {
    const micros = increasingMicros(clock, entropy);
    assert.ok(micros > last);
    last = micros;
  }
  // Three thousand at one standstill run ahead of the clock by a few milliseconds at most.
  assert.ok(last - BigInt(clock.now()) * 1000n < 5_000n);
});

test("time follows its own clock, not another's", () => {
  const entropy = simEntropy();
  increasingMicros(simClock(2_000_000_000_000), entropy);
  assert.equal(increasingMicros(simClock(1_000_000_000_000), entropy) / 1_000_000_000n, 1_000_000n);
});
