import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hex } from "#tests/support/hex.ts";
import {
  broadcastCrosses,
  clientOf,
  FakePublisher,
  FakeViewer,
  muxPair,
  openGrant,
  relayOn,
  scene,
  view,
} from "#tests/support/live-pair.ts";
import { RawSession } from "#tests/support/raw-session.ts";
import { settle, simClock } from "#tests/support/sim-clock.ts";
import type { Framing, LiteVersion } from "#wire/live/version.ts";
import type { Watcher } from "./origin.ts";

const versions: LiteVersion[] = [1, 2, 3, 4, 5, 6];
/** SETUP chooses 02; a test that wants 01 is done by the npm client that speaks nothing newer. */
const named = (version: LiteVersion): LiteVersion | undefined => (version <= 2 ? undefined : version);
const framings: Framing[] = ["qmux-02", "qmux-01", "qmux-00", "webtransport"];

/** What a watcher is told, one line an event. */
class Diary implements Watcher {
  readonly lines: string[] = [];

  onRoutes(path: string, routes: readonly unknown[]): void {
    this.lines.push(routes.length > 0 ? `+${path}` : `-${path}`);
  }
}

describe("a broadcast crosses the relay", () => {
  for (const framing of framings) {
    for (const version of versions.slice(1)) {
      test(`over ${framing}, moq-lite 0${version} in, 05 out and the other way`, async () => {
        const { clock, relay } = scene();
        const old = clientOf(relay, clock, { framing, version: named(version) });
        const modern = clientOf(relay, clock);
        await settle();
        for (const [from, to] of [
          [old, modern],
          [modern, old],
        ] as const) {
          await broadcastCrosses(from, to, ["a", "b"]);
        }
      });
    }
  }

  test("names are relative to each session's URL", async () => {
    const { clock, relay } = scene();
    const inRoom = clientOf(relay, clock, { grant: openGrant("room") });
    const outside = clientOf(relay, clock);
    inRoom.local.origin.announce("cam", new FakePublisher(), []);
    await settle();
    assert.ok(outside.local.origin.find("room/cam"));
    const elsewhere = clientOf(relay, clock, { grant: openGrant("roo") });
    await settle();
    assert.equal([...elsewhere.local.origin.broadcasts].length, 0);
  });

  test("a grant bounds what is published and what is seen", async () => {
    const { clock, relay } = scene();
    const limited = { ...openGrant(), put: ["mine"], get: ["yours"] };
    const client = clientOf(relay, clock, { grant: limited });
    const other = clientOf(relay, clock);
    const publisher = new FakePublisher();
    client.local.origin.announce("mine/a", publisher, []);
    client.local.origin.announce("theirs/b", publisher, []);
    other.local.origin.announce("yours/c", new FakePublisher(), []);
    other.local.origin.announce("secret/d", new FakePublisher(), []);
    await settle();
    assert.ok(relay.origin.find("mine/a"));
    assert.equal(relay.origin.find("theirs/b"), undefined);
    assert.ok(client.local.origin.find("yours/c"));
    assert.equal(client.local.origin.find("secret/d"), undefined);
  });
});

