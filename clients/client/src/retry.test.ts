import assert from "node:assert/strict";
import { test } from "node:test";
import { clientBackoff } from "../../../core/backoff.ts";
import { simClock, simEntropy } from "../../../tests/support/sim-clock.ts";
import type { PosternError } from "./errors.ts";
import { parseRetryAfter } from "./inbox-http.ts";
import { type Patience, persist, type Trouble } from "./retry.ts";

function patience(of: Partial<Patience> = {}) {
  const clock = simClock(0);
  const limits = clientBackoff;
  const base = { clock, entropy: simEntropy(), limits, signal: undefined, onTrouble: undefined };
  return { clock, patience: { ...base, endsAt: 30_000, late: "timed_out", ...of } as Patience };
}
const trouble: Trouble = { kind: "trouble", status: 503 };

test("Retry-After is seconds or a date", () => {
  assert.equal(parseRetryAfter("7", 0), 7_000);
  assert.equal(parseRetryAfter("Thu, 01 Jan 1970 00:00:09 GMT", 2_000), 7_000);
  assert.equal(parseRetryAfter("Thu, 01 Jan 1970 00:00:01 GMT", 2_000), 0);
  assert.equal(parseRetryAfter("soon", 0), undefined);
  assert.equal(parseRetryAfter(null, 0), undefined);
});

test("an attempt is repeated until it gives a value, each failure told with its pause", async () => {
  const told: number[] = [];
  const { clock, patience: of } = patience({ onTrouble: (_trouble, ms) => told.push(ms) });
  const answers = [trouble, trouble, { kind: "value" as const, value: "done" }];
  const result = persist(of, async () => answers.shift()!);
  await clock.advance(1_000);
  assert.equal(await result, "done");
  assert.equal(told.length, 2);
  assert.ok(told[0]! <= 250 && told[1]! <= 500);
  assert.equal(clock.armed, 0);
});

test("a full wait without result is repeated at once, an empty answer at once is not", async () => {
  const { clock, patience: of } = patience({ endsAt: 10_000 });
  const at: number[] = [];
  let early = true;
  const result = persist(of, async (signal) => {
    at.push(clock.now());
    if (early) {
      early = false;
      return "again";
    }
    await new Promise<void>((resolve) => {
      clock.after(4_000, resolve);
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    return "again";
  }).catch((error) => error.code);
  await clock.advance(20_000);
  assert.equal(await result, "timed_out");
  assert.equal(at.length, 4);
  assert.ok(at[1]! >= 125 && at[1]! <= 250, "a pause after the empty answer");
  assert.equal(at[2]! - at[1]!, 4_000);
  assert.equal(at[3]! - at[2]!, 4_000);
});

test("the deadline aborts the attempt under way", async () => {
  const { clock, patience: of } = patience({ endsAt: 5_000 });
  let aborted = false;
  const result = persist(of, (signal) => {
    return new Promise<Trouble>((resolve) => {
      signal.addEventListener("abort", () => {
        aborted = true;
        resolve({ kind: "trouble" });
      });
    });
  }).catch((error) => error.code);
  await clock.advance(5_000);
  assert.equal(await result, "timed_out");
  assert.equal(aborted, true);
});

test("no attempt begins when the pause would outlast the deadline; the last status is told", async () => {
  const { clock, patience: of } = patience({ endsAt: 2_000 });
  const result = persist(of, async () => ({ ...trouble, retryAfterMs: 5_000 })).catch(
    (error: PosternError) => error,
  ) as Promise<PosternError>;
  await clock.advance(0);
  const error = await result;
  assert.equal(error.code, "relay_unreachable");
  assert.equal(error.details.status, 503);
});

test("aborting ends a pause at once, with the reason as the cause", async () => {
  const stop = new AbortController();
  const { clock, patience: of } = patience({ signal: stop.signal });
  const result = persist(of, async () => trouble).catch(
    (error: PosternError) => error,
  ) as Promise<PosternError>;
  await clock.advance(0);
  const why = new Error("enough");
  stop.abort(why);
  const error = await result;
  assert.equal(error.code, "aborted");
  assert.equal(error.cause, why);
  assert.equal(clock.armed, 0);
});
