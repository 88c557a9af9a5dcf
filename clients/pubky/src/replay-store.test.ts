import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { simClock } from "../../../tests/support/sim-clock.ts";
import { throwsCode } from "../tests/assert-code.ts";
import { memoryReplayStore } from "./replay-store.ts";

test("an id is new once, until it expires", async () => {
  const clock = simClock(0);
  const store = memoryReplayStore({ clock });
  assert.equal(store.insertIfAbsent("a", 1_000), true);
  assert.equal(store.insertIfAbsent("a", 1_000), false);
  await clock.advance(999);
  assert.equal(store.insertIfAbsent("a", 1_000), false);
  await clock.advance(1);
  assert.equal(store.insertIfAbsent("a", 2_000), true);
});

test("a full store refuses what is new, forgets nothing, and has room again when something expires", async () => {
  const clock = simClock(0);
  const store = memoryReplayStore({ clock, maxEntries: 2 });
  store.insertIfAbsent("a", 1_000);
  store.insertIfAbsent("b", 2_000);
  throwsCode(() => store.insertIfAbsent("c", 2_000), "replay_store_full");
  assert.equal(store.insertIfAbsent("a", 2_000), false);
  await clock.advance(1_000);
  assert.equal(store.insertIfAbsent("c", 3_000), true);
  assert.equal(store.insertIfAbsent("b", 3_000), false);
});

test("what expired is freed while new ones come", async () => {
  const clock = simClock(0);
  const store = memoryReplayStore({ clock });
  for (let i = 0; i < 500; i++) store.insertIfAbsent(`old ${i}`, 1_000);
  await clock.advance(1_000);
  for (let i = 0; i < 100; i++) store.insertIfAbsent(`new ${i}`, 5_000);
  assert.equal(store.size, 100);
});

test("it agrees with a plain model, whatever comes", async () => {
  const step = fc.record({
    id: fc.constantFrom("a", "b", "c", "d"),
    life: fc.integer({ min: 1, max: 50 }),
    wait: fc.integer({ min: 0, max: 30 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      let now = 0;
      const store = memoryReplayStore({ clock: { now: () => now } });
      const model = new Map<string, number>();
      for (const { id, life, wait } of steps) {
        now += wait;
        const isNew = (model.get(id) ?? 0) <= now;
        assert.equal(store.insertIfAbsent(id, now + life), isNew);
        if (isNew) model.set(id, now + life);
      }
    }),
  );
});
