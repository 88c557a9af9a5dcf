import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { bytesInUse } from "#tests/support/heap.ts";
import { hex } from "#tests/support/hex.ts";
import { FakePublisher, FakeViewer, muxPair, openGrant, relayOn, view } from "#tests/support/live-pair.ts";
import { RawSession } from "#tests/support/raw-session.ts";
import { settle, simClock } from "#tests/support/sim-clock.ts";
import type { LiteVersion } from "#wire/live/version.ts";
import type { Grant } from "./grant.ts";

async function scene(version: LiteVersion | undefined, grant: Grant = openGrant()) {
  const clock = simClock();
  const relay = relayOn(clock);
  const pair = muxPair(clock, "qmux-02", version);
  const raw = new RawSession(pair.client);
  relay.accept(pair.server, grant);
  await settle();
  return { clock, relay, raw, pair };
}

const setupOf02 =
  "20002c 03 c0000000ff0dad02 c0000000ff0dad01 c0000000ff00000e 02028000a455070b6d6f712d6c6974652d6a73";

describe("setup", () => {
  test("of 01 and 02: the first version of the client's list that we speak", async () => {
    for (const [versions, chosen] of [
      ["c0000000ff0dad02 c0000000ff0dad01", "c0000000ff0dad02"],
      ["c0000000ff0dad01 c0000000ff0dad02", "c0000000ff0dad01"],
      ["c0000000ff00000e c0000000ff0dad01", "c0000000ff0dad01"],
    ]) {
      const { raw } = await scene(undefined);
      const session = raw.bidi(hex(`200012 02 ${versions} 00`));
      await settle();
      assert.equal(session.hex, `210009${chosen}00`);
    }
  });

  test("of versions nobody here speaks: closed with 9", async () => {
    const { raw } = await scene(undefined);
    raw.bidi(hex("20000a 01 c0000000ff00000d 00"));
    await settle();
    assert.equal(raw.end?.code, 9);
  });

  test("as clients before 01 began it", async () => {
    const { raw } = await scene(undefined);
    const session = raw.bidi(hex("00 0a 01 c0000000ff0dad01 00"));
    await settle();
    assert.equal(session.hex, "0109c0000000ff0dad0100");
  });

  test("of 05: unknown parameters are skipped, a second setup or a parameter twice closes with 15", async () => {
    const { raw } = await scene(5);
    assert.equal(raw.unis[0]?.hex, "0104" + "01010101");
    raw.uni(hex("01 06 01 4321 02 ffff"), true);
    await settle();
    assert.equal(raw.ended, false);
    raw.uni(hex("01 01 00"), true);
    await settle();
    assert.equal(raw.end?.code, 15);

    const twice = await scene(5);
    twice.raw.uni(hex("01 07 02 010101 010101"), true);
    await settle();
    assert.equal(twice.raw.end?.code, 15);
  });

  test("of 05 with a role that the grant lacks: closed with 6", async () => {
    const { raw } = await scene(5, { ...openGrant(), put: [] });
    raw.uni(hex("01 04 01 030101"), true);
    await settle();
    assert.equal(raw.end?.code, 6);
    const watcher = await scene(5, { ...openGrant(), put: [] });
    watcher.raw.uni(hex("01 04 01 030102"), true);
    await settle();
    assert.equal(watcher.raw.end, undefined);
  });
});

