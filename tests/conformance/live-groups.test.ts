/** Cases of live as seen from outside: subscriptions, groups and what becomes of them. See live-announce.test.ts. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import type { AskedTrack, SeenSubscription } from "#tests/support/live-peer.ts";
import type { SubscribeOptions } from "#wire/live/subscribe.ts";
import { type ConnectedPeer, type LiveScene, liveCase, modern } from "./live-case.ts";
import type { Dialect } from "./live-relay.ts";

const from =
  (version: number) =>
  ({ version: spoken }: Dialect) =>
    spoken >= version;
const older: Dialect = { name: "02", subprotocol: "webtransport", version: 2 };
const oldest: Dialect = { name: "01", subprotocol: "webtransport", version: 1 };

/** A publisher of `cam`, a viewer who knows of it. */
async function both(scene: LiveScene, over: Dialect, viewerOver = over) {
  const publisher = await scene.connect(over, { origin: 5n });
  const viewer = await scene.connect(viewerOver, { origin: 6n });
  const watch = viewer.watch("");
  publisher.publish("cam");
  await viewer.session.until(() => watch.diary.length > 0, "the announcement");
  return { publisher, viewer };
}

/** The viewer's subscription, and the relay's with the publisher. */
async function subscribed(
  publisher: ConnectedPeer,
  viewer: ConnectedPeer,
  options: Partial<SubscribeOptions> = {},
): Promise<{ subscription: SeenSubscription; track: AskedTrack }> {
  const subscription = viewer.subscribe("cam", "v", options);
  const track = await publisher.askedFor();
  return { subscription, track };
}

describe("subscriptions", { concurrency: 6 }, () => {
  liveCase(
    "16 to what nobody announces is refused with 13; the session lives",
    { theirsDiffers: "the code is 54" },
    async (scene, over) => {
      const viewer = await scene.connect(over);
      const early = viewer.subscribe("cam", "v");
      await viewer.session.until(() => early.stream.over, "the refusal");
      assert.equal(early.stream.reset, 13);
      const publisher = await scene.connect(over);
      const watch = viewer.watch("");
      publisher.publish("cam");
      await viewer.session.until(() => watch.diary.length > 0, "the announcement");
      const { subscription, track } = await subscribed(publisher, viewer);
      track.start(0);
      track.group(0, "hello");
      await subscription.whole(0);
      assert.deepEqual(subscription.group(0)!.payloads, ["hello"]);
    },
  );

  liveCase("17 begin at the head of the latest group", {}, async (scene, over) => {
    const { publisher, viewer } = await both(scene, over);
    const { subscription: first, track } = await subscribed(publisher, viewer);
    track.start(0);
    track.group(0, "old");
    const open = track.open(1, "head");
    await viewer.session.until(() => first.group(1)?.payloads.length === 1, "the latest group");
    const late = viewer.subscribe("cam", "v");
    await viewer.session.until(() => late.group(1)?.payloads.length === 1, "its head");
    open.write("tail");
    open.more(new Uint8Array(0), true);
    await late.whole(1);
    assert.deepEqual(late.group(1)!.payloads, ["head", "tail"]);
    assert.deepEqual(late.sequences, [1]);
  });

  liveCase("18 of ten viewers are one with the publisher", {}, async (scene, over) => {
    const { publisher, viewer } = await both(scene, over);
    const viewers = [viewer, ...(await Promise.all(Array.from({ length: 9 }, () => scene.connect(over))))];
    const subscriptions = viewers.map((each) => each.subscribe("cam", "v"));
    const track = await publisher.askedFor();
    track.start(0);
    track.group(0, "x");
    await Promise.all(subscriptions.map((subscription) => subscription.whole(0)));
    assert.equal(publisher.asked.length, 1);
    assert.equal(publisher.described.length, over.version >= 5 ? 1 : 0);
  });

  liveCase("18 get each group once, whatever overtakes what", {}, async (scene, over) => {
    const { publisher, viewer } = await both(scene, over);
    const { subscription, track } = await subscribed(publisher, viewer);
    track.start(0);
    const groups = Array.from({ length: 30 }, (_, at) => at);
    for (const sequence of groups) {
      track.group(sequence, `${sequence}`);
      await subscription.whole(sequence);
    }
    assert.deepEqual(
      subscription.sequences.toSorted((a, b) => a - b),
      groups,
    );
  });

  liveCase(
    "end with the track, after its last group",
    { theirsUnsteady: "up to 04 it mostly leaves the stream open" },
    async (scene, over) => {
      const { publisher, viewer } = await both(scene, over);
      const { subscription, track } = await subscribed(publisher, viewer);
      track.start(0);
      track.group(0, "a");
      track.group(1, "b");
      await subscription.whole(0, 1);
      track.end(2);
      await viewer.session.until(() => subscription.stream.over, "the end");
      assert.equal(subscription.stream.fin, true);
      if (over.version >= 5) assert.deepEqual(subscription.replies.at(-1), { kind: "end", group: 2 });
    },
  );

  liveCase(
    "28 ordered, from a group on: each once, in order",
    { over: from(3), theirsDiffers: "the order is not kept" },
    async (scene, over) => {
      const { publisher, viewer } = await both(scene, over);
      const { subscription: warm, track } = await subscribed(publisher, viewer);
      track.start(0);
      for (const sequence of [0, 1, 2, 3]) {
        track.group(sequence, `${sequence}`);
        await warm.whole(sequence);
      }
      const ranged = viewer.subscribe("cam", "v", { ordered: true, startGroup: 2 });
      await ranged.whole(2, 3);
      track.group(4, "4");
      await ranged.whole(4);
      assert.deepEqual(ranged.sequences, [2, 3, 4]);
      if (over.version >= 5) assert.deepEqual(ranged.replies[0], { kind: "start", group: 2 });
    },
  );

  liveCase(
    "29 end where it was asked for, with nothing beyond",
    { over: from(3), theirsDiffers: "the stream stays open until the track ends" },
    async (scene, over) => {
      const { publisher, viewer } = await both(scene, over);
      const { subscription: warm, track } = await subscribed(publisher, viewer);
      track.start(0);
      track.group(0, "0");
      await warm.whole(0);
      const ranged = viewer.subscribe("cam", "v", { ordered: true, startGroup: 0, endGroup: 1 });
      await ranged.whole(0);
      track.group(1, "1");
      await viewer.session.until(() => ranged.stream.over, "the end");
      track.group(2, "2");
      await warm.whole(2);
      await ranged.whole(0, 1);
      assert.equal(ranged.stream.fin, true);
      assert.deepEqual(ranged.sequences, [0, 1]);
      if (over.version >= 5) assert.deepEqual(ranged.replies.at(-1), { kind: "end", group: 2 });
    },
  );

  liveCase(
    "30 from before what is held begin at the oldest",
    { over: from(3), theirsDiffers: ({ version }) => version < 5 && "no DROP is sent" },
    async (scene, over) => {
      const { publisher, viewer } = await both(scene, over);
      const { subscription: warm, track } = await subscribed(publisher, viewer);
      track.start(7);
      track.group(7, "7");
      track.group(8, "8");
      await warm.whole(7, 8);
      const ranged = viewer.subscribe("cam", "v", { ordered: true, startGroup: 3 });
      await ranged.whole(7, 8);
      if (over.version >= 5) assert.deepEqual(ranged.replies[0], { kind: "start", group: 7 });
      else
        assert.deepEqual(
          ranged.replies.find(({ kind }) => kind === "drop"),
          { kind: "drop", start: 3, end: 6, code: 2 },
        );
    },
  );
});