describe("subscriptions", () => {
  test("many subscribers are one upstream; it stays warm for a while after the last", async () => {
    const { clock, relay } = scene();
    const publisher = new FakePublisher();
    relay.origin.announce("cam", publisher, []);
    const clients = Array.from({ length: 10 }, () => clientOf(relay, clock));
    await settle();
    const viewers = clients.map(() => new FakeViewer());
    const cancels = clients.map((client, at) => view(client.local, "cam", "v", viewers[at]!));
    await settle();
    assert.equal(publisher.asked.length, 1);
    publisher.asked[0]!.group(0, "x");
    await settle();
    for (const viewer of viewers) assert.equal(viewer.payload(0), "x");
    for (const cancel of cancels) cancel();
    for (const client of clients) client.leave();
    await clock.advance(29_000);
    assert.equal(publisher.asked[0]!.closed, false);

    const late = clientOf(relay, clock);
    await settle();
    const viewer = new FakeViewer();
    view(late.local, "cam", "v", viewer);
    await settle();
    assert.equal(publisher.asked.length, 1);
    assert.equal(viewer.payload(0), "x");
    late.leave();
    await clock.advance(31_000);
    assert.equal(publisher.asked[0]!.closed, true);
  });

  test("a late one begins at the head of the latest group", async () => {
    const { clock, relay } = scene();
    const publisher = new FakePublisher();
    relay.origin.announce("cam", publisher, []);
    view(relay, "cam", "v", new FakeViewer());
    for (let sequence = 0; sequence < 5; sequence++) publisher.asked[0]!.group(sequence, `k${sequence}`, "p");
    publisher.asked[0]!.open(5, "k5", "p");
    const client = clientOf(relay, clock);
    await settle();
    const viewer = new FakeViewer();
    view(client.local, "cam", "v", viewer);
    await settle();
    assert.deepEqual(viewer.sequences, [5]);
    assert.equal(viewer.payload(5), "k5,p");
  });

  test("to what nobody announces, or the publisher has not, fail", async () => {
    const { clock, relay } = scene();
    const publisher = new FakePublisher();
    publisher.accepts = false;
    const from = clientOf(relay, clock);
    const to = clientOf(relay, clock);
    from.local.origin.announce("cam", publisher, []);
    await settle();
    const viewer = new FakeViewer();
    view(to.local, "cam", "nothing", viewer);
    await settle();
    publisher.asked[0]!.sink.onError(13);
    await settle();
    assert.equal(viewer.ended, 13);
    const silent = new FakeViewer();
    view(to.local, "cam", "silent", silent);
    await clock.advance(11_000);
    assert.equal(silent.ended, 3);
  });

  test("a group that the publisher gives up is reset for its subscribers; others go on", async () => {
    const { clock, relay } = scene();
    const from = clientOf(relay, clock);
    const to = clientOf(relay, clock);
    const publisher = new FakePublisher();
    from.local.origin.announce("cam", publisher, []);
    await settle();
    const viewer = new FakeViewer();
    view(to.local, "cam", "v", viewer);
    await settle();
    const track = publisher.asked[0]!;
    const broken = track.open(0, "a");
    await settle();
    track.sink.endGroup(broken, 70);
    track.group(1, "b");
    await settle();
    assert.equal(viewer.groups[0]!.state, 70);
    assert.equal(viewer.groups[1]!.state, "complete");
  });

  test("the end of a track reaches its subscribers after its last group", async () => {
    const { clock, relay } = scene();
    const from = clientOf(relay, clock);
    const to = clientOf(relay, clock);
    const publisher = new FakePublisher();
    from.local.origin.announce("cam", publisher, []);
    await settle();
    const viewer = new FakeViewer();
    view(to.local, "cam", "v", viewer);
    await settle();
    publisher.asked[0]!.group(0, "last");
    publisher.asked[0]!.sink.onComplete();
    await settle();
    assert.equal(viewer.payload(0), "last");
    assert.equal(viewer.ended, "complete");
  });

  test("a group that comes after the end of its subscription is not lost", async () => {
    const { clock, relay } = scene();
    const pair = muxPair(clock, "qmux-02", 5);
    const raw = new RawSession(pair.client);
    relay.accept(pair.server, openGrant());
    await settle();
    relay.origin.announce("cam", [...relay.sessions][0]!.source!, []);
    const viewer = new FakeViewer();
    view(relay, "cam", "v", viewer);
    await settle();
    const subscription = raw.bidis.find((stream) => stream.hex.startsWith("02"))!;
    // START 0, END before 2, FIN; then groups 0 and 1.
    subscription.answer(hex("000100 010102"), true);
    await settle();
    assert.equal(viewer.ended, undefined);
    raw.uni(hex("00020000 000161"), true);
    raw.uni(hex("00020001 000162"), true);
    await settle();
    assert.deepEqual([viewer.payload(0), viewer.payload(1)], ["a", "b"]);
    assert.equal(viewer.ended, "complete");
  });

  test("upstream is asked for the most urgent of all priorities", async () => {
    const { relay } = scene();
    const publisher = new FakePublisher();
    relay.origin.announce("cam", publisher, []);
    view(relay, "cam", "v", new FakeViewer({ priority: 3 }));
    view(relay, "cam", "v", new FakeViewer({ priority: 9 }));
    assert.deepEqual(
      publisher.asked[0]!.options.map((options) => options.priority),
      [3, 9],
    );
  });
});

