import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { concatBytes } from "../../../core/bytes.ts";
import { settle, simClock, simEntropy } from "../../../tests/support/sim-clock.ts";
import { rejectsCode, throwsCode } from "../tests/assert-code.ts";
import { filled } from "../tests/sdk-vectors.ts";
import { type Fault, simRelay } from "../tests/sim-relay.ts";
import {
  type AuthFlowOptions,
  type AuthFlowStatus,
  type GrantFlowOptions,
  resumeAuthFlow,
  type SavedAuthFlow,
  startAuthFlow,
  type TokenFlowOptions,
} from "./app-flow.ts";
import { signAuthToken } from "./auth-token.ts";
import { parseAuthRequest } from "./authenticator.ts";
import { utf8 } from "./bytes.ts";
import { parseCapabilities } from "./capabilities.ts";
import { channelId } from "./channel.ts";
import { PubkyError } from "./errors.ts";
import { signGrant } from "./grant.ts";
import { Keypair } from "./keys.ts";
import { parseLink } from "./link.ts";
import { seal } from "./sealed-box.ts";

const user = Keypair.fromSecret(filled(7));
const CAPS = "/pub/demo.app/:rw";
const CLIENT = { clientId: "demo.app", clientKeypair: Keypair.fromSecret(filled(8)) };

/** An app, an authenticator and a relay on one simulated clock. */
function world(binding: "inbox" | "link" = "inbox") {
  const clock = simClock();
  const entropy = simEntropy();
  const relay = simRelay(clock);
  const platform = { clock, entropy, fetch: relay.fetch };
  const base = { capabilities: CAPS, relay: `https://relay.example/${binding}`, ...platform };
  const start = (options: Partial<TokenFlowOptions> = {}) => startAuthFlow({ ...base, ...options });
  const startGrant = (options: Partial<GrantFlowOptions> = {}) =>
    startAuthFlow({ ...base, grant: CLIENT, ...options });
  /** Leaves something sealed with the flow's secret on its channel. */
  const leave = (authorizationUrl: string, message: Uint8Array) => {
    const link = parseLink(authorizationUrl);
    assert.ok("clientSecret" in link);
    relay.plant(seal(link.clientSecret, entropy.bytes(24), message), channelId(link.clientSecret));
  };
  const token = (capabilities = CAPS, at = clock.now()) =>
    signAuthToken(user, parseCapabilities(capabilities), BigInt(at) * 1000n);
  const approve = (authorizationUrl: string) =>
    parseAuthRequest(authorizationUrl).approve({ keypair: user, ...platform });
  return { clock, relay, platform, start, startGrant, leave, token, approve };
}

type World = ReturnType<typeof world>;

test("an approval is delivered, then acknowledged with its ETag, and nothing is left running", async () => {
  const { start, approve, relay, clock } = world();
  const flow = start();
  await settle();
  assert.equal(flow.status.state, "asking");
  const states: string[] = [];
  flow.subscribe(({ state }) => states.push(state));

  await approve(flow.authorizationUrl);
  const approval = await flow.result;
  await flow.settled;

  assert.equal(approval.kind, "token");
  assert.ok(approval.publicKey.equals(user.publicKey));
  assert.deepEqual(approval.capabilities, [CAPS]);
  assert.equal(approval.issuedAt, clock.now());
  assert.deepEqual(relay.log, ["GET inbox", "POST inbox", "DELETE inbox"]);
  assert.equal(relay.lastHeaders().get("if-match"), '"1"');
  assert.equal(relay.acked, true);
  assert.deepEqual(states, ["asking", "opening", "exchanging", "acknowledging", "done"]);
  assert.equal(clock.armed, 0);
});

test("a relay without ETags is acknowledged without a condition", async () => {
  const { start, approve, relay } = world();
  relay.withEtags = false;
  const flow = start();
  await approve(flow.authorizationUrl);
  await flow.settled;
  assert.equal(relay.log.at(-1), "DELETE inbox");
  assert.equal(relay.lastHeaders().get("if-match"), null);
});

