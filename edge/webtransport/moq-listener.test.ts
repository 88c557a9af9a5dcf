import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemEntropy } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import { openDevelopmentCertificate } from "#edge/tls/development-certificate.ts";
import {
  FakeBinding,
  FakeReceive,
  FakeRequest,
  FakeSend,
  FakeSession,
} from "#tests/support/fake-moq-binding.ts";
import { settle, simClock } from "#tests/support/sim-clock.ts";
import type { Knock } from "#wire/live/acceptor.ts";
import type {
  ReceiveStream,
  SendStream,
  SessionEnd,
  Transport,
  TransportHandler,
} from "#wire/live/transport.ts";
import { type CertificatePair, certificateHash } from "../tls/certificates.ts";
import { listenMoq } from "./moq-listener.ts";

const dayMs = 86_400_000;

const noLimits = {
  connectionWindowBytes: 1,
  streamWindowBytes: 1,
  streamsMax: 1,
  idleTimeoutMs: 1,
  pingIntervalMs: 1,
};

async function certificate(clock = simClock()): Promise<CertificatePair> {
  const made = {
    hosts: ["localhost"],
    clock,
    entropy: systemEntropy,
    failed: (error: unknown) => assert.fail(String(error)),
  };
  using development = await openDevelopmentCertificate(made);
  return development.pairs[0]!;
}

/** Writes down what the transport tells; writes what a test wants when pumped. */
class Handler implements TransportHandler {
  readonly transport: Transport;
  readonly unis: ReceiveStream[] = [];
  readonly bidis: { send: SendStream; receive: ReceiveStream }[] = [];
  readonly ends: SessionEnd[] = [];
  pump: () => void = () => {};

  constructor(transport: Transport) {
    this.transport = transport;
  }
  onUni(stream: ReceiveStream): void {
    this.unis.push(stream);
  }
  onBidi(stream: { send: SendStream; receive: ReceiveStream }): void {
    this.bidis.push(stream);
  }
  onPump(): void {
    this.pump();
  }
  onEnd(end: SessionEnd): void {
    this.ends.push(end);
  }
}

async function listening() {
  const clock = simClock();
  const binding = new FakeBinding();
  const handlers: Handler[] = [];
  const knocks: Knock[] = [];
  const reports: unknown[] = [];
  const acceptor = {
    async admit(knock: Knock) {
      knocks.push(knock);
      if (knock.path === "/closed") throw new RelayError("unauthorized");
      if (knock.path === "/broken") throw new Error("ours");
    },
    accept(transport: Transport) {
      const handler = new Handler(transport);
      transport.handler = handler;
      handlers.push(handler);
    },
  };
  const first = await certificate(clock);
  const options = { hosts: ["127.0.0.1"] as const, port: 4443, certificate: first, ...noLimits };
  const listener = await listenMoq(acceptor, options, clock, (error) => reports.push(error), binding);
  const open = async (path = "/room?jwt=x") => {
    const session = new FakeSession();
    binding.knock(new FakeRequest(`https://relay.test${path}`, session));
    await settle();
    return { session, handler: handlers.at(-1)! };
  };
  return { clock, binding, knocks, reports, listener, open, first };
}