describe("announcements", () => {
  test("are live, by whole parts of the name, and not echoed to their publisher", async () => {
    const { clock, relay } = scene();
    const client = clientOf(relay, clock);
    const publisher = new FakePublisher();
    client.local.origin.announce("room/x", publisher, []);
    client.local.origin.announce("roomy/x", publisher, []);
    await settle();
    const diary = new Diary();
    relay.origin.watch("room", diary);
    assert.deepEqual(diary.lines, ["+room/x"]);
    client.local.origin.unannounce("room/x", publisher, false);
    await settle();
    assert.deepEqual(diary.lines, ["+room/x", "-room/x"]);
    assert.equal(client.local.origin.find("roomy/x")?.routes.length, 1);
  });

  test("of one path by two publishers: the newer is served, the older again after it", async () => {
    const { clock, relay } = scene();
    const [first, second, viewerClient] = [
      clientOf(relay, clock),
      clientOf(relay, clock),
      clientOf(relay, clock),
    ];
    const [one, two] = [new FakePublisher(), new FakePublisher()];
    first.local.origin.announce("cam", one, []);
    await settle();
    second.local.origin.announce("cam", two, []);
    await settle();
    view(viewerClient.local, "cam", "v", new FakeViewer());
    await settle();
    assert.deepEqual([one.asked.length, two.asked.length], [0, 1]);
    second.leave();
    await settle();
    const viewer = new FakeViewer();
    view(viewerClient.local, "cam", "v", viewer);
    await settle();
    assert.equal(one.asked.length, 1);
    one.asked[0]!.group(0, "again");
    await settle();
    assert.equal(viewer.payload(0), "again");
  });

  test("of one path: the newer is served, whichever version either speaks", async () => {
    for (const [one, other] of [
      [2, 5],
      [5, 2],
      [3, 5],
      [4, 2],
    ] as const) {
      const { clock, relay } = scene();
      const publishers = [new FakePublisher(), new FakePublisher()];
      for (const [at, version] of [one, other].entries()) {
        const client = clientOf(relay, clock, { version: named(version) });
        client.local.origin.announce("cam", publishers[at]!, []);
        await settle();
      }
      view(relay, "cam", "v", new FakeViewer());
      await settle();
      assert.deepEqual(
        publishers.map(({ asked }) => asked.length),
        [0, 1],
        `${one} then ${other}`,
      );
    }
  });

  for (const version of [5, 14, 16, 20] as const) {
    test(`in version ${version} of more than a control stream may hold are all told, and so are their ends`, async () => {
      const { clock, relay } = scene({ controlMaxBytes: 4_096 });
      const publisher = new FakePublisher();
      const names = Array.from({ length: 900 }, (_, at) => `a-broadcast-with-a-name-of-some-length-${at}`);
      for (const name of names) relay.origin.announce(name, publisher, []);
      const { local } = clientOf(relay, clock, { version });
      for (let round = 0; round < 20; round++) await settle();
      assert.equal(local.origin.broadcastCount, 900);
      for (const name of names) relay.origin.unannounce(name, publisher, false);
      for (let round = 0; round < 20; round++) await settle();
      assert.equal(local.origin.broadcastCount, 0);
      assert.equal(relay.sessionCount, 1);
    });

    test(`in version ${version} that come and go while nobody reads are told as they are in the end`, async () => {
      const { clock, relay } = scene({ controlMaxBytes: 1_024 });
      const publisher = new FakePublisher();
      relay.origin.announce("stays", publisher, [7n]);
      const client = clientOf(relay, clock, { version });
      await settle();
      const diary = new Diary();
      client.local.origin.watch("", diary);
      client.toClient.stalled = true;
      for (let round = 0; round < 1_000; round++) {
        relay.origin.unannounce("stays", publisher, false);
        relay.origin.announce("stays", publisher, [7n]);
        relay.origin.announce("passes", publisher, [7n]);
        relay.origin.unannounce("passes", publisher, false);
      }
      await settle();
      client.toClient.stalled = false;
      client.server.drained();
      await settle();
      assert.deepEqual(diary.lines, ["+stays", "-stays", "+stays"]);
      assert.equal(relay.sessionCount, 1);
    });
  }

  test("that take a request each wait until the remote allows more of them", async () => {
    const clock = simClock();
    const relay = relayOn(clock);
    const local = relayOn(clock, { subscriptionsMax: 2, announcementsMax: 10, watchesMax: 2 });
    const pair = muxPair(clock, "qmux-02", 14);
    local.accept(pair.client, openGrant());
    relay.accept(pair.server, openGrant());
    await settle();
    const publisher = new FakePublisher();
    const namesOf = (round: number) => Array.from({ length: 10 }, (_, at) => `cam-${round}-${at}`);
    for (let round = 0; round < 20; round++) {
      for (const name of namesOf(round - 1)) relay.origin.unannounce(name, publisher, false);
      for (const name of namesOf(round)) relay.origin.announce(name, publisher, []);
      await settle();
      const there = [...local.origin.broadcasts].map(({ path }) => path).toSorted();
      assert.deepEqual(there, namesOf(round));
    }
    assert.equal(local.sessionCount, 1);
  });

  test("below prefixes that overlap come once, and go once", async () => {
    const { clock, relay } = scene();
    const client = clientOf(relay, clock, { grant: { ...openGrant(), put: ["room", "", "room/a", "room"] } });
    const diary = new Diary();
    relay.origin.watch("", diary);
    const publisher = new FakePublisher();
    client.local.origin.announce("room/a/cam", publisher, []);
    await settle();
    client.local.origin.unannounce("room/a/cam", publisher, false);
    await settle();
    assert.deepEqual(diary.lines, ["+room/a/cam", "-room/a/cam"]);
  });

  test("linger when a publisher vanishes without a word, and end at once when it says goodbye", async () => {
    const { clock, relay } = scene();
    const polite = clientOf(relay, clock);
    const abrupt = clientOf(relay, clock);
    polite.local.origin.announce("polite", new FakePublisher(), []);
    abrupt.local.origin.announce("abrupt", new FakePublisher(), []);
    await settle();
    polite.leave();
    abrupt.server.lost("cable cut");
    await settle();
    assert.equal(relay.origin.find("polite"), undefined);
    assert.ok(relay.origin.find("abrupt"));
    await clock.advance(5_000);
    assert.equal(relay.origin.find("abrupt"), undefined);
  });

  test("that came through us already are ignored: relays in a ring make no loop", async () => {
    const clock = simClock();
    const ring = [relayOn(clock), relayOn(clock), relayOn(clock)];

    for (const [at, relay] of ring.entries()) {
      const pair = muxPair(clock, "qmux-02", 5);
      relay.accept(pair.client, openGrant());
      ring[(at + 1) % 3]!.accept(pair.server, openGrant());
    }
    const publisher = new FakePublisher();
    ring[0]!.origin.announce("cam", publisher, []);
    await settle();
    assert.deepEqual(
      ring.map((relay) => relay.origin.find("cam")?.current.hops.length),
      [0, 1, 1],
    );
    const viewer = new FakeViewer();
    view(ring[2]!, "cam", "v", viewer);
    await settle();
    publisher.asked[0]!.group(0, "x");
    await settle();
    assert.equal(viewer.payload(0), "x");
    ring[0]!.origin.unannounce("cam", publisher, false);
    await settle();
    for (const relay of ring) assert.equal(relay.origin.find("cam"), undefined);
  });
});