test("a link relay is never told, because the read told it", async () => {
  const { start, approve, relay } = world("link");
  const flow = start();
  await settle();
  await approve(flow.authorizationUrl);
  await flow.result;
  await flow.settled;
  assert.deepEqual(relay.log, ["GET link", "POST link"]);
});

test("a relay that holds and lets go is asked again at once, for as long as the person has", async () => {
  const { start, approve, relay, clock } = world();
  const flow = start();
  await clock.advance(100_000);
  assert.deepEqual(relay.log, Array(5).fill("GET inbox"));
  await approve(flow.authorizationUrl);
  assert.ok((await flow.result).publicKey.equals(user.publicKey));
});

describe("a relay in trouble", () => {
  const faults: [string, Fault][] = [
    ["a lost network", "network"],
    ["408 at once", { status: 408 }],
    ["204", { status: 204 }],
    ["an empty 200", { status: 200 }],
    ["404", { status: 404 }],
    ["429", { status: 429 }],
    ["500", { status: 500 }],
    ["503", { status: 503 }],
    ["a redirect to nowhere", { status: 304 }],
  ];
  for (const [name, fault] of faults) {
    test(`${name}: the flow goes on, with pauses, and takes the approval afterwards`, async () => {
      const { start, approve, relay, clock } = world();
      relay.down = fault;
      const flow = start();
      await clock.advance(30_000);
      // 0.25 s, 0.5 s, 1 s, 2 s, 4 s, then 5 s, each shortened by up to a half: no busy loop.
      assert.ok(relay.log.length >= 8 && relay.log.length <= 20, `${relay.log.length} requests in 30 s`);
      relay.down = undefined;
      await clock.advance(5_000);
      assert.equal(flow.status.state, "asking");
      await approve(flow.authorizationUrl);
      assert.ok((await flow.result).publicKey.equals(user.publicKey));
      assert.equal(flow.status.trouble, undefined);
    });
  }

  test("Retry-After is waited out, in seconds or as a date, but never beyond a minute", async () => {
    for (const [value, leastMs, mostMs] of [
      ["20", 20_000, 20_251],
      [new Date(1_700_000_010_000).toUTCString(), 10_000, 10_251],
      ["86400", 60_000, 60_251],
      ["nonsense", 1, 251],
    ] as const) {
      const { start, relay, clock } = world();
      relay.fault({ status: 503, headers: { "retry-after": value } });
      const flow = start();
      await settle();
      assert.deepEqual(flow.status.trouble, { status: 503 });
      await clock.advance(leastMs - 1);
      assert.equal(relay.log.length, 1);
      await clock.advance(mostMs - leastMs + 1);
      assert.equal(relay.log.length, 2);
      flow.cancel();
    }
  });

  test("after a full wait the relay counts as well again, and the next pause is short", async () => {
    const { start, relay, clock } = world();
    relay.fault(...Array<Fault>(6).fill("network"));
    const flow = start();
    await clock.advance(30_000);
    assert.deepEqual([relay.log.length, relay.waiting], [7, 1]);
    const changes: [string, number][] = [];
    flow.subscribe(({ state }) => changes.push([state, clock.now()]));
    // The seventh request is held out in full; the eighth meets this.
    relay.fault({ status: 502 });
    await clock.advance(25_000);
    const pausedAt = changes.findIndex(([state]) => state === "pausing");
    const [pausing, asking] = changes.slice(pausedAt, pausedAt + 2);
    assert.equal(asking![0], "asking");
    assert.ok(asking![1] - pausing![1] <= 250);
    flow.cancel();
  });

  test("a request that nobody answers is given up after a minute and asked anew", async () => {
    const { start, approve, relay, clock } = world();
    relay.fault("hang");
    const flow = start();
    await clock.advance(60_000);
    assert.equal(relay.log.length, 2);
    await approve(flow.authorizationUrl);
    await flow.result;
  });

  test("a body that breaks off is trouble, not junk", async () => {
    const { start, approve, relay, platform, clock } = world();
    let isFirst = true;
    const broken = new ReadableStream({
      pull: (controller) => controller.error(new TypeError("terminated")),
    });
    const flow = start({
      fetch: async (input, init) => {
        if (!isFirst) return platform.fetch(input, init);
        isFirst = false;
        return new Response(broken);
      },
    });
    await clock.advance(1_000);
    assert.equal(flow.status.ignoredMessages, 0);
    await approve(flow.authorizationUrl);
    await flow.result;
    assert.equal(relay.acked, true);
  });

  test("telling it is tried five times; the caller has the approval long before", async () => {
    const { start, approve, relay, clock } = world();
    // However long the pauses were before, they begin short again.
    relay.fault(...Array<Fault>(6).fill("network"));
    const flow = start();
    await clock.advance(30_000);
    await approve(flow.authorizationUrl);
    relay.down = "network";
    await flow.result;
    await clock.advance(250 + 500 + 1_000 + 2_000);
    await flow.settled;
    assert.equal(relay.log.filter((line) => line === "DELETE inbox").length, 5);
    assert.equal(flow.status.state, "done");
  });

  test("a message that is gone or replaced when it is acknowledged is left alone", async () => {
    for (const status of [404, 405, 410, 412]) {
      const { start, approve, relay } = world();
      const flow = start();
      await settle();
      await approve(flow.authorizationUrl);
      relay.fault({ status });
      await flow.settled;
      assert.equal(relay.log.filter((line) => line === "DELETE inbox").length, 1);
    }
  });

  test("an acknowledgement never hits a message that took the approval's place", async () => {
    const { start, approve, relay } = world();
    const flow = start({ exchange: () => relay.plant("a later message") });
    await settle();
    await approve(flow.authorizationUrl);
    await flow.settled;
    assert.equal(relay.acked, false);
  });
});