describe("a session of 05", () => {
  test("asks what the client publishes at once, and tells who it is", async () => {
    const { raw, relay } = await scene(5);
    assert.match(raw.bidis[0]!.hex, /^01 *[0-9a-f]{2}00/);
    assert.ok(relay.originId > 0n && relay.originId < 2n ** 53n);
  });

  test("counts the broadcasts that follow, then tells of changes", async () => {
    const { raw, relay } = await scene(5);
    const publishers = ["a", "b", "c"].map((name) => {
      const publisher = new FakePublisher();
      relay.origin.announce(`room/${name}`, publisher, []);
      return publisher;
    });
    const watch = raw.bidi(hex("01 06 04726f6f6d 00"));
    await settle();
    assert.match(watch.hex, /^09c0[0-9a-f]{14}03/);
    assert.ok(watch.hex.endsWith("0401016100" + "0401016200" + "0401016300"));
    const before = watch.hex.length;
    relay.origin.unannounce("room/b", publishers[1]!, false);
    await settle();
    assert.equal(watch.hex.slice(before), "0400016200");
  });

  test("answers a probe stream with the round trip of its pings, again when that changes, until it is ended", async () => {
    const { raw, pair, clock } = await scene(5);
    const probe = raw.bidi(hex("04"));
    await settle();
    assert.equal(probe.hex, "020000");
    pair.server.ping();
    pair.toServer.stalled = true;
    await clock.advance(40);
    pair.toServer.stalled = false;
    pair.client.drained();
    await clock.advance(500);
    assert.equal(probe.hex, "020000" + "020028");
    await clock.advance(9_000);
    assert.equal(probe.hex, "020000" + "020028");
    await clock.advance(1_000);
    assert.equal(probe.hex, "020000" + "020028" + "020028");
    probe.more(new Uint8Array(0), true);
    await settle();
    assert.ok(probe.fin);
    const armed = clock.armed;
    await clock.advance(60_000);
    assert.equal(clock.armed, armed);
  });

  test("resets a probe stream where the transport knows nothing", async () => {
    const clock = simClock();
    const pair = muxPair(clock, "webtransport", 4);
    const raw = new RawSession(pair.client);
    relayOn(clock).accept(pair.server, openGrant());
    const probe = raw.bidi(hex("04"));
    await settle();
    assert.equal(probe.reset, 17);
    assert.equal(raw.ended, false);
  });

  test("opens no stream for a subscription that is given up before", async () => {
    const { raw, relay } = await scene(5);
    raw.bidis[0]!.answer(hex("02 07 01 08 01 0363616d 02 07 09"));
    await settle();
    const track = relay.origin.track("cam", "v")!;
    relay.origin.start(track);
    track.close(0);
    await settle();
    assert.equal(raw.bidis.length, 1);
    relay.origin.start(relay.origin.track("cam", "v")!);
    await settle();
    assert.equal(raw.bidis.length, 3);
  });

  test("refuses streams of unknown types and lives on", async () => {
    const { raw } = await scene(5);
    const bidi = raw.bidi(hex("2a 00"));
    const uni = raw.uni(hex("2a 00"));
    await settle();
    assert.equal(bidi.reset, 17);
    assert.equal(uni.stopped, 17);
    assert.equal(raw.end, undefined);
  });

  test("refuses a subscription before the broadcast is there, and takes it afterwards", async () => {
    const { raw, relay } = await scene(5);
    const subscribe = hex("02 0c 00 0363616d 0176 00 00 00 00 00");
    const early = raw.bidi(subscribe);
    await settle();
    assert.equal(early.reset, 13);
    const publisher = new FakePublisher();
    relay.origin.announce("cam", publisher, []);
    const late = raw.bidi(subscribe);
    await settle();
    publisher.asked[0]!.group(4, "x");
    await settle();
    assert.equal(late.hex, "000104");
    assert.equal(raw.unis[1]!.hex, "00020004" + "020178");
    assert.ok(raw.unis[1]!.fin);
  });

  test("closes on a length beyond all bounds, before anything of it is stored", async () => {
    const { raw } = await scene(5);
    raw.bidi(hex("02 c000010000000000"));
    await settle();
    assert.equal(raw.end?.code, 27);
  });

  test("closes when a subscription id is used twice", async () => {
    const { raw, relay } = await scene(5);
    relay.origin.announce("cam", new FakePublisher(), []);
    for (let i = 0; i < 2; i++) raw.bidi(hex("02 0c 00 0363616d 0176 00 00 00 00 00"));
    await settle();
    assert.equal(raw.end?.code, 12);
  });

  test("gives a range: from where it is held, up to the end that was asked for, then says so", async () => {
    const { raw, relay } = await scene(5);
    const publisher = new FakePublisher();
    relay.origin.announce("cam", publisher, []);
    view(relay, "cam", "v", new FakeViewer());
    for (const sequence of [3, 4, 5]) publisher.asked[0]!.group(sequence, String(sequence));
    // From group 1, which is gone, to group 6, which is to come.
    const subscription = raw.bidi(hex("02 0c 00 0363616d 0176 00 01 00 02 07"));
    await settle();
    publisher.asked[0]!.group(6, "6");
    publisher.asked[0]!.group(7, "7");
    await settle();
    const groups = raw.unis.slice(1).map((uni) => uni.bytes[3]);
    assert.deepEqual(groups, [3, 4, 5, 6]);
    assert.equal(subscription.hex, "000103" + "010107");
    assert.ok(subscription.fin);
  });

  test("a range waits a little for groups that its last has overtaken, and no longer", async () => {
    for (const comes of [true, false]) {
      const { raw, relay, clock } = await scene(5);
      const publisher = new FakePublisher();
      relay.origin.announce("cam", publisher, []);
      // Groups 3 to 5.
      const subscription = raw.bidi(hex("02 0c 00 0363616d 0176 00 00 00 04 06"));
      await settle();
      for (const sequence of [3, 5]) publisher.asked[0]!.group(sequence, "x");
      await settle();
      assert.equal(subscription.fin, false);
      if (comes) publisher.asked[0]!.group(4, "x");
      else await clock.advance(500);
      await settle();
      assert.equal(subscription.fin, true);
      const groups = raw.unis.slice(1).map((uni) => uni.bytes[3]);
      assert.deepEqual(groups.toSorted(), comes ? [3, 4, 5] : [3, 5]);
    }
  });

  test("that is over waits for no publisher's answer any more", async () => {
    const { raw, relay, pair } = await scene(5);
    const publisher = new FakePublisher();
    publisher.accepts = false;
    relay.origin.announce("cam", publisher, []);
    raw.bidi(hex("06 06 0363616d 0176"));
    await settle();
    pair.server.lost("gone");
    const track = relay.origin.track("cam", "v")!;
    assert.equal(track.infoWaiterCount, 0);
  });

  test("fetches a group that is held, and one that is still growing; not one that is gone", async () => {
    const { raw, relay } = await scene(5);
    const publisher = new FakePublisher();
    relay.origin.announce("cam", publisher, []);
    view(relay, "cam", "v", new FakeViewer());
    publisher.asked[0]!.group(3, "a", "b");
    const open = publisher.asked[0]!.open(4, "c");
    const held = raw.bidi(hex("03 08 0363616d 0176 00 03"));
    const growing = raw.bidi(hex("03 08 0363616d 0176 00 04"));
    const gone = raw.bidi(hex("03 08 0363616d 0176 00 02"));
    await settle();
    assert.equal(held.hex, "020161" + "020162");
    assert.ok(held.fin);
    assert.equal(growing.hex, "020163");
    assert.equal(gone.reset, 13);
    publisher.asked[0]!.write(open, "d");
    publisher.asked[0]!.sink.endGroup(open, "complete");
    await settle();
    assert.equal(growing.hex, "020163" + "020164");
    assert.ok(growing.fin);
  });

  test("answers TRACK once the publisher has, and every later time by itself", async () => {
    const { raw, relay } = await scene(5);
    const publisher = new FakePublisher();
    publisher.accepts = false;
    relay.origin.announce("cam", publisher, []);
    const first = raw.bidi(hex("06 06 0363616d 0176"), true);
    await settle();
    assert.equal(first.hex, "");
    publisher.asked[0]!.sink.onInfo({ priority: 5, ordered: true, latencyMaxMs: 5000, timescale: 1000 });
    const second = raw.bidi(hex("06 06 0363616d 0176"), true);
    await settle();
    for (const stream of [first, second]) assert.equal(stream.hex, "0605015388" + "43e8");
    assert.equal(publisher.asked.length, 1);
  });

  test("is asked to go when the relay stops", async () => {
    const { raw, relay } = await scene(5);
    relay.drain("https://other.example/");
    await settle();
    assert.equal(raw.bidis[1]?.bytes.toString().slice(-22), "https://other.example/");
    assert.equal(relay.open, false);
  });
});