describe("a slow subscriber", () => {
  test("never slows the others, is bounded, and resumes at the newest group", async () => {
    const { clock, relay } = scene({ backlogMaxBytes: 10_000 });
    const publisher = new FakePublisher();
    relay.origin.announce("cam", publisher, []);
    const slow = clientOf(relay, clock);
    const quick = clientOf(relay, clock);
    await settle();
    const [slowViewer, quickViewer] = [new FakeViewer({ ordered: false }), new FakeViewer()];
    view(slow.local, "cam", "v", slowViewer);
    view(quick.local, "cam", "v", quickViewer);
    await settle();
    slow.toClient.stalled = true;
    const payload = "x".repeat(60);
    for (let sequence = 0; sequence < 1_000; sequence++) {
      publisher.asked[0]!.group(sequence, payload);
      // Well within the hundred streams that the quick one allows at a time.
      if (sequence % 40 === 0) await settle();
    }
    await settle();
    assert.equal(quickViewer.groups.length, 1_000);
    assert.equal(slowViewer.groups.length, 0);
    for (const session of relay.sessions) assert.ok(session.backlogBytes <= 10_100);
    slow.toClient.stalled = false;
    slow.server.drained();
    await settle();
    assert.equal(slowViewer.sequences[0], 999);
    assert.ok(slowViewer.groups.length < 200);
    assert.ok(relay.metrics.groupsSkipped >= 800);
  });

  test("with credit for few streams gets the newest group, and no more streams than it allows", async () => {
    const { clock, relay } = scene();
    const publisher = new FakePublisher();
    relay.origin.announce("cam", publisher, []);
    const client = clientOf(relay, clock, { limits: { streamsMax: 10 } });
    await settle();
    const viewer = new FakeViewer();
    view(client.local, "cam", "v", viewer);
    await settle();
    for (let sequence = 0; sequence < 10_000; sequence++) publisher.asked[0]!.group(sequence, "x");
    await settle();
    assert.equal(Math.max(...viewer.sequences), 9_999);
    assert.equal(relay.sessionCount, 1);
  });

  test("is not sent groups older than it wants", async () => {
    const { clock, relay } = scene();
    const publisher = new FakePublisher();
    relay.origin.announce("cam", publisher, []);
    const client = clientOf(relay, clock);
    await settle();
    const viewer = new FakeViewer({ latencyMaxMs: 500 });
    view(client.local, "cam", "v", viewer);
    await settle();
    client.toClient.stalled = true;
    for (let sequence = 0; sequence < 10; sequence++) {
      publisher.asked[0]!.group(sequence, "x");
      await clock.advance(200);
    }
    client.toClient.stalled = false;
    client.server.drained();
    await settle();
    assert.deepEqual(
      viewer.sequences.toSorted((a, b) => a - b),
      [7, 8, 9],
    );
  });

  test("the urgent track goes first", async () => {
    const { clock, relay } = scene();
    const publisher = new FakePublisher();
    relay.origin.announce("cam", publisher, []);
    const client = clientOf(relay, clock);
    await settle();
    const order: string[] = [];
    for (const [name, priority] of [
      ["video", 1],
      ["audio", 9],
    ] as const) {
      const viewer = new FakeViewer({ priority });
      viewer.onGroup = () => order.push(name);
      view(client.local, "cam", name, viewer);
    }
    await settle();
    client.toClient.stalled = true;
    for (const track of publisher.asked) track.group(0, "x");
    client.toClient.stalled = false;
    client.server.drained();
    await settle();
    assert.deepEqual(order, ["audio", "video"]);
  });
});

