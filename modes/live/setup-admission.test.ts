import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hex } from "#tests/support/hex.ts";
import { muxPair, openGrant, relayOn } from "#tests/support/live-pair.ts";
import { RawSession } from "#tests/support/raw-session.ts";
import { settle, simClock } from "#tests/support/sim-clock.ts";
import type { Grant, Refusal } from "./grant.ts";

/** SETUP of moq-lite 02 with an even parameter, and with one of id 3 whose value is `hi`. */
const setupWithToken = "20 0010 01 c0000000ff0dad02 02 02 05 03 02 6869";
const nothing: Grant = { root: "", put: [], get: [], cluster: false, expiresAt: undefined };

/** A session that is undecided until `decide` is called. */
async function undecided() {
  const clock = simClock();
  const relay = relayOn(clock);
  const pair = muxPair(clock, "webtransport", undefined);
  const raw = new RawSession(pair.client);
  const shown: string[][] = [];
  const { promise, resolve: decide } = Promise.withResolvers<Grant | Refusal>();
  const session = relay.accept(pair.server, nothing, ({ tokens }) => {
    shown.push(tokens.map((value) => Buffer.from(value).toString("hex")));
    return promise;
  });
  const setup = raw.bidi(hex(setupWithToken));
  await settle();
  return { clock, relay, pair, raw, session, setup, shown, decide };
}

describe("a session that is decided about at its SETUP", () => {
  test("is answered nothing before, and has its grant after", async () => {
    const { setup, shown, session, decide } = await undecided();
    assert.deepEqual(shown, [["6869"]]);
    assert.equal(setup.hex, "");
    assert.equal(session.knownVersion, undefined);
    decide(openGrant("room"));
    await settle();
    assert.equal(session.grant.root, "room");
    assert.equal(session.knownVersion, 2);
    assert.equal(setup.hex.slice(0, 2), "21");
  });

  test("is closed with the code and the reason of its refusal", async () => {
    const { raw, relay, decide } = await undecided();
    decide({ code: 2, reason: "pp:AAAA" });
    await settle();
    assert.deepEqual({ code: raw.end?.code, reason: raw.end?.reason }, { code: 2, reason: "pp:AAAA" });
    assert.equal(relay.sessionCount, 0);
  });

  test("is closed at a second SETUP, which is not looked at", async () => {
    const { raw, relay, shown, decide } = await undecided();
    raw.bidi(hex(setupWithToken));
    await settle();
    assert.equal(raw.ended, true);
    assert.equal(shown.length, 1);
    decide(openGrant());
    await settle();
    assert.equal(relay.sessionCount, 0);
  });

  test("may go before, and is over", async () => {
    const { pair, relay, session, decide } = await undecided();
    pair.client.close(0, "bye");
    await settle();
    decide(openGrant());
    await settle();
    assert.equal(relay.sessionCount, 0);
    assert.equal(session.knownVersion, undefined);
  });

  test("ends when what let it in ends", async () => {
    const { clock, raw, decide } = await undecided();
    decide({ ...openGrant(), expiresAt: clock.now() + 60_000 });
    await clock.advance(59_999);
    assert.equal(raw.ended, false);
    await clock.advance(1);
    assert.equal(raw.end?.code, 6);
  });

  test("is closed when it sends no SETUP in time", async () => {
    const clock = simClock();
    const relay = relayOn(clock);
    const pair = muxPair(clock, "webtransport", undefined);
    const raw = new RawSession(pair.client);
    relay.accept(pair.server, nothing, () => Promise.reject(new Error("never asked")));
    await clock.advance(10_000);
    assert.equal(raw.end?.code, 3);
  });
});