describe("a watch", () => {
  test("of more broadcasts than a control stream may hold is told of them all, and of what became of them", async () => {
    const { raw, relay } = await scene(5);
    const publisher = new FakePublisher();
    const names = Array.from({ length: 5_000 }, (_, at) => `a-broadcast-with-a-name-of-some-length-${at}`);
    for (const name of names) relay.origin.announce(name, publisher, []);
    const watch = raw.bidi(hex("01 02 00 00"));
    for (let round = 0; round < 20; round++) await settle();
    assert.equal(raw.end, undefined);
    assert.ok(watch.bytes.includes(names.at(-1)!));
    for (const name of names) relay.origin.unannounce(name, publisher, false);
    for (let round = 0; round < 20; round++) await settle();
    assert.equal(raw.end, undefined);
    assert.equal(watch.bytes.toString("latin1").split("a-broadcast").length, 10_001);
  });

  test("that is not read while a broadcast ends and begins again hears of both", async () => {
    const { raw, relay, pair } = await scene(4);
    const publisher = new FakePublisher();
    relay.origin.announce("cam", publisher, [7n]);
    const watch = raw.bidi(hex("01 02 00 00"));
    await settle();
    const before = watch.hex.length;
    pair.toClient.stalled = true;
    for (let round = 0; round < 1_000; round++) {
      relay.origin.unannounce("cam", publisher, false);
      relay.origin.announce("cam", publisher, [7n]);
    }
    await settle();
    pair.toClient.stalled = false;
    pair.server.drained();
    await settle();
    assert.match(watch.hex.slice(before), /^06000363616d00..010363616d0207c0[0-9a-f]{14}$/);
  });
});