describe("memory", () => {
  test("tracks are asked for in bounded number, whoever asks", async () => {
    const { relay } = scene({ tracksMax: 3 });
    const publisher = new FakePublisher();
    relay.origin.announce("cam", publisher, []);
    for (const name of ["a", "b", "c"]) view(relay, "cam", name, new FakeViewer());
    assert.equal(relay.origin.track("cam", "d"), undefined);
    assert.ok(relay.origin.track("cam", "a"));
    assert.equal(publisher.asked.length, 3);
  });

  test("old groups are dropped by age and by bytes, the latest stays", async () => {
    const { clock, relay } = scene({ cacheMaxBytes: 20_000, cacheMaxMs: 5_000 });
    const publisher = new FakePublisher();
    relay.origin.announce("cam", publisher, []);
    view(relay, "cam", "v", new FakeViewer());
    const track = relay.origin.track("cam", "v")!;
    for (let sequence = 0; sequence < 100; sequence++) publisher.asked[0]!.group(sequence, "x".repeat(60));
    assert.ok(relay.cache.bytes <= 20_000);
    assert.ok(track.heldFrom(0).length > 20);
    assert.equal(track.latest?.sequence, 99);
    await clock.advance(6_000);
    publisher.asked[0]!.group(100, "y");
    await clock.advance(1);
    publisher.asked[0]!.group(101, "z");
    assert.deepEqual(
      track.heldFrom(0).map((group) => group.sequence),
      [99, 100, 101],
    );
  });

  for (const version of [5, 14, 20] as const)
    test(`what a subscriber in version ${version} that does not read has still to get counts, and is the first to go`, async () => {
      const { clock, relay } = scene({ cacheMaxBytes: 100_000, cacheMaxMs: 0 });
      const publisher = new FakePublisher();
      relay.origin.announce("cam", publisher, []);
      const client = clientOf(relay, clock, { version });
      await settle();
      const viewer = new FakeViewer({ latencyMaxMs: 1_000_000 });
      view(client.local, "cam", "v", viewer);
      await settle();
      client.toClient.stalled = true;
      for (let sequence = 0; sequence < 500; sequence++) {
        publisher.asked[0]!.group(sequence, "x".repeat(60), "y".repeat(60));
        await clock.advance(10);
        assert.ok(relay.cache.bytes <= 100_000);
      }
      assert.ok(relay.cache.bytes > 90_000);
      client.toClient.stalled = false;
      client.server.drained();
      await settle();
      assert.equal(viewer.payload(499), `${"x".repeat(60)},${"y".repeat(60)}`);
      assert.ok(viewer.groups.length < 200);
      assert.ok(relay.metrics.groupsSkipped > 300, `${relay.metrics.groupsSkipped}`);
      publisher.asked[0]!.group(500);
      await clock.advance(10);
      publisher.asked[0]!.group(501);
      await clock.advance(10);
      assert.ok(relay.cache.bytes < 5_000, `${relay.cache.bytes}`);
    });

  test("groups of many small pieces, and many empty groups, count for what they take", () => {
    const { relay } = scene({ cacheMaxBytes: 100_000 });
    const publisher = new FakePublisher();
    relay.origin.announce("cam", publisher, []);
    view(relay, "cam", "v", new FakeViewer());
    const track = relay.origin.track("cam", "v")!;
    for (let sequence = 0; sequence < 1_000; sequence++) publisher.asked[0]!.group(sequence);
    assert.ok(track.heldFrom(0).length < 200);
    const group = publisher.asked[0]!.open(1_000);
    let pieces = 0;
    while (publisher.asked[0]!.sink.append(group, Uint8Array.of(0))) pieces++;
    assert.ok(pieces < 1_100, `${pieces}`);
    assert.ok(relay.cache.bytes <= 100_000);
  });

  test("what a group takes in another class counts too", () => {
    const { relay } = scene({ cacheMaxBytes: 100_000 });
    const publisher = new FakePublisher();
    relay.origin.announce("cam", publisher, []);
    view(relay, "cam", "v", new FakeViewer());
    const frames = (count: number) => Buffer.from("020161".repeat(count), "hex");
    const [first, second] = [publisher.asked[0]!.open(0), publisher.asked[0]!.open(1)];
    publisher.asked[0]!.sink.append(first, frames(300));
    const before = relay.cache.bytes;
    first.body("C");
    assert.ok(relay.cache.bytes - before > 300 * 96, `${relay.cache.bytes - before}`);
    second.body("D");
    assert.equal(publisher.asked[0]!.sink.append(second, frames(300)), true);
    assert.equal(first.evicted, true);
    assert.deepEqual(first.body("C").chunks, []);
    assert.equal(publisher.asked[0]!.sink.append(second, frames(3_000)), false);
    assert.equal(relay.cache.bytes, 0);
  });

  test("groups that a publisher leaves open are bounded too", () => {
    const { clock, relay } = scene({ cacheMaxBytes: 100_000, cacheMaxMs: 0 });
    const publisher = new FakePublisher();
    relay.origin.announce("cam", publisher, []);
    view(relay, "cam", "v", new FakeViewer());
    const open = Array.from({ length: 100 }, (_, sequence) => publisher.asked[0]!.open(sequence, "begun"));
    void clock.advance(10_000);
    const piece = Buffer.alloc(1_000);
    for (let round = 0; round < 10; round++) {
      for (const group of open) publisher.asked[0]!.sink.append(group, piece);
      assert.ok(relay.cache.bytes <= 100_000);
    }
    const held = open.reduce((bytes, group) => bytes + group.body("B").chunks.length * 1_000, 0);
    assert.ok(held <= 200_000, `${held}`);
  });

  test("a group that was lost half way is taken again whole, for those there are and those to come", () => {
    const { relay } = scene();
    const publisher = new FakePublisher();
    relay.origin.announce("cam", publisher, [7n]);
    const [early, late] = [new FakeViewer(), new FakeViewer()];
    view(relay, "cam", "v", early);
    publisher.asked[0]!.sink.endGroup(publisher.asked[0]!.open(0, "half"), 24);
    const other = new FakePublisher();
    relay.origin.announce("cam", other, [7n]);
    assert.equal(other.asked.length, 1);
    other.asked[0]!.group(0, "half", "and half");
    view(relay, "cam", "v", late);
    assert.deepEqual(early.sequences, [0, 0]);
    assert.equal(late.payload(0), "half,and half");
    assert.equal(other.asked[0]!.sink.openGroup(0), undefined);
  });

  test("a group that is gone for its age is not taken a second time", async () => {
    const { clock, relay } = scene({ cacheMaxMs: 1_000 });
    const publisher = new FakePublisher();
    relay.origin.announce("cam", publisher, []);
    const viewer = new FakeViewer();
    view(relay, "cam", "v", viewer);
    for (const sequence of [0, 1, 2]) {
      publisher.asked[0]!.group(sequence, "x");
      await clock.advance(2_000);
    }
    assert.equal(publisher.asked[0]!.sink.openGroup(0), undefined);
    assert.deepEqual(viewer.sequences, [0, 1, 2]);
  });

  test("a group that outgrows its limit is given up", async () => {
    const { relay } = scene({ groupMaxBytes: 100 });
    const publisher = new FakePublisher();
    relay.origin.announce("cam", publisher, []);
    const viewer = new FakeViewer();
    view(relay, "cam", "v", viewer);
    publisher.asked[0]!.open(0, "x".repeat(60), "x".repeat(60));
    assert.equal(viewer.groups[0]!.state, 27);
  });
});