describe("strangers' messages", () => {
  const junk: [string, (here: World, url: string) => Promise<void> | void][] = [
    ["too short to open", ({ relay }) => relay.plant("x")],
    ["not sealed with the secret", ({ relay }) => relay.plant(filled(9, 200))],
    ["far too long", ({ relay }) => relay.plant(filled(9, 200_000))],
    ["sealed, but no token", ({ leave }, url) => leave(url, utf8("hello"))],
    [
      "a token that nobody signed",
      async ({ leave, token }, url) => leave(url, concatBytes(filled(1, 64), (await token()).subarray(64))),
    ],
  ];
  for (const [name, plant] of junk) {
    test(`${name}: counted once, never acknowledged, never the end`, async () => {
      const here = world();
      const { start, approve, relay, clock } = here;
      const flow = start();
      await settle();
      await plant(here, flow.authorizationUrl);
      await clock.advance(20_000);
      assert.equal(flow.status.ignoredMessages, 1);
      assert.equal(relay.acked, false);
      assert.ok(relay.log.length <= 16);
      await approve(flow.authorizationUrl);
      await clock.advance(5_000);
      assert.ok((await flow.result).publicKey.equals(user.publicKey));
      await flow.settled;
      assert.equal(relay.acked, true);
    });
  }

  test("junk on a link relay is taken away by the read, and the flow asks on", async () => {
    const { start, approve, relay, clock } = world("link");
    const flow = start();
    await settle();
    relay.plant("x");
    await clock.advance(1_000);
    await approve(flow.authorizationUrl);
    await flow.result;
    assert.equal(flow.status.ignoredMessages, 1);
  });

  test("a flood of different junk is counted, remembered up to a bound, and survived", async () => {
    const { start, approve, relay, clock } = world();
    const flow = start({ deadlineMs: 3_600_000 });
    for (let i = 0; i < 100; i++) {
      relay.plant(`junk ${i}`);
      await clock.advance(5_001);
    }
    assert.equal(flow.status.ignoredMessages, 100);
    // Long forgotten, and so counted again.
    relay.plant("junk 0");
    await clock.advance(5_001);
    assert.equal(flow.status.ignoredMessages, 101);
    await approve(flow.authorizationUrl);
    await clock.advance(5_001);
    await flow.result;
  });
});

