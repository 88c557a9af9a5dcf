import assert from "node:assert/strict";
import { test } from "node:test";
import { settle } from "../../../../tests/support/sim-clock.ts";
import type { ReceiveStream, SessionEnd } from "../../../../wire/live/transport.ts";
import { dialWebTransport, type WebTransportTransport } from "./webtransport-transport.ts";

/** A stream whose other side is read when the test wants it. */
function held() {
  const written: Uint8Array[] = [];
  const releases: (() => void)[] = [];
  const events: string[] = [];
  const stream = new WritableStream<Uint8Array>({
    write(chunk) {
      written.push(chunk);
      return new Promise<void>((resolve) => releases.push(resolve));
    },
    close: () => void events.push("closed"),
    abort: () => void events.push("aborted"),
  });
  return { stream, written, events, release: () => releases.shift()?.() };
}

/** The platform's side of a session, in the test's hands. */
class FakeSession {
  static latest: FakeSession;
  readonly options: WebTransportOptions & { protocols?: string[] };
  readonly protocol = "moq-lite-05";
  readonly ready = Promise.resolve();
  readonly opening: PromiseWithResolvers<WritableStream<Uint8Array>>[] = [];
  readonly closed: Promise<WebTransportCloseInfo>;
  readonly end: PromiseWithResolvers<WebTransportCloseInfo> = Promise.withResolvers();
  uni!: ReadableStreamDefaultController<ReadableStream<Uint8Array>>;
  readonly incomingUnidirectionalStreams = new ReadableStream<ReadableStream<Uint8Array>>({
    start: (controller) => {
      this.uni = controller;
    },
  });
  readonly incomingBidirectionalStreams = new ReadableStream<never>();

  constructor(_url: string, options: WebTransportOptions = {}) {
    this.options = options;
    this.closed = this.end.promise;
    FakeSession.latest = this;
  }

  createUnidirectionalStream(): Promise<WritableStream<Uint8Array>> {
    const opening = Promise.withResolvers<WritableStream<Uint8Array>>();
    this.opening.push(opening);
    return opening.promise;
  }

  close(info: WebTransportCloseInfo): void {
    this.end.resolve(info);
  }
}

async function connected() {
  let transport: WebTransportTransport | undefined;
  const received: ReceiveStream[] = [];
  const ends: SessionEnd[] = [];
  let pump = () => {};
  dialWebTransport(
    new URL("https://relay.example/"),
    FakeSession as unknown as typeof WebTransport,
    [new Uint8Array(32)],
    {
      open(opened) {
        transport = opened;
        opened.handler = {
          onUni: (stream) => void received.push(stream),
          onBidi() {},
          onPump: () => pump(),
          onEnd: (end) => void ends.push(end),
        };
      },
      fail: assert.fail,
    },
  );
  await settle();
  return {
    transport: transport!,
    session: FakeSession.latest,
    received,
    ends,
    /** Runs `write` in the next pump, and answers once it ran. */
    async inPump(write: () => void) {
      pump = write;
      transport!.wake();
      await settle();
      pump = () => {};
    },
  };
}

test("the versions are offered, and the certificate pinned", async () => {
  const { transport, session } = await connected();
  assert.equal(transport.version, 5);
  assert.deepEqual(session.options.protocols, ["moq-lite-05", "moq-lite-04", "moq-lite-03"]);
  assert.equal(session.options.serverCertificateHashes!.length, 1);
});

test("a stream takes nothing before it is there, and then no more than its backlog", async () => {
  const { transport, session, inPump } = await connected();
  const stream = transport.openUni()!;
  const chunk = new Uint8Array(500_000);
  let taken = -1;
  await inPump(() => {
    taken = stream.write(chunk, 0, true);
  });
  assert.equal(taken, 0);
  const { stream: there, written, events, release } = held();
  session.opening[0]!.resolve(there);
  await settle();
  await inPump(() => {
    taken = stream.write(chunk, 0, true);
  });
  assert.equal(taken, 131_072);
  assert.equal(stream.write(chunk, taken, true), 0, "outside of a pump nothing is taken");
  while (taken < chunk.length) {
    release();
    await inPump(() => {
      taken += stream.write(chunk, taken, true);
    });
  }
  assert.equal(stream.done, true);
  while (events.length === 0) {
    release();
    await settle();
  }
  assert.deepEqual(events, ["closed"]);
  assert.equal(
    written.reduce((sum, piece) => sum + piece.length, 0),
    chunk.length,
  );
});

test("a stream given up before it was there is aborted when it comes", async () => {
  const { transport, session } = await connected();
  const stream = transport.openUni()!;
  stream.reset(2);
  const { stream: there, events } = held();
  session.opening[0]!.resolve(there);
  await settle();
  assert.deepEqual(events, ["aborted"]);
});

test("streams that the relay does not allow are stopped, and others may be asked for again", async () => {
  const { transport, session } = await connected();
  const streams = [];
  for (let stream = transport.openUni(); stream !== undefined; stream = transport.openUni())
    streams.push(stream);
  assert.equal(streams.length, 8);
  let stopped = 0;
  for (const stream of streams) {
    stream.onStop = () => {
      stopped++;
    };
  }
  for (const { reject } of session.opening) reject(new Error("no credit"));
  await settle();
  assert.equal(stopped, 8);
  assert.ok(transport.openUni());
});

test("what arrives comes in order with its end, and nothing after a stop", async () => {
  const { session, received } = await connected();
  const pipes = [new TransformStream<Uint8Array>(), new TransformStream<Uint8Array>()];
  for (const { readable } of pipes) session.uni.enqueue(readable);
  await settle();
  const got: string[] = [];
  for (const stream of received) {
    stream.onData = (chunk, fin) => void got.push(`${[...chunk]}${fin ? " end" : ""}`);
  }
  received[1]!.stop(0);
  const [writer, stopped] = pipes.map(({ writable }) => writable.getWriter());
  stopped!.closed.catch(() => {});
  stopped!.write(Uint8Array.of(9)).catch(() => {});
  await writer!.write(Uint8Array.of(1, 2));
  await writer!.close();
  await settle();
  assert.deepEqual(got, ["1,2", " end"]);
});

test("the relay's goodbye is told with its code, a broken connection without", async () => {
  const said = await connected();
  said.session.end.resolve({ closeCode: 6, reason: "the token has expired" });
  await settle();
  assert.deepEqual(said.ends, [{ code: 6, reason: "the token has expired", clean: true }]);
  const broken = await connected();
  broken.session.end.reject(new Error("gone"));
  await settle();
  assert.equal(broken.ends[0]!.clean, false);
  broken.transport.close(0, "");
  assert.equal(broken.ends.length, 1);
});