describe("a session", () => {
  test("that never says which version it speaks is closed", async () => {
    const { clock, relay } = scene();

    const pair = muxPair(clock, "webtransport", undefined);
    let ended: unknown;
    pair.client.handler = { onUni() {}, onBidi() {}, onPump() {}, onEnd: (end) => (ended = end) };
    relay.accept(pair.server, openGrant());
    await clock.advance(9_999);
    assert.equal(ended, undefined);
    await clock.advance(1);
    assert.deepEqual(ended, { code: 3, reason: "no setup in time", clean: true });
    assert.equal(relay.sessionCount, 0);
  });

  test("ends when its token does", async () => {
    const { clock, relay } = scene();
    const client = clientOf(relay, clock, { grant: { ...openGrant(), expiresAt: clock.now() + 2_000 } });
    await clock.advance(1_999);
    assert.equal(relay.sessionCount, 1);
    await clock.advance(1);
    assert.equal(relay.sessionCount, 0);
    assert.equal(client.local.sessionCount, 0);
  });

  test("leaves nothing behind", async () => {
    const { clock, relay } = scene({ announceLingerMs: 0 });
    for (let round = 0; round < 3; round++) {
      const from = clientOf(relay, clock);
      const to = clientOf(relay, clock);
      from.local.origin.announce("cam", new FakePublisher(), []);
      await settle();
      view(to.local, "cam", "v", new FakeViewer());
      await settle();
      to.leave();
      from.leave();
      await settle();
    }
    assert.equal(relay.sessionCount, 0);
    assert.equal(relay.origin.broadcastCount, 0);
    assert.equal(relay.cache.bytes, 0);
    assert.equal(relay.metrics.subscriptionsOpened, relay.metrics.subscriptionsClosed);
  });
});