describe("approvals that must not be taken", () => {
  test("more than was asked for, unless the caller allows it", async () => {
    const { start, leave, token, clock, relay } = world();
    const flow = start();
    leave(flow.authorizationUrl, await token("/:rw"));
    const error = await rejectsCode(flow.result, "capabilities_extra");
    assert.deepEqual(error.details.capabilities, ["/:rw"]);
    assert.equal(relay.acked, false);

    const lax = start({ allowExtraCapabilities: true });
    leave(lax.authorizationUrl, await token("/:rw"));
    await clock.advance(5_000);
    assert.deepEqual((await lax.result).extra, ["/:rw"]);
  });

  test("less than was asked for is taken, and told", async () => {
    const { start, leave, token } = world();
    const flow = start({ capabilities: `${CAPS},/pub/more:r` });
    leave(flow.authorizationUrl, await token("/pub/demo.app/:r"));
    const approval = await flow.result;
    assert.deepEqual(approval.missing, ["/pub/demo.app/:w", "/pub/more:r"]);
    assert.deepEqual(approval.extra, []);
  });

  test("too old, from the future, or with capabilities nobody can read", async () => {
    const { start, leave, token, clock } = world();
    for (const [offset, code] of [
      [-180_001, "token_too_old"],
      [180_001, "token_from_future"],
    ] as const) {
      const flow = start();
      leave(flow.authorizationUrl, await token(CAPS, clock.now() + offset));
      assert.equal((await rejectsCode(flow.result, code)).details.ageMs, -offset);
    }
    const strict = start({ windowMs: 45_000 });
    leave(strict.authorizationUrl, await token(CAPS, clock.now() - 46_000));
    assert.match((await rejectsCode(strict.result, "token_too_old")).message, /46 s ago/);

    const odd = start();
    const bytes = (await token("/x:r")).slice();
    bytes[bytes.length - 1] = 0x78;
    leave(odd.authorizationUrl, concatBytes(user.sign(bytes.subarray(65)), bytes.subarray(64)));
    assert.deepEqual((await rejectsCode(odd.result, "capabilities_invalid")).details.capabilities, ["/x:x"]);
  });
});

describe("grants", () => {
  const terms = (now: number) => ({
    clientId: CLIENT.clientId,
    clientKey: CLIENT.clientKeypair.publicKey,
    capabilities: parseCapabilities(CAPS),
    grantId: "id",
    issuedAt: now,
    expiresAt: now + 1_000_000,
  });

  test("a grant is delivered with the key that can use it", async () => {
    const { startGrant, approve, clock } = world();
    const flow = startGrant();
    await approve(flow.authorizationUrl);
    const approval = await flow.result;
    assert.equal(approval.kind, "grant");
    assert.equal(approval.grant.clientId, "demo.app");
    assert.equal(approval.clientKeypair, CLIENT.clientKeypair);
    assert.equal(approval.grant.expiresAt - clock.now(), 2 * 365 * 24 * 3_600_000);
  });

  test("a client key is drawn when none is given", async () => {
    const { startGrant, approve } = world();
    const flow = startGrant({ grant: { clientId: "demo.app" } });
    await approve(flow.authorizationUrl);
    const { grant, clientKeypair } = await flow.result;
    assert.ok(grant.clientKey.equals(clientKeypair.publicKey));
  });

  test("a grant for another key or id, expired, or for more, is refused with its reason", async () => {
    const { startGrant, leave, clock } = world();
    const now = clock.now();
    for (const [change, code] of [
      [{ clientKey: user.publicKey }, "grant_client_key"],
      [{ clientId: "other.app" }, "grant_client_id"],
      [{ expiresAt: now }, "grant_expired"],
      [{ issuedAt: now + 400_000 }, "grant_from_future"],
      [{ capabilities: parseCapabilities("/:rw") }, "capabilities_extra"],
    ] as const) {
      const flow = startGrant();
      leave(flow.authorizationUrl, utf8(await signGrant(user, { ...terms(now), ...change })));
      await rejectsCode(flow.result, code);
    }
  });

  test("a forged grant, a token, or bytes that are no text are junk to a flow that waits for a grant", async () => {
    const { startGrant, leave, token, clock } = world();
    const forged = await signGrant(
      { publicKey: user.publicKey, sign: () => filled(1, 64) },
      terms(clock.now()),
    );
    for (const message of [utf8(forged), await token(), filled(0xff, 100)]) {
      const flow = startGrant();
      leave(flow.authorizationUrl, message);
      await clock.advance(1_000);
      assert.equal(flow.status.ignoredMessages, 1);
      flow.cancel();
    }
  });
});

