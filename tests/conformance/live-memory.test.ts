/**
 * Memory of live, in this process and over real sockets: what a viewer that stops reading may cost, and what sessions
 * leave behind (case 53).
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { openRelay } from "#tests/interop/live/open-relay.ts";
import { bytesInUse } from "#tests/support/heap.ts";
import { FakePublisher } from "#tests/support/live-pair.ts";
import { LivePeer } from "#tests/support/live-peer.ts";
import { knock, muxOver, type RawConnection } from "#tests/support/raw-websocket.ts";

const mebibyte = 1024 * 1024;

async function connect(url: URL): Promise<{ peer: LivePeer; connection: RawConnection }> {
  let peer: LivePeer | undefined;
  let connection: RawConnection | undefined;
  await knock(url, ["qmux-01.moq-lite-05"], {
    onOpen(socket) {
      connection = muxOver(socket, (mux) => {
        peer = new LivePeer(mux, 5);
      });
    },
  });
  await peer!.setUp();
  return { peer: peer!, connection: connection! };
}

/** Resolves once `holds` does, looking after each turn of the event loop. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

describe("memory", { timeout: 60_000 }, () => {
  for (const latencyMaxMs of [5_000, 1_000_000_000]) {
    test(`of viewers that stop reading is bounded, others notice nothing (patience ${latencyMaxMs} ms)`, async () => {
      const limits = {
        cacheMaxBytes: 4 * mebibyte,
        cacheMaxMs: 100,
        backlogMaxBytes: mebibyte,
        trackIdleLingerMs: 0,
      };
      await using relay = await openRelay(limits);
      const publisher = new FakePublisher();
      relay.relay.origin.announce("cam", publisher, []);
      const slow = await Promise.all(Array.from({ length: 10 }, () => connect(relay.url())));
      const quick = await connect(relay.url());
      for (const { peer } of [...slow, quick]) peer.subscribe("cam", "v", { latencyMaxMs });
      await until(() => relay.relay.metrics.subscriptionsOpened === 11);
      for (const { connection } of slow) connection.socket.pause();
      const before = bytesInUse();
      const track = publisher.asked[0]!;
      const frame = Buffer.concat([Buffer.from([1, 0x80, 0, 0x80, 0]), Buffer.alloc(32_768, 7)]);
      let whole = 0;
      let most = 0;
      for (let sequence = 0; sequence < 2_000; sequence++) {
        const group = track.sink.openGroup(sequence)!;
        track.sink.append(group, Buffer.from(frame));
        track.sink.endGroup(group, "complete");
        await until(() => quick.peer.groups.at(-1)?.stream.fin === true);
        whole++;
        // The tests' own notes of it are not the relay's.
        quick.peer.groups.length = 0;
        quick.peer.session.unis.length = 0;
        assert.ok(relay.relay.cache.bytes <= limits.cacheMaxBytes);
        for (const session of relay.relay.sessions)
          assert.ok(session.backlogBytes <= limits.backlogMaxBytes + 65_536);
        if (sequence % 500 === 499) most = Math.max(most, bytesInUse() - before);
      }
      assert.equal(whole, 2_000);
      // 64 MiB went by. Beside the cache each slow one costs what waits at its socket.
      assert.ok(most < limits.cacheMaxBytes + 8 * mebibyte, `${(most / mebibyte).toFixed(1)} MiB`);
      for (const { connection } of [...slow, quick]) connection.socket.terminate();
      await until(() => relay.relay.sessionCount === 0);
    });
  }

  test("53 of sessions that came and went is given back", async () => {
    await using relay = await openRelay({ announceLingerMs: 0, trackIdleLingerMs: 0 });
    const round = async () => {
      const all = await Promise.all(Array.from({ length: 50 }, () => connect(relay.url())));
      const [first, ...others] = all;
      first!.peer.publish("cam");
      await until(() => relay.relay.origin.broadcastCount === 1);
      for (const { peer } of others) {
        peer.watch("");
        peer.subscribe("cam", "v");
      }
      const track = await first!.peer.askedFor();
      track.start(0);
      track.group(0, "x".repeat(10_000));
      await until(() =>
        others.every(({ peer }) => peer.groups.some(({ stream }) => stream.fin && stream.bytes.length > 100)),
      );
      for (const { connection } of all) connection.socket.terminate();
      await Promise.all(all.map(({ connection }) => connection.closed));
      await until(() => relay.relay.sessionCount === 0 && relay.relay.origin.broadcastCount === 0);
    };
    for (let warm = 0; warm < 3; warm++) await round();
    const before = bytesInUse();
    for (let count = 0; count < 10; count++) await round();
    const grown = bytesInUse() - before;
    // 500 sessions: one that stayed would cost some 40 KB.
    assert.ok(grown < 2 * mebibyte, `${(grown / mebibyte).toFixed(1)} MiB`);
    assert.equal(relay.relay.cache.bytes, 0);
    assert.equal(relay.relay.origin.watcherCount, 0);
  });
});
