import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { hex, toHex } from "#tests/support/hex.ts";
import { muxPair, Pipe, pairLimits } from "#tests/support/live-pair.ts";
import { settle, simClock } from "#tests/support/sim-clock.ts";
import { Encoder } from "./encoder.ts";
import { encodeLegacyClose, encodeLegacyReset } from "./legacy.ts";
import { Mux, type MuxLimits } from "./mux.ts";
import {
  encodeApplicationClose,
  encodeParameters,
  encodePing,
  encodeReset,
  type QmuxParameters,
} from "./qmux.ts";
import type { SendStream, SessionEnd, TransportHandler } from "./transport.ts";
import { type Framing, protocolNames } from "./version.ts";

const framings: Framing[] = ["qmux-02", "qmux-01", "qmux-00", "webtransport"];

/** Writes what the test queues, and records what arrives. */
class Recorder implements TransportHandler {
  readonly #mux: Mux;
  readonly received: { bytes: Buffer; fin: boolean; reset: number | undefined }[] = [];
  readonly stopped: number[] = [];
  end: SessionEnd | undefined;
  #toSend: { stream: SendStream | undefined; bytes: Uint8Array; at: number }[] = [];

  constructor(mux: Mux) {
    this.#mux = mux;
    mux.handler = this;
  }

  send(bytes: Uint8Array): void {
    this.#toSend.push({ stream: undefined, bytes, at: 0 });
    this.#mux.wake();
  }

  onUni(stream: Parameters<TransportHandler["onUni"]>[0]): void {
    const entry = { bytes: Buffer.alloc(0), fin: false, reset: undefined as number | undefined };
    this.received.push(entry);
    stream.onData = (chunk, fin) => {
      entry.bytes = Buffer.concat([entry.bytes, chunk]);
      entry.fin = fin;
    };
    stream.onReset = (code) => {
      entry.reset = code;
    };
  }

  onBidi(): void {}

  onPump(): void {
    this.#toSend = this.#toSend.filter((entry) => {
      entry.stream ??= this.#mux.openUni();
      if (entry.stream === undefined) return true;
      entry.stream.onStop = (code) => void this.stopped.push(code);
      entry.at += entry.stream.write(entry.bytes, entry.at, true);
      return !entry.stream.done;
    });
  }

  onEnd(end: SessionEnd): void {
    assert.equal(this.end, undefined, "a session ends once");
    this.end = end;
  }
}

function recorded(framing: Framing, limits: Partial<MuxLimits> = {}) {
  const pair = muxPair(simClock(), framing, undefined, limits);
  return { ...pair, atClient: new Recorder(pair.client), atServer: new Recorder(pair.server) };
}

const grants: QmuxParameters = {
  idleTimeoutMs: 30_000,
  maxData: 1_048_576,
  maxStreamDataBidiLocal: 0,
  maxStreamDataBidiRemote: 0,
  maxStreamDataUni: 0,
  maxStreamsBidi: 100,
  maxStreamsUni: 100,
  recordMaxBytes: 16_382,
  protocols: [],
};

describe("versions agreed upon in the parameters", () => {
  const agreed = (ours: (number | undefined)[], theirs: (number | undefined)[]) => {
    const names = (versions: (number | undefined)[]) =>
      protocolNames.filter(({ version }) => versions.includes(version));
    const clock = simClock();
    const [toServer, toClient] = [new Pipe(), new Pipe()];
    const said: string[] = [];
    const end = (role: "client" | "server", versions: (number | undefined)[], pipe: Pipe) =>
      new Mux("qmux-01", undefined, role, pairLimits, pipe, clock, {
        names: names(versions),
        onAgreed: () => said.push(role),
      });
    const client = end("client", theirs, toServer);
    const server = end("server", ours, toClient);
    toServer.peer = server;
    toClient.peer = client;
    return { client, server, said, atClient: new Recorder(client), atServer: new Recorder(server) };
  };

  test("are the first of the server's that the client has", async () => {
    for (const [ours, theirs, version] of [
      [[5, 4], [5, 4, 3], 5],
      [[4, 3], [5, 4, 3], 4],
      [[5, 20], [20], 20],
      [[5, undefined], [undefined, 3], undefined],
    ] as const) {
      const { client, server, said } = agreed([...ours], [...theirs]);
      await settle();
      assert.deepEqual([server.version, client.version], [version, version]);
      assert.deepEqual(said.sort(), ["client", "server"]);
    }
  });

  test("none in common closes both ends, one that names nothing leaves it to SETUP", async () => {
    const { atServer, said } = agreed([5], [4]);
    await settle();
    assert.equal(atServer.end?.code, 9);
    assert.deepEqual(said, []);
    const silent = agreed([5], []);
    await settle();
    assert.equal(silent.server.version, undefined);
    assert.ok(silent.said.includes("server"));
  });

  test("are not named where the handshake did", async () => {
    const { client, server } = muxPair(simClock(), "qmux-01", 5);
    new Recorder(client);
    const atServer = new Recorder(server);
    server.receive(encodeParameters({ ...grants, protocols: ["moq-lite-05"] }, true));
    await settle();
    assert.equal(atServer.end?.code, 15);
  });
});