describe("the caller's exchange", () => {
  test("comes before the relay is told and before the result", async () => {
    const { start, approve, relay } = world();
    const order: string[] = [];
    const flow = start({
      exchange: async ({ tokenBytes }, signal) => {
        await settle();
        assert.equal(signal.aborted, false);
        order.push(`exchange ${tokenBytes.length} ${relay.acked}`);
      },
    });
    void flow.result.then(() => order.push("result"));
    await settle();
    await approve(flow.authorizationUrl);
    await flow.settled;
    assert.deepEqual(order, ["exchange 133 false", "result"]);
    assert.equal(relay.acked, true);
  });

  test("when it fails, the approval stays for a resumed flow", async () => {
    const { start, approve, relay, platform } = world();
    const reason = new TypeError("server down");
    const flow = start({ exchange: () => Promise.reject(reason) });
    await settle();
    await approve(flow.authorizationUrl);
    assert.equal((await rejectsCode(flow.result, "flow_exchange_failed")).cause, reason);
    assert.equal(relay.acked, false);

    const resumed = resumeAuthFlow(flow.save(), platform);
    assert.ok((await resumed.result).publicKey.equals(user.publicKey));
  });

  test("the deadline does not cut it short, a cancel does", async () => {
    const { start, approve, clock } = world();
    let aborted = false;
    const flow = start({
      exchange: (_, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => {
            aborted = true;
            reject(signal.reason);
          });
        }),
    });
    await approve(flow.authorizationUrl);
    await clock.advance(400_000);
    assert.equal(flow.status.state, "exchanging");
    flow.cancel();
    await rejectsCode(flow.result, "flow_cancelled");
    await flow.settled;
    assert.ok(aborted);
  });
});

describe("the end without an approval", () => {
  test("comes at the deadline, with what was seen of relay and strangers, and leaves nothing running", async () => {
    const { start, relay, clock } = world();
    const flow = start();
    relay.plant("junk");
    await clock.advance(10_000);
    relay.down = { status: 503 };
    await clock.advance(289_999);
    assert.notEqual(flow.status.state, "failed");
    await clock.advance(1);
    const error = await rejectsCode(flow.result, "flow_expired");
    assert.deepEqual(error.details, { ignoredMessages: 1, status: 503 });
    assert.equal(flow.status.state, "failed");
    assert.deepEqual([clock.armed, relay.waiting], [0, 0]);
  });

  test("comes at once by cancel or by signal, whatever the flow was doing", async () => {
    for (const prepare of [
      (_: World) => {},
      ({ relay }: World) => {
        relay.down = "network";
      },
      ({ relay }: World) => relay.fault("hang"),
    ]) {
      const here = world();
      prepare(here);
      const abort = new AbortController();
      const flow = here.start({ signal: abort.signal });
      await settle();
      abort.abort("changed my mind");
      assert.equal((await rejectsCode(flow.result, "flow_cancelled")).cause, "changed my mind");
      await settle();
      assert.deepEqual([here.clock.armed, here.relay.waiting], [0, 0]);
      flow.cancel();
      assert.equal(flow.status.state, "failed");
    }
  });

  test("a signal that was aborted before ends it before anything is asked", async () => {
    const { start, relay, clock } = world();
    const flow = start({ signal: AbortSignal.abort() });
    await rejectsCode(flow.result, "flow_cancelled");
    await settle();
    assert.deepEqual(relay.log, []);
    assert.equal(clock.armed, 0);
  });

  test("cancelling after the result changes nothing", async () => {
    const { start, approve, relay } = world();
    const flow = start();
    await settle();
    await approve(flow.authorizationUrl);
    await flow.result;
    relay.fault("hang");
    flow.cancel();
    await flow.settled;
    assert.equal(flow.status.state, "done");
    await flow.result;
  });

  test("nobody needs to await the result", async () => {
    const { start, clock } = world();
    start();
    // An unhandled rejection would fail this test.
    await clock.advance(400_000);
    assert.equal(clock.armed, 0);
  });
});

