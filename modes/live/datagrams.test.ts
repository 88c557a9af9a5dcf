import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hex } from "#tests/support/hex.ts";
import {
  clientOf,
  FakePublisher,
  FakeViewer,
  muxPair,
  openGrant,
  relayOn,
  view,
} from "#tests/support/live-pair.ts";
import { LivePeer } from "#tests/support/live-peer.ts";
import { settle, simClock } from "#tests/support/sim-clock.ts";
import { encodeDatagram, encodeDatagramContent } from "#wire/live/datagram.ts";
import { datagramsMax } from "./datagram-outbox.ts";

function scene() {
  const clock = simClock();
  return { clock, relay: relayOn(clock) };
}

const content = (sequence: number, payload = "x") => encodeDatagramContent(sequence, 5, Buffer.from(payload));
const sequences = ({ datagrams }: FakeViewer) => datagrams.map(({ sequence }) => sequence);

/** A relay with the broadcast `cam`, and a client of it, byte by byte, whose connection can stall. */
async function watched(options: Parameters<LivePeer["subscribe"]>[2] = {}) {
  const { clock, relay } = scene();
  const publisher = new FakePublisher();
  relay.origin.announce("cam", publisher, []);
  const pair = muxPair(clock, "qmux-02", 5);
  const peer = new LivePeer(pair.client, 5);
  const session = relay.accept(pair.server, openGrant());
  await peer.setUp();
  const subscription = peer.subscribe("cam", "sound", options);
  await settle();
  const track = publisher.asked[0]!;
  const { publisher: sent, subscriber: received } = relay.traffic.totals().get("")!;
  assert.deepEqual([sent.datagrams, received.datagrams], [0, 0]);
  const counts = () => relay.traffic.totals().get("")!.publisher;
  return { clock, relay, pair, peer, session, subscription, track, counts };
}

describe("datagrams", () => {
  test("go from a publisher to every subscriber of the track, and to nobody else", async () => {
    const { clock, relay } = scene();
    const [from, one, other] = [clientOf(relay, clock), clientOf(relay, clock), clientOf(relay, clock)];
    const publisher = new FakePublisher();
    from.local.origin.announce("cam", publisher, []);
    await settle();
    const viewers = [new FakeViewer(), new FakeViewer(), new FakeViewer()] as const;
    view(one.local, "cam", "sound", viewers[0]);
    view(other.local, "cam", "sound", viewers[1]);
    view(other.local, "cam", "picture", viewers[2]);
    await settle();
    publisher.asked[0]!.datagram(3, "hello");
    await settle();
    for (const viewer of [viewers[0], viewers[1]]) {
      assert.deepEqual(
        viewer.datagrams.map((datagram) => Buffer.from(datagram.content).toString("hex")),
        ["0343e868656c6c6f"],
      );
      assert.deepEqual(viewer.groups, [], "a datagram is never a group");
    }
    assert.deepEqual(viewers[2].datagrams, []);
    const { publisher: sent, subscriber: received } = relay.traffic.totals().get("")!;
    assert.deepEqual([received.datagrams, received.groups, received.frames, received.bytes], [1, 1, 1, 5]);
    assert.deepEqual([sent.datagrams, sent.groups, sent.frames, sent.bytes], [2, 2, 2, 10]);
  });

  test("are not sent where the framing or the version has none", async () => {
    const { clock, relay } = scene();
    const publisher = new FakePublisher();
    relay.origin.announce("cam", publisher, []);
    const clients = [
      clientOf(relay, clock, { framing: "qmux-00" }),
      clientOf(relay, clock, { version: 4 }),
      clientOf(relay, clock, { version: 18 }),
      clientOf(relay, clock, { limits: { datagramMaxBytes: 2 } }),
    ];
    await settle();
    const viewers = clients.map(({ local }) => {
      const viewer = new FakeViewer();
      view(local, "cam", "sound", viewer);
      return viewer;
    });
    await settle();
    publisher.asked[0]!.datagram(0, "beyond two bytes");
    publisher.asked[0]!.group(1, "as ever");
    await settle();
    for (const viewer of viewers) {
      assert.deepEqual(viewer.datagrams, []);
      assert.equal(viewer.payload(1), "as ever");
    }
    const { datagrams, stale } = relay.traffic.totals().get("")!.publisher;
    assert.deepEqual([datagrams, stale.datagrams], [0, 0]);
  });

  test("come under the id of the subscription, and of those a range names only", async () => {
    const { peer, track, subscription } = await watched({ startGroup: 2, endGroup: 4 });
    for (const sequence of [1, 2, 4, 5]) track.datagram(sequence, "x");
    await settle();
    assert.deepEqual(
      peer.session.datagrams.map((datagram) => Buffer.from(datagram).toString("hex")),
      ["000243e878", "000443e878"],
    );
    assert.deepEqual(subscription.groups, [], "there is no stream for them");
  });

  test("come no more to who has left", async () => {
    const { peer, track, subscription } = await watched();
    track.datagram(0, "x");
    await settle();
    subscription.leave();
    await settle();
    track.datagram(1, "x");
    await settle();
    assert.equal(peer.session.datagrams.length, 1);
  });

  test("wait 50 ms for room and are lost then, oldest first where there are many", async () => {
    const { clock, pair, peer, track, counts } = await watched();
    pair.toClient.stalled = true;
    track.datagram(0, "old");
    await clock.advance(30);
    track.datagram(1, "new");
    await clock.advance(30);
    pair.toClient.stalled = false;
    pair.server.drained();
    await settle();
    assert.deepEqual(
      peer.session.datagrams.map((datagram) => datagram[1]),
      [1],
    );
    assert.deepEqual([counts().datagrams, counts().stale.datagrams, counts().stale.bytes], [1, 1, 3]);

    pair.toClient.stalled = true;
    for (let at = 0; at < datagramsMax + 10; at++) track.datagram(100 + at, "x");
    pair.toClient.stalled = false;
    pair.server.drained();
    await settle();
    assert.equal(peer.session.datagrams.length, 1 + datagramsMax);
    assert.equal(counts().stale.datagrams, 1 + 10);
    assert.equal(Buffer.from(peer.session.datagrams.at(-1)!).toString("hex"), "0040ad43e878");
  });

  test("that are as large as they may be, many in one turn, all come", async () => {
    const { peer, track } = await watched();
    const payload = "p".repeat(1_190);
    for (let at = 0; at < datagramsMax; at++) track.datagram(at, payload);
    await settle();
    assert.equal(peer.session.datagrams.length, datagramsMax);
  });

  test("go out before groups that wait, which go too", async () => {
    const { pair, peer, track, subscription } = await watched();
    pair.toClient.stalled = true;
    track.group(0, "a");
    track.datagram(1, "b");
    pair.toClient.stalled = false;
    pair.server.drained();
    await settle();
    const record = Buffer.from(pair.toClient.messages.at(-1)!);
    const at = record.indexOf(hex("31 05 00 01 43e8 62"));
    assert.ok(at > 0 && at < record.lastIndexOf(hex("00 02 00 00")), "the group's stream begins after it");
    assert.deepEqual(subscription.sequences, [0]);
    assert.equal(peer.session.datagrams.length, 1);
  });
});