describe("frames as published clients write them", () => {
  test("resets, closes and pings", () => {
    assert.equal(toHex(encodeReset(3, 13, 2)), "04030d02");
    assert.equal(toHex(encodeLegacyReset(3, 13)), "04030d");
    assert.equal(toHex(encodeApplicationClose(2, "no")), "1d02026e6f");
    assert.equal(toHex(encodeLegacyClose(2, "no")), "1d026e6f");
    assert.equal(toHex(encodePing(1)), "f48c67529ef8c7bd01");
    assert.ok(toHex(encodeParameters(grants, true)).startsWith("ff5153300d0a0d0a"));
    assert.ok(toHex(encodeParameters(grants, true)).includes("010480007530" + "040480100000"));
  });

  test("a stream's data with its end, in either framing", async () => {
    for (const [framing, bytes] of [
      ["qmux-02", "0f 02 00 02 6869"],
      ["webtransport", "09 02 6869"],
    ] as const) {
      const { server, atServer, toClient } = recorded(framing);
      if (framing === "qmux-02") server.receive(encodeParameters(grants, true));
      server.receive(hex(bytes));
      assert.deepEqual(atServer.received, [{ bytes: Buffer.from("hi"), fin: true, reset: undefined }]);
      toClient.messages.length = 0;
      atServer.send(new TextEncoder().encode("hi"));
      await settle();
      const expected = framing === "qmux-02" ? undefined : "09036869";
      if (expected) assert.equal(toHex(Buffer.concat(toClient.messages)), expected);
    }
  });
});

describe("streams over messages", () => {
  for (const framing of framings) {
    test(`${framing}: arrive whole and in any number, within the windows`, async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.nat(40_000), { minLength: 1, maxLength: 40 }),
          fc.integer({ min: 2, max: 20 }),
          async (lengths, streamsMax) => {
            const limits = { connectionWindowBytes: 20_000, streamWindowBytes: 5_000, streamsMax };
            const { atClient, atServer, toServer } = recorded(framing, limits);
            const payloads = lengths.map((length, at) => Buffer.alloc(length, at + 1));
            for (const payload of payloads) atClient.send(payload);
            for (
              let turn = 0;
              turn < 200 && atServer.received.filter(({ fin }) => fin).length < lengths.length;
              turn++
            ) {
              await settle();
            }
            const sent = payloads.map(toHex).sort();
            assert.deepEqual(atServer.received.map(({ bytes }) => toHex(bytes)).sort(), sent);
            assert.ok(atServer.received.every(({ fin }) => fin));
            for (const message of toServer.messages) assert.ok(message.length <= 16_384);
            assert.equal(atServer.end, undefined);
          },
        ),
        { numRuns: 15 },
      );
    });

    test(`${framing}: a goodbye reaches the other end with its code and reason`, async () => {
      const { client, atClient, atServer } = recorded(framing);
      await settle();
      client.close(4, "bye");
      await settle();
      assert.deepEqual(atServer.end, { code: 4, reason: "bye", clean: true });
      assert.deepEqual(atClient.end, { code: 4, reason: "bye", clean: true });
    });

    test(`${framing}: whatever arrives, the session goes on or ends with a code`, () => {
      fc.assert(
        fc.property(
          fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 6 }),
          fc.boolean(),
          (messages, greeted) => {
            const { server, atServer } = recorded(framing);
            if (greeted && framing !== "webtransport") {
              server.receive(encodeParameters(grants, framing !== "qmux-00"));
            }
            for (const message of messages) server.receive(message);
            if (atServer.end) assert.ok(atServer.end.code >= 0);
          },
        ),
        { numRuns: 500 },
      );
    });
  }

  test("a reader that stops one stream gets no more of it, and all of the next", async () => {
    const { atClient, atServer, server } = recorded("qmux-02", { streamWindowBytes: 1_000 });
    atServer.onUni = (stream) => {
      stream.stop(7);
      atServer.onUni = Recorder.prototype.onUni.bind(atServer);
    };
    atClient.send(Buffer.alloc(5_000));
    await settle();
    atClient.send(Buffer.from("next"));
    await settle();
    assert.deepEqual(atClient.stopped, [7]);
    assert.deepEqual(
      atServer.received.map(({ bytes }) => bytes.toString()),
      ["next"],
    );
    assert.equal(server.version, undefined);
  });
});