describe("groups", { concurrency: 6 }, () => {
  liveCase(
    "21 however many, reach a client that allows few streams at a time",
    { theirsUnsteady: "a burst does not arrive whole, nor always its newest group" },
    async (scene, over) => {
      const publisher = await scene.connect(over, { origin: 5n });
      const viewer = await scene.connect(over, { origin: 6n, limits: { streamsMax: 100 } });
      const watch = viewer.watch("");
      publisher.publish("cam");
      await viewer.session.until(() => watch.diary.length > 0, "the announcement");
      const { subscription, track } = await subscribed(publisher, viewer);
      track.start(0);
      for (let sequence = 0; sequence < 1_000; sequence++) track.group(sequence, "x");
      const newest = () => viewer.groups.some((group) => group.header?.sequence === 999 && group.stream.fin);
      await viewer.session.until(newest, "the newest group");
      assert.equal(viewer.session.ended, false);
      assert.equal(new Set(subscription.sequences).size, subscription.sequences.length);
    },
  );

  liveCase("23 that a viewer will not have are reset, and the next comes", {}, async (scene, over) => {
    const { publisher, viewer } = await both(scene, over);
    const { subscription, track } = await subscribed(publisher, viewer);
    track.start(0);
    const open = track.open(0, "begun");
    await viewer.session.until(() => subscription.group(0)?.payloads.length === 1, "the group");
    subscription.group(0)!.stream.stop(0);
    track.group(1, "next");
    await subscription.whole(1);
    open.more(new Uint8Array(0), true);
    assert.equal(subscription.group(0)!.stream.fin, false);
  });

  liveCase(
    "24 that the publisher gives up are reset, and no other",
    { theirsDiffers: "the group stays open" },
    async (scene, over) => {
      const { publisher, viewer } = await both(scene, over);
      const { subscription, track } = await subscribed(publisher, viewer);
      track.start(0);
      track.group(0, "whole");
      await subscription.whole(0);
      const open = track.open(1, "begun");
      await viewer.session.until(() => subscription.group(1)?.payloads.length === 1, "the group");
      open.giveUp(64);
      await viewer.session.until(() => subscription.group(1)!.stream.over, "its reset");
      assert.notEqual(subscription.group(1)!.stream.reset, undefined);
      track.group(2, "after");
      await subscription.whole(2);
      assert.equal(subscription.stream.over, false);
    },
  );

  liveCase(
    "26 of a publisher of 02 have timestamps for a viewer of 05",
    { over: ({ version }) => version === 5 },
    async (scene, over) => {
      const { publisher, viewer } = await both(scene, older, over);
      const { subscription, track } = await subscribed(publisher, viewer);
      track.group(0, "a", "b");
      await subscription.whole(0);
      const info = await viewer.trackInfo("cam", "v");
      assert.equal(info.timescale, 1_000);
      assert.deepEqual(subscription.group(0)!.payloads, ["a", "b"]);
      const times = subscription.group(0)!.frames.map(({ timestamp }) => timestamp);
      assert.ok(times[0]! > 0 && times[0]! <= times[1]!, times.join());
    },
  );

  for (const to of [oldest, older]) {
    liveCase(
      `27 of a publisher of 05 are the same for a viewer of ${to.name}`,
      { over: ({ version }) => version === 5 },
      async (scene, over) => {
        const { publisher, viewer } = await both(scene, over, to);
        const { subscription, track } = await subscribed(publisher, viewer);
        track.start(0);
        track.group(0, "a", "", "b");
        await subscription.whole(0);
        assert.deepEqual(subscription.group(0)!.payloads, ["a", "", "b"]);
      },
    );
  }

  liveCase("of any version reach the newest, and the other way round", {}, async (scene, over) => {
    for (const [one, other] of [
      [over, modern],
      [modern, over],
    ] as const) {
      const { publisher, viewer } = await both(scene, one, other);
      const { subscription, track } = await subscribed(publisher, viewer);
      track.start(0);
      track.group(0, "a", "b");
      await subscription.whole(0);
      assert.deepEqual(subscription.group(0)!.payloads, ["a", "b"]);
      publisher.close();
      await viewer.session.until(() => subscription.stream.over, "the end");
    }
  });

  liveCase(
    "32 are fetched while they are held, and as they grow",
    { over: from(5), theirsDiffers: "a group that is not there is waited for" },
    async (scene, over) => {
      const { publisher, viewer } = await both(scene, over);
      const { subscription, track } = await subscribed(publisher, viewer);
      track.start(0);
      track.group(0, "a", "b");
      const open = track.open(1, "c");
      await subscription.whole(0);
      await viewer.session.until(() => subscription.group(1)?.payloads.length === 1, "the open group");
      const [held, growing, missing] = [0, 1, 9].map((sequence) => viewer.fetch("cam", "v", sequence));
      await viewer.session.until(
        () => held!.over && growing!.bytes.length >= 3 && missing!.over,
        "the answers",
      );
      assert.equal(held!.hex, "02016102" + "0162");
      assert.equal(held!.fin, true);
      assert.equal(missing!.reset, 13);
      open.write("d");
      open.more(new Uint8Array(0), true);
      await viewer.session.until(() => growing!.over, "the rest");
      assert.equal(growing!.hex, "020163" + "020164");
    },
  );

  liveCase(
    "31 of the more urgent track go first, also when it becomes so later",
    { over: from(3), theirsUnsteady: "which groups are left out is a matter of luck" },
    async (scene, over) => {
      const { publisher, viewer } = await both(scene, over);
      const calm = viewer.subscribe("cam", "calm", { priority: 5 });
      const urgent = viewer.subscribe("cam", "urgent", { priority: 1 });
      await publisher.askedFor(2);
      const trackOf = (name: string) => publisher.asked.find(({ request }) => request.track === name)!;
      for (const name of ["calm", "urgent"]) trackOf(name).start(0);
      urgent.update({ priority: 9 });
      // Both sides have seen the update once a later request is answered.
      const barrier = viewer.watch("nothing-here");
      const probe = await scene.connect(modern, { origin: 9n });
      probe.publish("nothing-here");
      await viewer.session.until(() => barrier.diary.length > 0, "the probe");
      viewer.connection.socket.pause();
      const big = "x".repeat(40_000);
      for (let sequence = 0; sequence < 60; sequence++) {
        for (const name of ["calm", "urgent"]) trackOf(name).group(sequence, big);
      }
      viewer.connection.socket.resume();
      await viewer.session.until(
        () => calm.group(59)?.stream.fin === true && urgent.group(59)?.stream.fin === true,
        "both newest",
      );
      const got = (track: SeenSubscription) => track.groups.filter(({ stream }) => stream.fin).length;
      assert.ok(got(urgent) >= got(calm), `${got(urgent)} of the urgent, ${got(calm)} of the calm`);
    },
  );
});