describe("what a remote cannot do", () => {
  test("is open streams in the message it closes the session with", async () => {
    const { relay, pair } = await scene(5);
    const publisher = new FakePublisher();
    relay.origin.announce("cam", publisher, []);
    const subscribe = hex("0e 00 00 0e 02 0c 00 0363616d 0176 00 00 00 00 00");
    pair.server.receive(Buffer.concat([hex("1d 00 00"), subscribe]));
    await settle();
    assert.equal(relay.sessionCount, 0);
    assert.equal(publisher.asked.length, 0);
    assert.equal(relay.metrics.subscriptionsOpened, 0);
  });

  test("is go on with a message after something in it broke a rule", async () => {
    const { relay, pair } = await scene(5);
    const publisher = new FakePublisher();
    relay.origin.announce("cam", publisher, []);
    const tooLong = hex("0e 00 00 09 02 c000010000000000");
    const subscribe = hex("0e 04 00 0e 02 0c 00 0363616d 0176 00 00 00 00 00");
    pair.server.receive(Buffer.concat([tooLong, subscribe]));
    await settle();
    assert.equal(relay.sessionCount, 0);
    assert.equal(publisher.asked.length, 0);
  });

  test("is make us keep what it sends on the stream that asks it to go", async () => {
    const { raw, relay, pair } = await scene(5);
    relay.drain("");
    await settle();
    const before = bytesInUse();
    for (let round = 0; round < 100; round++) {
      raw.bidis.at(-1)!.answer(new Uint8Array(50_000));
      await settle();
      pair.toServer.messages.length = 0;
      raw.bidis.at(-1)!.bytes = Buffer.alloc(0);
    }
    assert.ok(bytesInUse() - before < 1_000_000, `${bytesInUse() - before}`);
  });
});

describe("older sessions", () => {
  test("01 is told what there is in one message, even if that is nothing", async () => {
    const { raw } = await scene(undefined);
    raw.bidi(hex("200009 01 c0000000ff0dad01"));
    await settle();
    const watch = raw.bidi(hex("01 01 00"));
    await settle();
    assert.equal(watch.hex, "0100");
  });

  test("up to 04 a subscription is answered at once, before the publisher says anything", async () => {
    for (const [version, answer] of [
      [undefined, "00"],
      [3, "00050000000000"],
      [4, "00050000000000"],
    ] as const) {
      const { raw, relay } = await scene(version);
      if (version === undefined) raw.bidi(hex(setupOf02));
      const publisher = new FakePublisher();
      publisher.accepts = false;
      relay.origin.announce("cam", publisher, []);
      await settle();
      const fields = version === undefined ? "08 00 0363616d 0176 00" : "0c 00 0363616d 0176 00 00 00 00 00";
      const subscription = raw.bidi(hex(`02 ${fields}`));
      await settle();
      assert.equal(subscription.hex, answer);
    }
  });

  test("03 and 04 are told of groups they asked for that are gone", async () => {
    const { raw, relay } = await scene(4);
    const publisher = new FakePublisher("A");
    relay.origin.announce("cam", publisher, []);
    view(relay, "cam", "v", new FakeViewer());
    publisher.asked[0]!.group(5, "x");
    const subscription = raw.bidi(hex("02 0c 00 0363616d 0176 00 01 00 02 00"));
    await settle();
    assert.equal(subscription.hex, "00050001000200" + "0103010402");
  });

  test("hop lists: 04 gets us as the last hop, 03 a count", async () => {
    for (const version of [3, 4] as const) {
      const { raw, relay } = await scene(version);
      relay.origin.announce("cam", new FakePublisher(), [7n]);
      const watch = raw.bidi(hex(version === 4 ? "01 02 00 00" : "01 01 00"));
      await settle();
      if (version === 3) assert.equal(watch.hex, "0601" + "0363616d" + "02");
      else assert.match(watch.hex, new RegExp(`01${"0363616d"}0207c0[0-9a-f]{14}$`));
    }
  });
});

test("whatever a client sends, the relay lives and lets go of it", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom<LiteVersion | undefined>(undefined, 3, 4, 5, 6),
      fc.array(
        fc.record({
          bidi: fc.boolean(),
          type: fc.nat(7),
          rest: fc.uint8Array({ maxLength: 40 }),
          fin: fc.boolean(),
        }),
        { maxLength: 12 },
      ),
      async (version, streams) => {
        const { raw, relay, pair } = await scene(version);
        relay.origin.announce("", new FakePublisher(), []);
        if (version === undefined) raw.bidi(hex(setupOf02));
        for (const { bidi, type, rest, fin } of streams) {
          const bytes = Buffer.concat([Buffer.from([type]), rest]);
          if (bidi) raw.bidi(bytes, fin);
          else raw.uni(bytes, fin);
        }
        await settle();
        pair.server.lost("gone");
        assert.equal(relay.sessionCount, 0);
        assert.equal(relay.metrics.subscriptionsOpened, relay.metrics.subscriptionsClosed);
      },
    ),
    { numRuns: 300 },
  );
});
