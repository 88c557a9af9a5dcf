import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { statSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { describe, test } from "node:test";
import { systemClock } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import type { Grant } from "#modes/live/grant.ts";
import { FakePublisher, FakeViewer, openGrant, relayOn, view } from "#tests/support/live-pair.ts";
import { simClock } from "#tests/support/sim-clock.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import type { LiveAcceptor } from "#wire/live/acceptor.ts";
import { defaultLiveWebSocketOptions } from "../websocket/live-websocket.ts";
import { dialStreamSocket } from "./dial.ts";
import { listenStreamSocket, type StreamSocketAddress } from "./stream-socket-listener.ts";

/** Nothing of the relay's own keeps the process waiting. */
const quick = { trackIdleLingerMs: 0 };
const broken = (error: unknown) => {
  throw error;
};
const options = {
  ...defaultLiveWebSocketOptions,
  setupTimeoutMs: 10_000,
  heldMaxBytes: 65_536,
  connectionsMax: 10,
};
const dialOptions = { ...defaultLiveWebSocketOptions, connectTimeoutMs: 5_000 };
const loopback: StreamSocketAddress = { host: "127.0.0.1", port: 0 };

async function serve(at: StreamSocketAddress, clock = systemClock(), more: Partial<typeof options> = {}) {
  const relay = relayOn(clock, quick);
  const acceptor: LiveAcceptor<Grant> = {
    async admit({ path, query }) {
      if (query.get("jwt") === "bad") throw new RelayError("unauthorized");
      return openGrant(path.slice(1));
    },
    accept: (transport, grant) => void relay.accept(transport, grant),
  };
  const listener = await listenStreamSocket(acceptor, at, { ...options, ...more }, clock, broken);
  return {
    relay,
    listener,
    async [Symbol.asyncDispose]() {
      relay.close(0, "done");
      await listener.close();
    },
  };
}

/** Resolves once `holds` does, looking after each turn of the event loop. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

describe("live over TCP and Unix sockets", { timeout: 30_000 }, () => {
  for (const kind of ["tcp", "unix"] as const) {
    test(`a track crosses a ${kind} link whole, groups larger than a record too`, async () => {
      using folder = temporaryFolder();
      const path = folder.file("live.sock");
      await using served = await serve(kind === "tcp" ? loopback : { path, mode: 0o600 });
      const url =
        kind === "tcp" ? `tcp://127.0.0.1:${served.listener.port}/room` : `unix://${path}?path=/room`;
      const local = relayOn(systemClock(), quick);
      const open = (transport: Parameters<typeof local.accept>[0]) =>
        void local.accept(transport, openGrant());
      await dialStreamSocket(new URL(url), dialOptions, systemClock(), open);
      const publisher = new FakePublisher();
      served.relay.origin.announce("room/cam", publisher, []);
      await until(() => local.origin.find("cam") !== undefined);
      const viewer = new FakeViewer();
      view(local, "cam", "v", viewer);
      await until(() => publisher.asked.length > 0);
      const track = publisher.asked[0]!;
      for (let sequence = 0; sequence < 50; sequence++) {
        const group = track.sink.openGroup(sequence)!;
        track.write(group, "x".repeat(sequence));
        track.sink.append(group, Buffer.concat([Buffer.from([1, 0x80, 1, 0, 0]), Buffer.alloc(65_536, 7)]));
        track.sink.endGroup(group, "complete");
      }
      await until(() => viewer.groups.filter((group) => group.state === "complete").length === 50);
      for (const group of viewer.groups) {
        const bytes = Buffer.concat(group.body("B").chunks);
        assert.equal(bytes.length, 2 + group.sequence + 65_541);
        assert.ok(bytes.subarray(-65_536).every((byte) => byte === 7));
      }
      assert.equal(served.listener.connections(), 1);
      local.close(0, "done");
      await until(() => served.listener.connections() === 0);
    });
  }

  test("a token that is no good ends the link", async () => {
    await using served = await serve(loopback);
    const url = new URL(`tcp://127.0.0.1:${served.listener.port}/?jwt=bad`);
    const local = relayOn(systemClock(), quick);
    const ended = Promise.withResolvers<void>();
    await dialStreamSocket(url, dialOptions, systemClock(), (transport) =>
      local.accept(transport, openGrant()).whenOver(ended.resolve),
    );
    await ended.promise;
    assert.equal(served.relay.sessionCount, 0);
  });

  test("bytes that are no records end the connection, which is told", async () => {
    await using served = await serve(loopback);
    const socket = connect(served.listener.port, "127.0.0.1");
    socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2000));
    socket.resume();
    await once(socket, "close");
    await until(() => served.listener.connections() === 0);
  });

  test("a client that says nothing is closed, and one beyond the bound is not heard", async () => {
    const clock = simClock();
    await using served = await serve(loopback, clock, { connectionsMax: 1 });
    const socket = connect(served.listener.port, "127.0.0.1");
    socket.resume();
    await until(() => served.listener.connections() === 1);
    const second = connect(served.listener.port, "127.0.0.1");
    second.resume();
    await once(second, "close");
    await Promise.all([once(socket, "close"), clock.advance(10_000)]);
    await until(() => served.listener.connections() === 0);
    assert.equal(clock.armed, 0);
  });

  test("dialling where nobody answers is given up", async () => {
    const silent = createServer((socket) => void socket.resume());
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as { port: number };
    const clock = simClock();
    const dialled = dialStreamSocket(new URL(`tcp://127.0.0.1:${port}/`), dialOptions, clock, broken);
    await Promise.all([
      assert.rejects(dialled, /nobody answered/),
      once(silent, "connection").then(() => clock.advance(5_000)),
    ]);
    silent.close();
    assert.equal(clock.armed, 0);
    const nowhere = new URL(`tcp://127.0.0.1:${port}/`);
    await assert.rejects(dialStreamSocket(nowhere, dialOptions, clock, broken), /failed/);
  });
});

describe("the file of a Unix socket", { timeout: 30_000 }, () => {
  test("is its owner's alone, or what was asked for", async () => {
    using folder = temporaryFolder();
    for (const mode of [0o600, 0o660]) {
      const path = folder.file(`${mode}.sock`);
      await using _ = await serve({ path, mode });
      assert.equal(statSync(path).mode & 0o777, mode);
    }
  });

  test("is replaced if nobody listens there, and nothing else ever is", async () => {
    using folder = temporaryFolder();
    const path = folder.file("live.sock");
    {
      await using _ = await serve({ path, mode: 0o600 });
      await assert.rejects(serve({ path, mode: 0o600 }), /listens on the socket already/);
    }
    // One that is killed removes nothing.
    const script =
      "require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))";
    await once(spawn(process.execPath, ["-e", script, path]), "exit");
    assert.ok(statSync(path).isSocket());
    await using _ = await serve({ path, mode: 0o600 });
    const file = folder.file("notes.txt");
    writeFileSync(file, "mine");
    await assert.rejects(serve({ path: file, mode: 0o600 }), /is none/);
  });
});
