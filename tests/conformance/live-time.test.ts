/**
 * Cases of live that are about time, and therefore run in this process, on a clock that moves when told to: both ends of
 * each connection are in memory, in every framing and version. See live-announce.test.ts for the others.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Grant } from "#modes/live/grant.ts";
import type { LiveLimits } from "#modes/live/limits.ts";
import { muxPair, openGrant, relayOn } from "#tests/support/live-pair.ts";
import { LivePeer } from "#tests/support/live-peer.ts";
import { settle, simClock } from "#tests/support/sim-clock.ts";
import type { Framing, LiteVersion } from "#wire/live/version.ts";

interface Spoken {
  framing: Framing;
  version: LiteVersion;
}

const spoken: Spoken[] = (["qmux-02", "qmux-01", "qmux-00", "webtransport"] as const).flatMap((framing) =>
  // The older framing has no name for the versions that SETUP does not choose.
  ([5, 4, 3, 2, 1] as const)
    .filter((version) => framing !== "webtransport" || version <= 2)
    .map((version) => ({ framing, version })),
);

function sceneOf({ framing, version }: Spoken, limits: Partial<LiveLimits> = {}) {
  const clock = simClock();
  const relay = relayOn(clock, limits);
  let origins = 5n;
  return {
    clock,
    relay,
    async connect({ grant = openGrant(), origin = origins++ }: { grant?: Grant; origin?: bigint } = {}) {
      const pair = muxPair(clock, framing, version <= 2 ? undefined : version);
      const peer = new LivePeer(pair.client, version, origin);
      relay.accept(pair.server, grant);
      await peer.setUp();
      await settle();
      return Object.assign(peer, { pair });
    },
  };
}

type Scene = ReturnType<typeof sceneOf>;

function timedCase(
  name: string,
  limits: Partial<LiveLimits>,
  body: (scene: Scene, over: Spoken) => Promise<void>,
) {
  for (const over of spoken) {
    test(`${name}, ${over.framing}, moq-lite 0${over.version}`, () => body(sceneOf(over, limits), over));
  }
}

/** A publisher of `cam` and a viewer who has its first group. */
async function watching(scene: Scene) {
  const publisher = await scene.connect();
  publisher.publish("cam");
  await settle();
  const viewer = await scene.connect();
  const subscription = viewer.subscribe("cam", "v");
  const track = await publisher.askedFor();
  track.start(0);
  track.group(0, "warm");
  await subscription.whole(0);
  return { publisher, viewer, subscription, track };
}

describe("a track that nobody watches", () => {
  timedCase("19 stays warm for who comes within 30 s", {}, async (scene) => {
    const { publisher, subscription } = await watching(scene);
    subscription.leave();
    await scene.clock.advance(29_000);
    const late = (await scene.connect()).subscribe("cam", "v");
    await late.whole(0);
    assert.deepEqual(late.group(0)!.payloads, ["warm"]);
    await scene.clock.advance(60_000);
    assert.equal(publisher.asked.length, 1);
    assert.equal(publisher.asked[0]!.stream.fin, false);
  });

  timedCase("20 is given up after 30 s", {}, async (scene) => {
    const { publisher, viewer, track } = await watching(scene);
    viewer.close();
    await scene.clock.advance(29_999);
    assert.equal(track.stream.fin, false);
    await scene.clock.advance(1);
    assert.equal(track.stream.fin, true);
    const again = (await scene.connect()).subscribe("cam", "v");
    await publisher.askedFor(2);
    assert.equal(again.stream.over, false);
  });
});

describe("a viewer that stops reading", () => {
  timedCase(
    "22 for a minute costs no more than its bound, and goes on at the newest",
    { backlogMaxBytes: 50_000 },
    async (scene, { version }) => {
      const { publisher, viewer, subscription, track } = await watching(scene);
      const other = await scene.connect();
      const unhurt = other.subscribe("cam", "v");
      await unhurt.whole(0);
      viewer.pair.toClient.stalled = true;
      for (let sequence = 1; sequence <= 600; sequence++) {
        track.group(sequence, "x".repeat(1_000));
        if (sequence % 10 > 0) continue;
        await scene.clock.advance(1_000);
        for (const session of scene.relay.sessions) assert.ok(session.backlogBytes <= 52_000);
      }
      await unhurt.whole(600);
      assert.equal(unhurt.groups.length, 601);
      assert.equal(publisher.session.ended, false);
      viewer.pair.toClient.stalled = false;
      viewer.pair.server.drained();
      await subscription.whole(600);
      const [first] = subscription.sequences.filter((sequence) => sequence > 0);
      assert.equal(first, 600);
      assert.ok(subscription.groups.length <= 52, `${subscription.groups.length} of version ${version}`);
    },
  );
});

describe("a publisher that vanishes", () => {
  timedCase(
    "25 in the middle of a group: it is reset, and the broadcast lingers for 5 s",
    {},
    async (scene) => {
      const { publisher, viewer, subscription, track } = await watching(scene);
      const watch = viewer.watch("");
      track.open(1, "begun");
      await viewer.session.until(() => subscription.group(1)?.payloads.length === 1, "the group");
      publisher.pair.server.lost("cut");
      await viewer.session.until(() => subscription.group(1)!.stream.over, "its reset");
      assert.notEqual(subscription.group(1)!.stream.reset, undefined);
      await scene.clock.advance(4_999);
      assert.deepEqual(watch.diary, ["+cam"]);
      await scene.clock.advance(1);
      assert.deepEqual(watch.diary, ["+cam", "-cam"]);
      assert.equal(subscription.stream.over, true);
    },
  );

  timedCase("25 and is back in time: the broadcast is watched again", {}, async (scene, { version }) => {
    const { publisher, viewer, subscription } = await watching(scene);
    const watch = viewer.watch("");
    publisher.pair.server.lost("cut");
    await scene.clock.advance(3_000);
    const back = await scene.connect({ origin: publisher.origin });
    back.publish("cam");
    await settle();
    assert.equal(watch.diary.at(-1), "+cam");
    // From 04 on a publisher can be known again, and its viewers just go on.
    const next = version >= 4 ? subscription : viewer.subscribe("cam", "v");
    const track = await back.askedFor();
    track.start(1);
    track.group(1, "again");
    await next.whole(1);
    assert.deepEqual(next.group(1)!.payloads, ["again"]);
    await scene.clock.advance(10_000);
    assert.equal(watch.diary.at(-1), "+cam");
  });
});

describe("a session", () => {
  timedCase("42 ends with its token", {}, async (scene) => {
    const viewer = await scene.connect({ grant: { ...openGrant(), expiresAt: scene.clock.now() + 2_000 } });
    await scene.clock.advance(1_999);
    assert.equal(viewer.session.ended, false);
    await scene.clock.advance(1);
    assert.equal(viewer.session.end?.code, 6);
  });

  timedCase("leaves no timer behind", { announceLingerMs: 0, trackIdleLingerMs: 0 }, async (scene) => {
    const { publisher, viewer } = await watching(scene);
    viewer.watch("");
    await settle();
    viewer.close();
    publisher.close();
    await settle();
    assert.equal(scene.clock.armed, 0);
    assert.equal(scene.relay.cache.bytes, 0);
  });
});