describe("a device that sleeps and wakes", () => {
  const wakeable = () => {
    let wake = () => {};
    let isHeard = false;
    const wakeOn: AuthFlowOptions["wakeOn"] = (callback) => {
      wake = callback;
      isHeard = true;
      return () => {
        isHeard = false;
      };
    };
    return { wakeOn, wake: () => wake(), isHeard: () => isHeard };
  };

  test("asks anew at once, in a pause and over a request that may be dead", async () => {
    const { start, relay } = world();
    const page = wakeable();
    relay.fault("network", "hang");
    const flow = start({ wakeOn: page.wakeOn });
    await settle();
    assert.equal(flow.status.state, "pausing");
    page.wake();
    await settle();
    assert.deepEqual([flow.status.state, relay.log.length], ["asking", 2]);
    page.wake();
    await settle();
    assert.deepEqual([flow.status.state, relay.log.length, relay.waiting], ["asking", 3, 1]);
    flow.cancel();
    assert.equal(page.isHeard(), false);
  });

  test("does not give up a request at a link relay, which might hold the message already", async () => {
    const { start, relay } = world("link");
    const page = wakeable();
    const flow = start({ wakeOn: page.wakeOn });
    await settle();
    page.wake();
    await settle();
    assert.equal(relay.log.length, 1);
    flow.cancel();
  });

  test("is told at once when the time ran out meanwhile", async () => {
    const { platform, start } = world();
    const page = wakeable();
    let now = platform.clock.now();
    // Timers of a sleeping device stand still while the wall's clock goes on.
    const clock = { now: () => now, after: () => () => {} };
    const flow = start({ wakeOn: page.wakeOn, clock });
    now += 300_000;
    page.wake();
    await rejectsCode(flow.result, "flow_expired");
  });
});