describe("sessions by way of @moq/web-transport", () => {
  test("are admitted by path and query, or refused with a status", async () => {
    const { knocks, open, listener, binding, reports } = await listening();
    const { handler } = await open("/room/1?jwt=secret");
    assert.equal(knocks[0]!.path, "/room/1");
    assert.equal(knocks[0]!.query.get("jwt"), "secret");
    assert.equal(handler.transport.version, undefined);
    assert.equal(listener.connections(), 1);
    for (const [path, status] of [
      ["/closed", 401],
      ["/broken", 500],
    ] as const) {
      const request = new FakeRequest(`https://relay.test${path}`, new FakeSession());
      binding.knock(request);
      await settle();
      assert.equal(request.rejected, status);
    }
    assert.equal(reports.length, 1);
    assert.equal(listener.connections(), 1);
  });

  test("hand on what arrives: bytes, an end, a reset's code", async () => {
    const { open } = await listening();
    const { session, handler } = await open();
    const seen: unknown[] = [];
    const listen = (stream: ReceiveStream) => {
      stream.onData = (chunk, fin) => seen.push([Buffer.from(chunk).toString(), fin]);
      stream.onReset = (code) => seen.push(code);
    };
    const [first, second] = [new FakeReceive(), new FakeReceive()];
    handler.onUni = listen;
    session.unis.give(first);
    session.unis.give(second);
    await settle();
    first.chunks.give(Buffer.from("one"));
    first.chunks.give(null);
    second.chunks.fail(new Error("RESET_STREAM: 42"));
    await settle();
    assert.deepEqual(seen, [["one", false], 42, ["", true]]);
  });

  test("write one thing at a time, take a bounded amount, and ask for more when there is room", async () => {
    const { open } = await listening();
    const { session, handler } = await open();
    const send = new FakeSend();
    session.opened.give(send);
    const chunk = new Uint8Array(100_000).map((_, at) => at);
    let stream: SendStream | undefined;
    let sent = 0;
    handler.pump = () => {
      stream ??= handler.transport.openUni()!;
      sent += stream.write(chunk, sent, true);
    };
    handler.transport.wake();
    await settle();
    assert.equal(sent, 65_536);
    assert.equal(send.writes.length, 1);
    send.wrote();
    await settle();
    assert.equal(sent, 100_000);
    assert.equal(stream!.done, true);
    assert.equal(send.finished, false);
    send.wrote();
    await settle();
    assert.equal(send.finished, true);
    assert.deepEqual(Buffer.concat(send.writes), Buffer.from(chunk));
  });

  test("open no more than sixteen streams that the remote does not allow yet", async () => {
    const { open } = await listening();
    const { session, handler } = await open();
    let opened = 0;
    handler.pump = () => {
      while (handler.transport.openUni() !== undefined) opened++;
    };
    handler.transport.wake();
    await settle();
    assert.equal(opened, 16);
    session.opened.give(new FakeSend());
    await settle();
    assert.equal(opened, 17);
  });

  test("tell of a stop with its code, and reset with one", async () => {
    const { open } = await listening();
    const { session, handler } = await open();
    const [stopped, given] = [new FakeSend(), new FakeSend()];
    session.opened.give(stopped);
    session.opened.give(given);
    const codes: number[] = [];
    const streams: SendStream[] = [];
    handler.pump = () => {
      if (streams.length > 0) return;
      for (let at = 0; at < 2; at++) {
        const stream = handler.transport.openUni()!;
        stream.onStop = (code) => codes.push(code);
        stream.write(new Uint8Array(3), 0, false);
        streams.push(stream);
      }
    };
    handler.transport.wake();
    await settle();
    stopped.fail(new Error("STOP_SENDING: 7"));
    streams[1]!.reset(9);
    given.wrote();
    await settle();
    assert.deepEqual(codes, [7]);
    assert.equal(streams[0]!.done, true);
    assert.equal(given.resetCode, 9);
  });

  test("end once: by a close with its reason, or lost without one", async () => {
    const { open, listener } = await listening();
    const closed = await open();
    closed.session.end(7, "bye");
    const lost = await open();
    lost.session.end(0, "connection error: timed out");
    const ours = await open();
    ours.handler.transport.close(3, "late");
    await settle();
    assert.deepEqual(closed.handler.ends, [{ code: 7, reason: "bye", clean: true }]);
    assert.equal(lost.handler.ends[0]!.clean, false);
    assert.deepEqual(ours.session.closedWith, [3, "late"]);
    assert.deepEqual(ours.handler.ends, [{ code: 3, reason: "late", clean: true }]);
    assert.equal(listener.connections(), 0);
  });
});

describe("the port of @moq/web-transport", () => {
  test("takes a new certificate once no session is left, and tells the old hash until then", async () => {
    const { clock, binding, listener, open, first } = await listening();
    const { session } = await open();
    const second = await certificate(clock);
    listener.renew(second);
    await settle();
    assert.equal(listener.certificateHash, certificateHash(first.cert));
    session.end(0, "");
    await settle();
    assert.equal(binding.open.size, 0);
    binding.stillBound = 1;
    await clock.advance(10);
    assert.equal(binding.open.size, 0);
    assert.equal(listener.certificateHash, certificateHash(first.cert));
    // Another one that comes meanwhile is taken next.
    const third = await certificate(clock);
    listener.renew(third);
    await clock.advance(20);
    assert.equal(listener.certificateHash, certificateHash(second.cert));
    await clock.advance(10);
    assert.equal(listener.certificateHash, certificateHash(third.cert));
    assert.deepEqual([...binding.open.values()], [third.cert]);
  });

  test("closes sessions that stay until the day before their certificate ends", async () => {
    const { clock, listener, open } = await listening();
    const { session } = await open();
    listener.renew(await certificate(clock));
    await clock.advance(12 * dayMs - 1_000);
    assert.equal(session.closedWith, undefined);
    await clock.advance(1_000);
    assert.deepEqual(session.closedWith, [0, "the relay takes a new certificate"]);
  });

  test("is had at the first address; another that cannot be had is left out", async () => {
    const binding = new FakeBinding();
    binding.refused.add("[::1]:4443");
    const acceptor = { admit: async () => {}, accept() {} };
    const options = { port: 4443, certificate: await certificate(), ...noLimits };
    const listen = (...hosts: [string, ...string[]]) =>
      listenMoq(acceptor, { ...options, hosts }, simClock(), (error) => assert.fail(String(error)), binding);
    await assert.rejects(listen("::1"), /in use/);
    await listen("127.0.0.1", "::1");
    assert.deepEqual([...binding.open.keys()], ["127.0.0.1:4443"]);
  });

  test("is let go of at the end, though the library blocks while it accepts", async () => {
    const { binding, listener, open } = await listening();
    const { session } = await open();
    session.end(0, "");
    await listener.close();
    assert.equal(binding.open.size, 0);
  });
});
