import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TokenBuckets } from "#core/token-buckets.ts";
import { simClock } from "#tests/support/sim-clock.ts";
import { Reply } from "#wire/http/reply.ts";
import type { EdgeContext, RelayRequest } from "#wire/http/request.ts";
import { rateLimitGate } from "./rate-limit.ts";

function from(source: string | undefined): RelayRequest {
  const edge: EdgeContext = { target: "/", source, readBody: async () => new Uint8Array() };
  return Object.assign(new Request("http://relay.test/"), { edge });
}

describe("the rate limit", () => {
  test("lets a burst through, then as many as flow in, and says when to come back", async () => {
    const clock = simClock();
    const gate = rateLimitGate({ rateLimit: 60, rateBurst: 3 }, clock)!;
    const handler = (request: RelayRequest) => gate(request, async () => new Reply(200, []));
    const statuses = async (count: number, source: string | undefined = "x") => {
      const answers = [];
      for (let at = 0; at < count; at++) answers.push(await handler(from(source)));
      return answers;
    };
    const burst = await statuses(4);
    assert.deepEqual(
      burst.map((answer) => answer.status),
      [200, 200, 200, 429],
    );
    assert.equal(burst[0]!.headers.get("ratelimit"), '"default";r=2;t=3');
    assert.equal(burst[3]!.headers.get("retry-after"), "1");
    assert.equal(burst[3]!.headers.get("ratelimit-policy"), '"default";q=3;w=3');
    await clock.advance(1000);
    assert.deepEqual(
      (await statuses(2)).map((answer) => answer.status),
      [200, 429],
    );
    assert.deepEqual(
      (await statuses(1, "y")).map((answer) => answer.status),
      [200],
    );
    const uncounted = [];
    for (let at = 0; at < 10; at++) uncounted.push((await handler(from(undefined))).status);
    assert.ok(uncounted.every((status) => status === 200));
  });

  test("is not there at all when it is off", () => {
    assert.equal(rateLimitGate({ rateLimit: 0, rateBurst: 1 }, simClock()), undefined);
  });

  test("forgets the least recently used client first, so that a flood of addresses takes bounded memory", () => {
    const buckets = new TokenBuckets({ perMinute: 1, burst: 1 }, simClock());
    buckets.take("first");
    for (let at = 0; at < 200_000; at++) {
      buckets.take(`flood${at}`);
      if (at % 50_000 === 0) buckets.take("regular");
    }
    assert.equal(buckets.take("first").waitSeconds, 0);
    assert.notEqual(buckets.take("regular").waitSeconds, 0);
    assert.notEqual(buckets.take("flood199999").waitSeconds, 0);
  });
});
