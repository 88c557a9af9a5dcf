import assert from "node:assert/strict";
import { test } from "node:test";
import { AcceptHealth } from "./accept-health.ts";

const failure = (code: string) => Object.assign(new Error("accept"), { code });

test("a listener without descriptors is stalled until it accepts again; lost connections do not stall it", () => {
  let now = 0;
  const health = new AcceptHealth("web", () => now);
  health.failed(failure("ECONNABORTED"));
  health.failed(failure("EWHATEVER"));
  now = 1_000;
  assert.equal(health.stalledMs, 0);
  health.failed(failure("EMFILE"));
  now = 3_000;
  health.failed(failure("ENFILE"));
  assert.equal(health.stalledMs, 2_000);
  health.accepted();
  assert.equal(health.stalledMs, 0);
  assert.deepEqual(health.failures, { connection: 1, exhausted: 2, unknown: 1 });
});