describe("resuming", () => {
  test("from the saved state: before, while and after the person approves", async () => {
    for (const approvedAt of ["before", "after"]) {
      const { start, approve, platform } = world();
      const first = start();
      await settle();
      const saved: SavedAuthFlow = JSON.parse(JSON.stringify(first.save()));
      first.cancel();
      if (approvedAt === "before") await approve(first.authorizationUrl);
      const resumed = resumeAuthFlow(saved, platform);
      assert.equal(resumed.authorizationUrl, first.authorizationUrl);
      await settle();
      if (approvedAt === "after") await approve(first.authorizationUrl);
      const approval = await resumed.result;
      assert.deepEqual(approval.capabilities, [CAPS]);
    }
  });

  test("two tabs both get the approval, if both look before it is acknowledged", async () => {
    const { start, approve, platform } = world();
    const one = start();
    const two = resumeAuthFlow(one.authorizationUrl, platform);
    await settle();
    await approve(one.authorizationUrl);
    const [first, second] = await Promise.all([one.result, two.result]);
    assert.deepEqual(first.tokenBytes, second.tokenBytes);
  });

  test("past the token's window it says how long ago the person approved", async () => {
    const { start, approve, platform, clock } = world();
    const first = start();
    first.cancel();
    await approve(first.authorizationUrl);
    await clock.advance(200_000);
    const resumed = resumeAuthFlow(first.save(), platform);
    assert.match((await rejectsCode(resumed.result, "token_too_old")).message, /200 s ago/);
  });

  test("past the relay's memory there is nothing to find, and the time runs out", async () => {
    const { start, approve, platform, clock, relay } = world();
    const first = start();
    first.cancel();
    await approve(first.authorizationUrl);
    await clock.advance(300_000);
    assert.equal(relay.body, undefined);
    const outcome = rejectsCode(resumeAuthFlow(first.authorizationUrl, platform).result, "flow_expired");
    await clock.advance(300_000);
    await outcome;
  });

  test("keeps the first deadline; the link alone begins a new one", async () => {
    const { start, platform, clock, relay } = world();
    const first = start();
    const startedAt = clock.now();
    first.cancel();
    await clock.advance(100_000);
    assert.equal(resumeAuthFlow(first.save(), platform).status.expiresAt, startedAt + 300_000);
    assert.equal(resumeAuthFlow(first.authorizationUrl, platform).status.expiresAt, startedAt + 400_000);
    await clock.advance(200_000);
    const asked = relay.log.length;
    await rejectsCode(resumeAuthFlow(first.save(), platform).result, "flow_expired");
    await settle();
    // The second of the two above still asks; the one that expired before it began never did.
    assert.ok(relay.log.length - asked <= 1);
  });

  test("a grant needs its client key, and the right one", async () => {
    const { startGrant, approve, platform } = world();
    const first = startGrant();
    first.cancel();
    const saved = first.save();
    throwsCode(() => resumeAuthFlow(first.authorizationUrl, platform), "flow_wrong_link");
    const { clientKey: _, ...withoutKey } = saved;
    throwsCode(() => resumeAuthFlow(withoutKey, platform), "flow_wrong_link");
    const foreign = startGrant({ grant: { clientId: "demo.app" } });
    foreign.cancel();
    throwsCode(
      () => resumeAuthFlow({ ...saved, clientKey: foreign.save().clientKey! }, platform),
      "flow_client_key",
    );
    throwsCode(() => resumeAuthFlow({ ...saved, clientKey: "AAAA" }, platform), "flow_state_malformed");

    await approve(first.authorizationUrl);
    const approval = await resumeAuthFlow(saved, platform).result;
    assert.equal(approval.kind, "grant");
  });

  test("links that nobody awaits, and states that are none, are refused", () => {
    const hs = user.publicKey.z32;
    throwsCode(() => resumeAuthFlow(`pubkyauth://direct_signup?hs=${hs}`), "flow_wrong_link");
    throwsCode(() => resumeAuthFlow(`pubkyauth://secret_export?secret=${"A".repeat(43)}`), "flow_wrong_link");
    throwsCode(() => resumeAuthFlow("nonsense"), "link_scheme");
    for (const saved of [
      null,
      {},
      { v: 2 },
      { v: 1, link: 5, startedAt: 0 },
      { v: 1, link: "", startedAt: Number.NaN },
    ]) {
      throwsCode(() => resumeAuthFlow(saved as unknown as SavedAuthFlow), "flow_state_malformed");
    }
  });
});

test("what cannot be asked is refused before anything is", () => {
  const { start, startGrant, relay } = world();
  throwsCode(() => start({ capabilities: "/a:r,bogus" }), "capabilities_invalid");
  throwsCode(() => start({ relay: "nonsense" }), "link_parameter_invalid");
  throwsCode(() => start({ relay: "ftp://relay.example/inbox" }), "link_parameter_invalid");
  throwsCode(() => start({ signup: { homeserver: "nonsense" } }), "key_malformed");
  throwsCode(() => startGrant({ grant: { clientId: "" } }), "link_parameter_invalid");
  assert.deepEqual(relay.log, []);
});

test("each way of asking makes its kind of link", () => {
  const { start, startGrant } = world();
  const signup = { homeserver: user.publicKey, signupToken: "NN7N-VP43-NTW1" };
  const flows = [
    start(),
    start({ signup }),
    startGrant(),
    startGrant({ signup: { homeserver: String(user.publicKey) } }),
  ];
  const links = flows.map(({ authorizationUrl }) => parseLink(authorizationUrl));
  assert.deepEqual(
    links.map(({ kind }) => kind),
    ["signin", "signup", "signin_grant", "signup_grant"],
  );
  const [, withAccount] = links;
  assert.ok(withAccount?.kind === "signup" && withAccount.signupToken === "NN7N-VP43-NTW1");
  for (const flow of flows) flow.cancel();
});

test("every flow has its own secret", () => {
  const { start } = world();
  const [one, two] = [start(), start()];
  assert.notEqual(one.authorizationUrl, two.authorizationUrl);
  one.cancel();
  two.cancel();
});

