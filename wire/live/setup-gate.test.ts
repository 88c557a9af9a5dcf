import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RelayError } from "#core/errors.ts";
import { FakePublisher, muxPair, openGrant, relayOn } from "#tests/support/live-pair.ts";
import { settle, simClock } from "#tests/support/sim-clock.ts";
import type { Knock } from "./acceptor.ts";
import { SetupGate } from "./setup-gate.ts";
import type { LiteVersion } from "./version.ts";

const limits = { setupTimeoutMs: 10_000, heldMaxBytes: 65_536 };

/** A gate in front of a relay, and the other end of its connection, still unused. */
function gated(version: LiteVersion | undefined, admit: (knock: Knock) => Promise<void>) {
  const clock = simClock();
  const relay = relayOn(clock);
  const pair = muxPair(clock, "qmux-01", version);
  const knocks: Knock[] = [];
  const gate = new SetupGate(
    pair.server,
    {
      async admit(knock) {
        knocks.push(knock);
        await admit(knock);
        return openGrant(knock.path.slice(1));
      },
      accept: (transport, grant) => void relay.accept(transport, grant),
    },
    "tcp",
    limits,
    clock,
    (error) => {
      throw error;
    },
  );
  gate.start();
  return { clock, relay, knocks, ...pair };
}

/** What the far end of a connection learns of its close. */
function untilClosed(pair: ReturnType<typeof gated>) {
  const seen: { code?: number; reason?: string } = {};
  pair.client.handler = {
    onUni() {},
    onBidi() {},
    onPump() {},
    onEnd: ({ code, reason }) => void Object.assign(seen, { code, reason }),
  };
  return seen;
}

describe("a client without a URL", () => {
  test("says in its setup where it wants to, and with which token", async () => {
    const pair = gated(5, async () => {});
    pair.client.setupTarget = "/room/a?jwt=x.y.z";
    const local = relayOn(pair.clock);
    local.origin.announce("cam", new FakePublisher(), []);
    local.accept(pair.client, openGrant());
    await settle();
    assert.deepEqual(
      pair.knocks.map(({ path, query }) => [path, query.get("jwt")]),
      [["/room/a", "x.y.z"]],
    );
    assert.ok(pair.relay.origin.find("room/a/cam"));
  });

  test("wants the root if it cannot say so", async () => {
    for (const version of [undefined, 3, 4] as const) {
      const pair = gated(version, async () => {});
      const local = relayOn(pair.clock);
      local.origin.announce("cam", new FakePublisher(), []);
      local.accept(pair.client, openGrant());
      await settle();
      assert.deepEqual(
        pair.knocks.map(({ path, beginsWithSetup }) => [path, beginsWithSetup]),
        [["/", version === undefined]],
      );
      assert.ok(pair.relay.origin.find("cam"));
    }
  });

  test("is not heard before it is let in, and misses nothing of what it asked meanwhile", async () => {
    const decision = Promise.withResolvers<void>();
    const pair = gated(5, () => decision.promise);
    const local = relayOn(pair.clock);
    local.accept(pair.client, openGrant());
    pair.relay.origin.announce("cam", new FakePublisher(), []);
    await settle();
    assert.equal(pair.relay.sessionCount, 0);
    assert.equal(local.origin.find("cam"), undefined);
    decision.resolve();
    await settle();
    assert.ok(local.origin.find("cam"));
  });

  test("is told why it may not come in", async () => {
    const pair = gated(5, async () => {
      throw new RelayError("unauthorized");
    });
    const local = relayOn(pair.clock);
    const session = local.accept(pair.client, openGrant());
    const ended = Promise.withResolvers<void>();
    session.whenOver(ended.resolve);
    await ended.promise;
    assert.equal(pair.relay.sessionCount, 0);
  });

  test("that says nothing is closed after a while", async () => {
    const pair = gated(5, async () => {});
    const seen = untilClosed(pair);
    await pair.clock.advance(10_000);
    assert.deepEqual(seen, { code: 3, reason: "no setup in time" });
  });

  test("that sends more than a little before its setup is closed", async () => {
    const pair = gated(5, async () => {});
    const seen = untilClosed(pair);
    const { client } = pair;
    client.handler.onPump = () => {
      while (client.writable && client.openBidi()?.send.write(new Uint8Array(1_000), 0, false));
    };
    client.wake();
    await settle();
    assert.equal(seen.code, 11);
  });

  test("whose setup makes no sense is closed, and one who leaves early leaves nothing", async () => {
    const pair = gated(5, async () => {});
    const seen = untilClosed(pair);
    const { client } = pair;
    client.handler.onPump = () => {
      client.handler.onPump = () => {};
      client.openUni()!.write(new Uint8Array([1, 3, 1, 2, 9]), 0, true);
    };
    client.wake();
    await settle();
    assert.equal(seen.code, 5);
    assert.equal(pair.clock.armed, 0);
  });
});