describe("a remote that breaks the rules of qmux is told and left", () => {
  const broken = (framing: Framing, ...messages: Uint8Array[]) => {
    const { server, atServer } = recorded(framing);
    for (const message of messages) server.receive(message);
    assert.equal(atServer.end?.clean, false);
    return atServer.end?.reason;
  };
  const hello = encodeParameters(grants, true);

  test("parameters twice, late, or with one given twice", () => {
    assert.equal(broken("qmux-02", hello, hello), "parameters come once");
    assert.equal(broken("qmux-02", hex("0f02000268 69")), "parameters come first");
    assert.match(broken("qmux-01", hex("ff5153300d0a0d0a 06 040101 040101"))!, /twice/);
    assert.match(broken("qmux-01", hex("ff5153300d0a0d0a 03 000101"))!, /not allowed/);
  });

  test("data beyond a window, a gap in a stream, more streams than granted", () => {
    const data = (id: number, offset: string, length: number) =>
      Buffer.concat([
        hex(`0e ${id.toString(16).padStart(2, "0")} ${offset}`),
        hex("8000"),
        Buffer.from([length >> 8, length & 255]),
        Buffer.alloc(length),
      ]);
    const { streamWindowBytes } = pairLimits;
    const over = Array.from({ length: 20 }, (_, at) =>
      data(2, `80${(at * 16_000).toString(16).padStart(6, "0")}`, 16_000),
    );
    assert.ok(20 * 16_000 > streamWindowBytes);
    const { server, atServer } = recorded("qmux-02");
    server.receive(hello);
    for (const message of over) server.receive(message);
    assert.equal(atServer.end, undefined, "windows renew as data is read");
    assert.equal(broken("qmux-02", hello, data(2, "05", 1)), "a stream has a gap");
    assert.equal(broken("qmux-02", hello, hex("0f 4192 00 01 61")), "more streams than allowed");
    const small = recorded("qmux-02", { streamWindowBytes: 10 });
    small.server.receive(hello);
    small.server.receive(data(2, "00", 11));
    assert.equal(small.atServer.end?.reason, "data beyond a stream's window");
  });

  test("more streams at once than we keep, where the framing grants none", () => {
    const { server, atServer } = recorded("webtransport", { streamsMax: 10 });
    for (let id = 2; id < 400 && !atServer.end; id += 4)
      server.receive(hex(`08 40${id.toString(16).padStart(2, "0").slice(-2)} 61`));
    assert.equal(atServer.end?.reason, "too many streams are open");
    assert.equal(atServer.received.length, 20);
  });

  test("ping numbers that do not go up", () => {
    assert.equal(broken("qmux-02", hello, encodePing(2), encodePing(2)), "ping numbers go up");
  });
});

describe("a remote that reads nothing", () => {
  for (const framing of framings) {
    test(`and opens streams that are refused is given up, over ${framing}`, async () => {
      const { client, server, toClient } = muxPair(simClock(), framing, 5);
      new Recorder(client);
      let ended: SessionEnd | undefined;
      server.handler = {
        onUni: (stream) => stream.stop(17),
        onBidi(stream) {
          stream.send.reset(17);
          stream.receive.stop(17);
        },
        onPump() {},
        onEnd: (end) => {
          ended = end;
        },
      };
      if (framing !== "webtransport") server.receive(encodeParameters(generous, framing !== "qmux-00"));
      toClient.stalled = true;
      for (let id = 0; id < 100_000 && ended === undefined; id += 4) {
        // The end of the stream, and with it the right to open another.
        const frame = framing === "webtransport" ? [0x09] : [0x0b];
        server.receive(
          Buffer.concat([
            Uint8Array.from(frame),
            new Encoder().varint(id).finish(),
            framing === "webtransport" ? hex("2a") : hex("012a"),
          ]),
        );
      }
      assert.equal(ended?.code, 26);
    });
  }
});

const generous: QmuxParameters = {
  idleTimeoutMs: 0,
  maxData: 1_000_000,
  maxStreamDataBidiLocal: 1_000_000,
  maxStreamDataBidiRemote: 1_000_000,
  maxStreamDataUni: 1_000_000,
  maxStreamsBidi: 100,
  maxStreamsUni: 100,
  recordMaxBytes: 16_382,
  protocols: [],
};
