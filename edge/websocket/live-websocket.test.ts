import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { describe, test } from "node:test";
import { WebSocketServer } from "ws";
import { type Clock, systemClock } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import { FakePublisher, FakeViewer, openGrant, relayOn, view } from "#tests/support/live-pair.ts";
import { simClock } from "#tests/support/sim-clock.ts";
import { dialWebSocket } from "./dial.ts";
import { defaultLiveWebSocketOptions, LiveWebSocket, type LiveWebSocketOptions } from "./live-websocket.ts";
import { SlabPool } from "./slab-pool.ts";

/** Nothing of the relay's own keeps the process waiting. */
const quick = { trackIdleLingerMs: 0 };
const broken = (error: unknown) => {
  throw error;
};

async function serve(clock: Clock, options: Partial<LiveWebSocketOptions> = {}) {
  const relay = relayOn(clock, quick);
  const edge = new LiveWebSocket(
    { admit: async () => openGrant(), accept: (transport, grant) => void relay.accept(transport, grant) },
    { ...defaultLiveWebSocketOptions, ...options },
    clock,
    broken,
  );
  const server = createServer();
  edge.attach(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    relay,
    edge,
    server,
    port,
    url: new URL(`http://127.0.0.1:${port}/`),
    async [Symbol.asyncDispose]() {
      relay.close(0, "done");
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Resolves once `holds` does, looking after each turn of the event loop. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

describe("live over WebSocket", { timeout: 30_000 }, () => {
  test("our frames and those of ws never mix", async () => {
    const clock = systemClock();
    await using served = await serve(clock, { pingIntervalMs: 1 });
    const local = relayOn(clock, quick);
    const dial = { ...defaultLiveWebSocketOptions, verify: true, connectTimeoutMs: 5_000, pingIntervalMs: 1 };
    await dialWebSocket(served.url, dial, clock, (mux) => void local.accept(mux, openGrant()));
    const publisher = new FakePublisher();
    served.relay.origin.announce("cam", publisher, []);
    await until(() => local.origin.find("cam") !== undefined);
    const viewer = new FakeViewer();
    view(local, "cam", "v", viewer);
    await until(() => publisher.asked.length > 0);
    const track = publisher.asked[0]!;
    // Lengths of 1, 2 and 3 bytes of WebSocket header, over several turns, with pings in between.
    for (let sequence = 0; sequence < 300; sequence++) {
      const group = track.sink.openGroup(sequence)!;
      for (const length of [10, 60]) track.write(group, String(sequence % 10).repeat(length));
      track.sink.append(group, Buffer.concat([Buffer.from([1, 0x80, 0, 0x80, 0]), Buffer.alloc(32_768, 7)]));
      track.sink.endGroup(group, "complete");
      await until(() => viewer.groups.length === sequence + 1);
    }
    await until(() => viewer.groups.every((group) => group.state === "complete"));
    for (const group of viewer.groups) {
      const bytes = Buffer.concat(group.body("B").chunks);
      assert.equal(bytes.length, 12 + 62 + 32_773);
      assert.ok(bytes.subarray(-32_768).every((byte) => byte === 7));
    }
    local.close(0, "done");
  });

  test("a refused client is told and its connection is not kept", async () => {
    await using served = await serve(simClock());
    const socket = connect({ port: served.port, host: "127.0.0.1", allowHalfOpen: true });
    socket.write(
      "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n" +
        "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: chat\r\n\r\n",
    );
    const [answer] = (await once(socket, "data")) as [Buffer];
    assert.match(answer.toString(), /^HTTP\/1\.1 400 /);
    const left = () =>
      new Promise<number>((resolve) => served.server.getConnections((_, count) => resolve(count)));
    while ((await left()) > 0) await new Promise((resolve) => setImmediate(resolve));
    socket.destroy();
  });

  test("a relay that has no WebSocket at its root is dialled below it, as moq-relay 0.10 wants", async () => {
    const relay = relayOn(systemClock(), quick);
    const paths: string[] = [];
    const edge = new LiveWebSocket(
      {
        async admit({ path }) {
          paths.push(path);
          if (paths.length === 1) throw new RelayError("not_found");
          return openGrant();
        },
        accept: (transport, grant) => void relay.accept(transport, grant),
      },
      defaultLiveWebSocketOptions,
      systemClock(),
      broken,
    );
    const server = createServer();
    edge.attach(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/?jwt=x`);
    const local = relayOn(systemClock(), quick);
    const dial = { ...defaultLiveWebSocketOptions, verify: true, connectTimeoutMs: 5_000 };
    await dialWebSocket(url, dial, systemClock(), (mux) => void local.accept(mux, openGrant()));
    assert.deepEqual(paths, ["/", "//"]);
    local.close(0, "done");
    server.closeAllConnections();
    server.close();
  });

  test("a remote that falls silent is dropped", async () => {
    const clock = simClock();
    await using served = await serve(clock, { pingIntervalMs: 5_000, silenceMaxMs: 30_000 });
    const socket = connect(served.port, "127.0.0.1");
    socket.write(
      "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n" +
        "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: qmux-02.moq-lite-05\r\n\r\n",
    );
    socket.resume();
    await until(() => served.edge.connectionCount === 1);
    await clock.advance(30_000);
    assert.equal(served.edge.connectionCount, 1);
    await clock.advance(5_000);
    await until(() => socket.destroyed);
    assert.equal(served.edge.connectionCount, 0);
    assert.equal(served.relay.sessionCount, 0);
  });
});

describe("a relay that we dialled", { timeout: 30_000 }, () => {
  test("and that falls silent is given up, so that it can be dialled again", async () => {
    const clock = simClock();
    const deaf = new WebSocketServer({ port: 0, host: "127.0.0.1", autoPong: false });
    await once(deaf, "listening");
    const { port } = deaf.address() as AddressInfo;
    const local = relayOn(clock);
    const dial = { ...defaultLiveWebSocketOptions, connectTimeoutMs: 5_000, verify: true };
    await dialWebSocket(
      new URL(`http://127.0.0.1:${port}/`),
      dial,
      clock,
      (mux) => void local.accept(mux, openGrant()),
    );
    await clock.advance(30_000);
    assert.equal(local.sessionCount, 1);
    await clock.advance(5_000);
    await until(() => local.sessionCount === 0);
    deaf.close();
  });

  test("and that only answers pings is kept, in a framing without pings too", async () => {
    const clock = simClock();
    const quiet = new WebSocketServer({
      port: 0,
      host: "127.0.0.1",
      handleProtocols: () => "qmux-00.moq-lite-05",
    });
    await once(quiet, "listening");
    const { port } = quiet.address() as AddressInfo;
    const local = relayOn(clock);
    const dial = { ...defaultLiveWebSocketOptions, connectTimeoutMs: 5_000, verify: true };
    const pinged = once(quiet, "connection").then(async ([socket]) => {
      for (let count = 0; count < 10; count++) await once(socket, "ping");
    });
    await dialWebSocket(
      new URL(`http://127.0.0.1:${port}/`),
      dial,
      clock,
      (mux) => void local.accept(mux, openGrant()),
    );
    let done = false;
    void pinged.then(() => {
      done = true;
    });
    while (!done) await clock.advance(5_000);
    assert.equal(local.sessionCount, 1);
    local.close(0, "done");
    quiet.close();
  });
});

describe("memory for outgoing batches", () => {
  test("is used again once it was written, and never before", () => {
    const pool = new SlabPool();
    const first = pool.take(80_000);
    const written = pool.commit(80_000);
    const second = pool.take(80_000);
    assert.notEqual(second.buffer, first.buffer);
    const secondWritten = pool.commit(80_000);
    written();
    const third = pool.take(80_000);
    assert.equal(third.buffer, first.buffer);
    pool.commit(80_000);
    const fourth = pool.take(80_000);
    assert.notEqual(fourth.buffer, second.buffer);
    secondWritten();
  });

  test("that a remote does not read keeps little beside itself", () => {
    const pool = new SlabPool();
    const held = new Set<ArrayBufferLike>();
    for (let stuck = 0; stuck < 10; stuck++) {
      held.add(pool.take(60_000).buffer);
      pool.commit(60_000);
      // As much as a second of others' traffic, all of it read.
      for (let others = 0; others < 100; others++) {
        pool.take(60_000);
        pool.commit(60_000)();
      }
    }
    const bytes = [...held].reduce((sum, { byteLength }) => sum + byteLength, 0);
    assert.ok(bytes <= 10 * 128 * 1024, `${bytes}`);
  });

  test("larger than a slab is memory of its own", () => {
    const pool = new SlabPool();
    assert.equal(pool.take(3_000_000).length, 3_000_000);
    pool.commit(3_000_000)();
    assert.ok(pool.take(10).buffer.byteLength <= 128 * 1024);
  });
});
