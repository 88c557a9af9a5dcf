import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RecentMap } from "./recent-map.ts";

test("keeps what was used last, newest value first, and no more than twice as many", () => {
  const step = fc.record({ key: fc.nat(12), what: fc.constantFrom("get", "set", "delete") });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 60 }), (most, steps) => {
      const map = new RecentMap<number, number>(most);
      // Every key by its last use, with the value it must have if it is still there.
      const used = new Map<number, number>();
      steps.forEach(({ key, what }, at) => {
        if (what === "set") {
          map.set(key, at);
          used.delete(key);
          used.set(key, at);
        } else if (what === "delete") {
          map.delete(key);
          used.delete(key);
        } else {
          const value = map.get(key);
          const recent = [...used.keys()].slice(-most);
          if (recent.includes(key)) assert.equal(value, used.get(key));
          else assert.ok(value === undefined || value === used.get(key));
          if (value === undefined) used.delete(key);
          else {
            used.delete(key);
            used.set(key, value);
          }
        }
      });
      const left = Array.from({ length: 13 }, (_, key) => map.get(key)).filter(
        (value) => value !== undefined,
      );
      assert.ok(left.length <= 2 * most);
    }),
  );
});
