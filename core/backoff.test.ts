import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { settle, simClock } from "#tests/support/sim-clock.ts";
import { clientBackoff, pause, pauseMs } from "./backoff.ts";

const drawing = (byte: number) => ({ bytes: (length: number) => new Uint8Array(length).fill(byte) });

test("pauses double from a quarter of a second to five, of which the dice take up to a half", () => {
  const pauses = (byte: number) =>
    [1, 2, 3, 4, 5, 6, 7, 1_000].map((failures) => pauseMs(failures, clientBackoff, drawing(byte)));
  assert.deepEqual(pauses(0xff), [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000, 5_000]);
  assert.deepEqual(pauses(0), [125, 250, 500, 1_000, 2_000, 2_500, 2_500, 2_500]);
});

test("Retry-After is the least, up to a minute", () => {
  fc.assert(
    fc.property(fc.nat(20), fc.nat(1e7), fc.nat(255), (failures, retryAfterMs, byte) => {
      const ms = pauseMs(failures + 1, clientBackoff, drawing(byte), retryAfterMs);
      assert.ok(ms >= Math.min(retryAfterMs, 60_000) && ms <= 65_000);
    }),
  );
});

test("a pause ends after its time or by its signal, and leaves no timer", async () => {
  const clock = simClock();
  let ended = 0;
  const abort = new AbortController();
  void pause(clock, 1_000, new AbortController().signal).then(() => ended++);
  void pause(clock, 5_000, abort.signal).then(() => ended++);
  await clock.advance(1_000);
  assert.equal(ended, 1);
  abort.abort();
  await settle();
  assert.equal(ended, 2);
  await pause(clock, 5_000, abort.signal);
  assert.equal(clock.armed, 0);
});