describe("datagrams of a publisher", () => {
  async function published(grant = openGrant()) {
    const { clock, relay } = scene();
    const pair = muxPair(clock, "qmux-02", 5);
    const peer = new LivePeer(pair.client, 5);
    relay.accept(pair.server, grant);
    await peer.setUp();
    peer.publish("cam");
    await settle();
    return { clock, relay, pair, peer };
  }

  test("are passed on with the sequence and timestamp they came with", async () => {
    const { relay, peer } = await published();
    const viewer = new FakeViewer();
    view(relay, "cam", "sound", viewer);
    const asked = await peer.askedFor();
    peer.session.datagram(encodeDatagram(asked.request.id, content(9)));
    // A group of the same number is not the same thing to a relay, and both go on.
    asked.group(9, "stream");
    await settle();
    assert.deepEqual(viewer.datagrams, [{ sequence: 9, content: content(9), payloadBytes: 1 }]);
    assert.equal(viewer.payload(9), "stream");
  });

  test("that nobody asked for, make no sense or are too large are lost, and the session goes on", async () => {
    const { relay, peer } = await published();
    const viewer = new FakeViewer();
    view(relay, "cam", "sound", viewer);
    const { id } = (await peer.askedFor()).request;
    const { metrics } = relay;
    for (const body of [
      encodeDatagram(id + 1, content(0)),
      encodeDatagram(2 ** 53 - 1, content(0)),
      new Uint8Array(0),
      hex("00"),
      hex("0001"),
      hex("00ffffffffffffffff0061"),
    ]) {
      peer.session.datagram(body);
    }
    peer.session.datagram(encodeDatagram(id, content(1)));
    await settle();
    assert.deepEqual(sequences(viewer), [1]);
    assert.equal(metrics.groupsIn, 1);
    assert.equal(peer.session.end, undefined);
  });

  test("without a right to publish reach nobody", async () => {
    const { relay, peer } = await published({ ...openGrant(), put: [] });
    relay.origin.announce("cam", new FakePublisher(), []);
    const viewer = new FakeViewer();
    view(relay, "cam", "sound", viewer);
    for (let id = 0; id < 5; id++) peer.session.datagram(encodeDatagram(id, content(id)));
    await settle();
    assert.deepEqual(viewer.datagrams, []);
  });

  test("are taken from the route that serves, not from one that was left", async () => {
    const { relay, clock } = scene();
    const [first, second] = [new FakePublisher(), new FakePublisher()];
    relay.origin.announce("cam", first, [5n]);
    const viewer = new FakeViewer();
    view(relay, "cam", "sound", viewer);
    relay.origin.announce("cam", second, [5n]);
    relay.origin.unannounce("cam", first, false);
    await clock.advance(1);
    first.asked[0]!.datagram(1, "old");
    second.asked[0]!.datagram(2, "new");
    assert.deepEqual(sequences(viewer), [2]);
  });
});
