/**
 * What a relay of live must do, as seen from outside: announcements. The cases are those of the contract, by number.
 *
 *     node --test tests/conformance/live-*.test.ts                                         this checkout
 *     MOQ_RELAY_COMMAND=/path/to/moq-relay node --test tests/conformance/live-*.test.ts    the published relay
 *     LIVE_RELAY_URL=http://host:port node --test tests/conformance/live-*.test.ts         whatever runs there
 *
 * Each case runs over every framing and version that has the feature. Where the published relay does otherwise, a run
 * against it expects just that; docs/live-compatibility.md says why.
 */
import assert from "node:assert/strict";
import { describe } from "node:test";
import { liveCase, modern } from "./live-case.ts";

describe("announcements", { concurrency: 6 }, () => {
  liveCase(
    "8 a broadcast is announced once, by its full path, and taken back at its end",
    { theirsUnsteady: "now and then the end is not told" },
    async (scene, over) => {
      const publisher = await scene.connect(over);
      const watcher = await scene.connect(over);
      const watch = watcher.watch("");
      publisher.publish("room/cam");
      await watcher.session.until(() => watch.diary.length === 1, "the announcement");
      publisher.unpublish("room/cam");
      await watcher.session.until(() => watch.diary.length === 2, "its end");
      assert.deepEqual(watch.diary, ["+room/cam", "-room/cam"]);
    },
  );

  liveCase("8 a session that says goodbye takes its broadcasts with it", {}, async (scene, over) => {
    const publisher = await scene.connect(over);
    const watcher = await scene.connect(over);
    const watch = watcher.watch("");
    publisher.publish("cam");
    await watcher.session.until(() => watch.diary.length === 1, "the announcement");
    publisher.close();
    await watcher.session.until(() => watch.diary.length === 2, "its end");
    assert.deepEqual(watch.diary, ["+cam", "-cam"]);
  });

  liveCase("9 a prefix ends between parts", {}, async (scene, over) => {
    const publisher = await scene.connect(over);
    const watcher = await scene.connect(over);
    const watch = watcher.watch("room");
    publisher.publish("roomy/x");
    publisher.publish("roo");
    publisher.publish("room/x");
    await watcher.session.until(() => watch.diary.length > 0, "the announcement");
    assert.deepEqual(watch.diary, ["+x"]);
  });

  liveCase("10 a prefix that is the whole name leaves an empty suffix", {}, async (scene, over) => {
    const publisher = await scene.connect(over);
    const watcher = await scene.connect(over);
    const watch = watcher.watch("room/cam");
    publisher.publish("room/cam");
    await watcher.session.until(() => watch.diary.length > 0, "the announcement");
    assert.deepEqual(watch.diary, ["+"]);
  });

  liveCase("11 a publisher does not see its own", {}, async (scene, over) => {
    const publisher = await scene.connect(over);
    const other = await scene.connect(modern, { origin: 78n });
    // From 04 on a watcher names itself as the hop whose announcements it does not want.
    const watch = publisher.watch("", publisher.origin);
    const elsewhere = other.watch("");
    publisher.publish("mine");
    await other.session.until(() => elsewhere.diary.length === 1, "the announcement elsewhere");
    other.publish("other");
    await publisher.session.until(() => watch.diary.length > 0, "the other's announcement");
    assert.deepEqual(watch.diary, ["+other"]);
  });

  liveCase(
    "12 a watch is told how many there are, then each, then changes",
    { over: ({ version }) => version >= 5 },
    async (scene, over) => {
      const publisher = await scene.connect(over);
      const early = await scene.connect(over);
      const seen = early.watch("");
      for (const name of ["a", "b", "c"]) publisher.publish(name);
      await early.session.until(() => seen.diary.length === 3, "three announcements");
      const late = await scene.connect(over);
      const watch = late.watch("");
      await late.session.until(() => watch.diary.length === 3, "three announcements at once");
      assert.equal(watch.first?.active, 3);
      assert.ok(watch.first.origin !== 0n);
      assert.deepEqual(watch.diary.toSorted(), ["+a", "+b", "+c"]);
      publisher.unpublish("b");
      publisher.publish("d");
      await late.session.until(() => watch.diary.length === 5, "the changes");
      assert.deepEqual(watch.diary.slice(3), ["-b", "+d"]);
    },
  );

  liveCase(
    "13 the oldest versions are told what there is in one message, even if that is nothing",
    { over: ({ version }) => version <= 2 },
    async (scene, over) => {
      const watcher = await scene.connect(over);
      const watch = watcher.watch("");
      await watcher.session.until(() => watch.first !== undefined, "ANNOUNCE_INIT");
      assert.equal(watch.first?.active, 0);
      const publisher = await scene.connect(over);
      publisher.publish("a");
      publisher.publish("b");
      await watcher.session.until(() => watch.diary.length === 2, "two announcements");
      const late = watcher.watch("");
      await watcher.session.until(() => late.first !== undefined, "ANNOUNCE_INIT");
      assert.equal(late.first?.active, 2);
      assert.deepEqual(late.diary.toSorted(), ["+a", "+b"]);
    },
  );

  liveCase(
    "14 what came through the relay already is ignored",
    { over: ({ version }) => version >= 4 },
    async (scene, over) => {
      // Up to 04 the relay names itself as the last hop of what it tells, in 05 in its first answer.
      const teller = await scene.connect(over, { origin: 5n });
      teller.publish("first");
      const watcher = await scene.connect(over, { origin: 6n });
      const watch = watcher.watch("");
      await watcher.session.until(() => watch.diary.length === 1, "the announcement");
      const relayId = over.version >= 5 ? watch.first!.origin! : watch.events[0]!.hops.at(-1)!;
      teller.publish("looped", [9n, relayId]);
      teller.publish("straight", [9n]);
      await watcher.session.until(() => watch.diary.length === 2, "the other announcement");
      assert.deepEqual(watch.diary, ["+first", "+straight"]);
    },
  );

  liveCase("15 of two publishers of one path one is served after the other", {}, async (scene, over) => {
    const first = await scene.connect(over, { origin: 5n });
    const watcher = await scene.connect(over, { origin: 7n });
    const watch = watcher.watch("");
    first.publish("cam");
    await watcher.session.until(() => watch.diary.length === 1, "the announcement");
    const second = await scene.connect(over, { origin: 6n });
    second.publish("cam");
    // Told or not, there is no gap: what follows an end is a beginning.
    const probe = await scene.connect(over, { origin: 8n });
    await second.session.until(() => second.watched.length > 0, "the relay's watch");
    probe.publish("probe");
    await watcher.session.until(() => watch.diary.includes("+probe"), "the probe");
    const viewer = await scene.connect(over, { origin: 9n });
    const before = viewer.subscribe("cam", "v");
    await second.askedFor();
    assert.equal(first.asked.length, 0);
    second.asked[0]!.start(0);
    second.asked[0]!.group(0, "second");
    await before.whole(0);
    second.close();
    await viewer.session.until(() => before.stream.over, "the end of the subscription");
    const again = viewer.subscribe("cam", "v");
    await first.askedFor();
    first.asked[0]!.start(0);
    first.asked[0]!.group(0, "first");
    await again.whole(0);
    assert.deepEqual(again.group(0)!.payloads, ["first"]);
    const cam = watch.diary.filter((line) => line.endsWith("cam"));
    assert.ok(cam.length >= 1 && cam.at(-1) === "+cam", cam.join());
  });
});
