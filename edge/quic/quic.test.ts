import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { systemClock } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import type { Grant } from "#modes/live/grant.ts";
import { FakePublisher, FakeViewer, openGrant, relayOn, view } from "#tests/support/live-pair.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import type { LiveAcceptor } from "#wire/live/acceptor.ts";
import { listenQuiche } from "../webtransport/quiche-listener.ts";
import { dialQuic } from "./dial.ts";

/** Nothing of the relay's own keeps the process waiting. */
const quick = { trackIdleLingerMs: 0 };
const limits = {
  connectionWindowBytes: 16 * 2 ** 20,
  streamWindowBytes: 2 * 2 ** 20,
  streamsMax: 1_000,
  idleTimeoutMs: 10_000,
  pingIntervalMs: 2_000,
};

async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  return port;
}

async function serve() {
  using folder = temporaryFolder();
  const [certFile, keyFile] = [folder.file("tls.crt"), folder.file("tls.key")];
  const request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost";
  const names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const files = ["-keyout", keyFile, "-out", certFile];
  execFileSync("openssl", [...request.split(" "), ...names, ...files], { stdio: "ignore" });
  const certificate = { cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8") };
  const relay = relayOn(systemClock(), quick);
  const acceptor: LiveAcceptor<Grant> = {
    async admit({ path, query }) {
      if (query.get("jwt") === "bad") throw new RelayError("unauthorized");
      return openGrant(path.slice(1));
    },
    accept: (transport, grant) => void relay.accept(transport, grant),
  };
  const port = await freePort();
  const withoutHttp = { setupTimeoutMs: 5_000, heldMaxBytes: 65_536 };
  const options = { hosts: ["127.0.0.1"] as [string], port, certificate, withoutHttp, ...limits };
  const listener = await listenQuiche(acceptor, options, systemClock(), (error) => {
    throw error;
  });
  return {
    relay,
    listener,
    dial: { ...limits, ca: [certificate.cert], connectTimeoutMs: 5_000 },
    url: (path: string) => new URL(`moqt://localhost:${port}${path}`),
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

const runsHere = process.platform === "linux" && process.arch === "x64";

describe("live over QUIC without HTTP/3", { timeout: 30_000, skip: !runsHere }, () => {
  test("a session says in its setup where it wants to, and a track crosses whole", async () => {
    await using served = await serve();
    const local = relayOn(systemClock(), quick);
    await dialQuic(served.url("/room"), served.dial, systemClock(), (transport) => {
      assert.equal(transport.version, 5);
      local.accept(transport, openGrant());
    });
    const publisher = new FakePublisher();
    served.relay.origin.announce("room/cam", publisher, []);
    await until(() => local.origin.find("cam") !== undefined);
    const viewer = new FakeViewer();
    view(local, "cam", "v", viewer);
    await until(() => publisher.asked.length > 0);
    for (let sequence = 0; sequence < 5; sequence++) {
      const group = publisher.asked[0]!.open(sequence, "x".repeat(sequence));
      publisher.asked[0]!.sink.append(
        group,
        Buffer.concat([Buffer.from([1, 0x80, 0, 0x20, 0]), Buffer.alloc(8_192, 7)]),
      );
      publisher.asked[0]!.sink.endGroup(group, "complete");
    }
    await until(() => viewer.groups.filter((group) => group.state === "complete").length === 5);
    for (const group of viewer.groups) {
      assert.equal(Buffer.concat(group.body("B").chunks).length, 2 + group.sequence + 8_197);
    }
    local.close(7, "enough");
    await until(() => served.relay.sessionCount === 0);
  });

  test("one who may not come in hears why", async () => {
    await using served = await serve();
    const local = relayOn(systemClock(), quick);
    const over = Promise.withResolvers<void>();
    await dialQuic(served.url("/?jwt=bad"), served.dial, systemClock(), (transport) =>
      local.accept(transport, openGrant()).whenOver(over.resolve),
    );
    await over.promise;
    assert.equal(served.relay.sessionCount, 0);
  });

  test("a relay whose certificate is signed by nobody we trust is not spoken with", async () => {
    await using served = await serve();
    const dialled = dialQuic(served.url("/"), { ...served.dial, ca: [] }, systemClock(), () => {
      throw new Error("it opened");
    });
    await assert.rejects(dialled, (error: Error) => error.message !== "it opened");
  });
});