test("the relay is asked without cookies, cache or referrer", async () => {
  const { start, platform } = world();
  let seen: RequestInit | undefined;
  const flow = start({
    fetch: (input, init) => {
      seen = init;
      return platform.fetch(input, init);
    },
  });
  await settle();
  assert.deepEqual(
    [seen?.credentials, seen?.cache, seen?.referrerPolicy],
    ["omit", "no-store", "no-referrer"],
  );
  flow.cancel();
});

test("a listener may cancel the flow, and one that is taken off hears no more", async () => {
  const { start } = world();
  const heard: AuthFlowStatus[] = [];
  const flow = start({ onStatus: (status) => heard.push(status) });
  const stop = flow.subscribe(({ state }) => state === "asking" && queueMicrotask(() => flow.cancel()));
  await rejectsCode(flow.result, "flow_cancelled");
  stop();
  assert.deepEqual(
    heard.map(({ state }) => state),
    ["idle", "asking", "failed"],
  );
});

test("a listener's mistake is its own: it is reported, and the flow goes on", async (t) => {
  const mistakes: unknown[] = [];
  t.mock.method(globalThis, "queueMicrotask", (job: () => void) => {
    try {
      job();
    } catch (error) {
      mistakes.push(error);
    }
  });
  const { start, approve } = world();
  const mistake = new TypeError("mine");
  const flow = start({
    onStatus: () => {
      throw mistake;
    },
  });
  await approve(flow.authorizationUrl);
  await flow.result;
  assert.ok(mistakes.length > 0 && mistakes.every((error) => error === mistake));
});

test("no error and no status tells of the secret", async () => {
  const { start, clock } = world();
  const flow = start();
  const link = parseLink(flow.authorizationUrl);
  assert.ok("clientSecret" in link);
  const secret = new URL(flow.authorizationUrl).searchParams.get("secret")!;
  const status = JSON.stringify(flow.status);
  await clock.advance(300_000);
  const error: unknown = await flow.result.catch((reason: unknown) => reason);
  assert.ok(error instanceof PubkyError);
  assert.ok(!`${status}${error.stack}${JSON.stringify(error)}`.includes(secret));
});

test("whatever the relay, strangers, the device and the person do, the flow ends well or in time, and cleanly", async () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("wait" as const), ms: fc.integer({ min: 0, max: 40_000 }) }),
    fc.record({
      do: fc.constant("fault" as const),
      fault: fc.constantFrom<Fault>(
        "network",
        "hang",
        { status: 503 },
        { status: 408 },
        { status: 204 },
        { status: 200, body: "junk" },
      ),
    }),
    fc.record({
      do: fc.constantFrom(
        "junk" as const,
        "approve" as const,
        "wake" as const,
        "down" as const,
        "up" as const,
      ),
    }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("inbox" as const, "link" as const),
      fc.array(step, { maxLength: 15 }),
      async (binding, steps) => {
        const { start, leave, token, relay, clock } = world(binding);
        let wake = () => {};
        const flow = start({
          wakeOn: (callback) => {
            wake = callback;
            return () => {};
          },
        });
        for (const action of steps) {
          await settle();
          if (action.do === "wait") await clock.advance(action.ms);
          if (action.do === "fault") relay.fault(action.fault);
          if (action.do === "junk") relay.plant("junk");
          if (action.do === "approve") leave(flow.authorizationUrl, await token());
          if (action.do === "wake") wake();
          if (action.do === "down") relay.down = "network";
          if (action.do === "up") relay.down = undefined;
        }
        await clock.advance(400_000);
        assert.ok(["done", "failed"].includes(flow.status.state));
        await flow.settled;
        const outcome = await flow.result.catch((error: unknown) => error);
        if (outcome instanceof PubkyError)
          assert.ok(["flow_expired", "token_too_old"].includes(outcome.code));
        else assert.ok((outcome as { publicKey: { z32: string } }).publicKey.z32 === user.publicKey.z32);
        assert.deepEqual([clock.armed, relay.waiting], [0, 0]);
        assert.ok(relay.log.length < 400);
      },
    ),
    { numRuns: 40 },
  );
});
