import { type ChildProcess, fork, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { concatBytes } from "#core/bytes.ts";
import { systemClock, systemEntropy } from "#core/clock.ts";
import { dialWebSocket } from "#edge/websocket/dial.ts";
import { defaultLiveWebSocketOptions } from "#edge/websocket/live-websocket.ts";
import type { Group } from "#modes/live/group.ts";
import { defaultLiveLimits } from "#modes/live/limits.ts";
import { Relay } from "#modes/live/relay.ts";
import type { TrackSink, TrackSource } from "#modes/live/track.ts";
import { encodeFrameHeader } from "#wire/live/group.ts";
import {
  mark,
  type Subscriber,
  subscribeOverWebSocket,
  subscribeOverWebTransport,
} from "./live-subscriber.ts";

// Fan-out 1 to N, relay and load each in a process of its own:
//   node bench/live.ts [--quick] [--webtransport] [--beside PATH/TO/moq-relay]
// Subscribers are on plain WebSocket (qmux-01, moq-lite-05), with --webtransport on WebTransport, where ours is measured
// with each of its libraries; the publisher is on WebSocket always. A delivery is one frame at one subscriber. Subscribers
// count bytes, so that the load costs little; latency is read from a mark in the frames of the paced rows. The load's
// WebTransport is @moq/web-transport, which needs glibc 2.38 or later.

interface Row {
  subscribers: number;
  frameBytes: number;
  /** Frames a second; 0: as fast as the slowest subscriber takes them. */
  framesPerSecond: number;
  framesPerGroup: number;
  seconds: number;
}

interface Usage {
  cpuMicros: number;
  rssBytes: number;
}

/** A relay under test, in a process of its own. */
interface Rival {
  name: string;
  start(): Promise<{ child: ChildProcess; port: number }>;
}

const overWebTransport = process.argv.includes("--webtransport");
const subscribe = overWebTransport ? subscribeOverWebTransport : subscribeOverWebSocket;
const quick = process.argv.includes("--quick");
const beside = process.argv[process.argv.indexOf("--beside") + 1];
const seconds = quick ? 3 : 10;
const webSocketRows = [
  ...[10, 100].map((subscribers) => ({ subscribers, frameBytes: 1024, framesPerSecond: 0 })),
  ...[10, 100, 1000].map((subscribers) => ({ subscribers, frameBytes: 1024, framesPerSecond: 60 })),
  { subscribers: 100, frameBytes: 1024, framesPerSecond: 500 },
  ...[10, 100, 400].map((subscribers) => ({ subscribers, frameBytes: 4096, framesPerSecond: 60 })),
];
// Nothing unpaced: what does not keep up skips groups, and then it is the load's speed that counts.
const webTransportRows = [
  ...[10, 100].map((subscribers) => ({ subscribers, frameBytes: 1024, framesPerSecond: 60 })),
  ...[10, 100].map((subscribers) => ({ subscribers, frameBytes: 1024, framesPerSecond: 200 })),
  ...[10, 100].map((subscribers) => ({ subscribers, frameBytes: 4096, framesPerSecond: 60 })),
];
const rows: Row[] = (overWebTransport ? webTransportRows : webSocketRows).map((row) => ({
  ...row,
  framesPerGroup: 60,
  seconds,
}));

/** Headers of frame, stream, record and WebSocket, about. */
const overheadBytes = 12;

/** Numbers the frames of one track, group by group, into whatever sink the relay under test asked with. */
class Publisher implements TrackSource {
  readonly frameClass = "B";
  readonly cluster = false;
  readonly #row: Row;
  readonly #frame: Uint8Array;
  readonly #clock: DataView;
  #sink: TrackSink | undefined;
  #group: Group | undefined;
  frames = 0;

  constructor(row: Row) {
    this.#row = row;
    const header = encodeFrameHeader(row.frameBytes, 0);
    this.#frame = concatBytes(header, new Uint8Array(row.frameBytes));
    this.#frame.set(mark, header.length);
    this.#clock = new DataView(this.#frame.buffer, this.#frame.byteOffset + header.length + mark.length, 8);
  }

  subscribe(_broadcast: string, _track: string, _options: unknown, sink: TrackSink) {
    this.#sink = sink;
    sink.onInfo({ priority: 0, ordered: false, latencyMaxMs: 5_000, timescale: 1_000 });
    return { update() {}, close() {} };
  }

  write(): void {
    const sink = this.#sink;
    if (sink === undefined) return;
    if (this.frames % this.#row.framesPerGroup === 0) {
      if (this.#group) sink.endGroup(this.#group, "complete");
      this.#group = sink.openGroup(this.frames / this.#row.framesPerGroup);
    }
    this.#clock.setFloat64(0, performance.now());
    sink.append(this.#group!, this.#frame.slice());
    this.frames++;
  }
}

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function run(row: Row, rival: Rival): Promise<string> {
  const { child, port } = await rival.start();
  const clock = systemClock();
  const local = new Relay(clock, systemEntropy, defaultLiveLimits);
  const publisher = new Publisher(row);
  local.origin.announce("bench", publisher, []);
  const dial = { ...defaultLiveWebSocketOptions, connectTimeoutMs: 5_000, verify: true };
  const grant = { root: "", put: [], get: [""], cluster: false, expiresAt: undefined };
  await dialWebSocket(
    new URL(`http://127.0.0.1:${port}/`),
    dial,
    clock,
    (mux) => void local.accept(mux, grant),
  );

  // The announcement is there before anybody subscribes.
  await new Promise((resolve) => setTimeout(resolve, 200));
  const idle = usage(child);
  const latencies: number[] | undefined = row.framesPerSecond > 0 ? [] : undefined;
  const subscribers: Subscriber[] = [];
  while (subscribers.length < row.subscribers) subscribers.push(await subscribe(port, latencies));
  await new Promise((resolve) => setTimeout(resolve, 300));
  for (let warm = 0; warm < 10; warm++) {
    publisher.write();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  if (latencies) latencies.length = 0;

  const before = usage(child);
  const bytesBefore = sum(subscribers);
  const framesBefore = publisher.frames;
  const begin = performance.now();
  const end = begin + row.seconds * 1000;
  if (row.framesPerSecond === 0) await flood(row, publisher, subscribers, end);
  else await pace(row, publisher, begin, end);
  const elapsed = (performance.now() - begin) / 1000;
  await new Promise((resolve) => setTimeout(resolve, 300));
  const after = usage(child);
  const wireBytes = sum(subscribers) - bytesBefore;
  const wanted = (publisher.frames - framesBefore) * row.subscribers;
  const deliveries = latencies?.length ?? Math.round(wireBytes / (row.frameBytes + overheadBytes));
  const cpu = (after.cpuMicros - before.cpuMicros) / deliveries;
  latencies?.sort((a, b) => a - b);
  const quantile = (q: number) =>
    latencies?.length ? latencies[Math.floor((latencies.length - 1) * q)]!.toFixed(1) : "-";
  const latency = `${quantile(0.5)} / ${quantile(0.99)}`;
  const { version } = subscribers[0]!;
  for (const subscriber of subscribers) subscriber.close();
  local.close(0, "done");
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill();
  await exited;
  return [
    rival.name,
    `0${version}`,
    `1→${row.subscribers}`,
    `${row.frameBytes} B`,
    row.framesPerSecond || "unpaced",
    Math.round(deliveries / elapsed).toLocaleString("en"),
    `${((deliveries / wanted) * 100).toFixed(1)} %`,
    `${(wireBytes / elapsed / 1e6).toFixed(0)} MB/s`,
    cpu.toFixed(2),
    latency,
    `${(after.rssBytes / 2 ** 20).toFixed(0)} MB`,
    `${((after.rssBytes - idle.rssBytes) / 1024 / row.subscribers).toFixed(0)} KB`,
  ].join(" | ");
}

/**
 * Keeps every subscriber busy, none more than a few hundred frames behind the publisher. Frames are reckoned from bytes,
 * which is not exact, and groups may be skipped: when nothing moves any more, everybody is taken to have caught up.
 */
async function flood(row: Row, publisher: Publisher, subscribers: Subscriber[], end: number): Promise<void> {
  let base = subscribers.map((subscriber) => subscriber.bytes);
  let from = publisher.frames;
  let before = sum(subscribers);
  let movedAt = performance.now();
  while (performance.now() < end) {
    const received = sum(subscribers);
    if (received !== before) movedAt = performance.now();
    else if (performance.now() - movedAt > 50) {
      base = subscribers.map((subscriber) => subscriber.bytes);
      from = publisher.frames;
    }
    before = received;
    const slowest = Math.min(...subscribers.map((subscriber, at) => subscriber.bytes - base[at]!));
    const ahead = publisher.frames - from - slowest / (row.frameBytes + overheadBytes);
    for (let frames = ahead; frames < 512; frames++) publisher.write();
    await tick();
  }
}

async function pace(row: Row, publisher: Publisher, begin: number, end: number): Promise<void> {
  for (let frames = 0; performance.now() < end; frames++) {
    publisher.write();
    const next = begin + ((frames + 1) * 1000) / row.framesPerSecond;
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - performance.now())));
  }
}

const sum = (subscribers: Subscriber[]): number =>
  subscribers.reduce((bytes, subscriber) => bytes + subscriber.bytes, 0);

const message = (child: ChildProcess): Promise<unknown> =>
  new Promise((resolve) => child.once("message", resolve));

/** What a process has used so far, as the kernel counts it (proc(5)): clock ticks of 10 ms, pages of 4 KiB. */
function usage({ pid }: ChildProcess): Usage {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const pages = Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]);
  return { cpuMicros: (Number(fields[11]) + Number(fields[12])) * 10_000, rssBytes: pages * 4096 };
}

/** `library`: with WebTransport too, by way of that one. */
const ours = (library?: "moq" | "quiche"): Rival => ({
  name: library === undefined ? "postern" : `postern, ${library}`,
  async start() {
    const script = new URL("./live-relay.ts", import.meta.url);
    const child = fork(script, library === undefined ? [] : [library], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    return { child, port: (await message(child)) as number };
  },
});

const moqRelay = (binary: string): Rival => ({
  name: "moq-relay",
  async start() {
    const at = "127.0.0.1:14453";
    const listen = ["--listen", at, "--listen-tls-generate", "localhost", "--web-http-listen", at];
    const child = spawn(binary, [...listen, "--auth-public", "**", "--log-level", "error"], {
      stdio: "ignore",
    });
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    return { child, port: 14_453 };
  },
});

const rivals = [
  ...(overWebTransport ? [ours("moq"), ours("quiche")] : [ours()]),
  ...(process.argv.includes("--beside") && beside ? [moqRelay(beside)] : []),
];
console.log(
  "relay | moq-lite | fan-out | frame | fps | deliveries/s | of wanted | wire | relay CPU µs/delivery | p50 / p99 ms | RSS | RSS/conn",
);
console.log("---|---|---|---|---|---|---|---|---|---|---|---");
for (const row of rows) for (const rival of rivals) console.log(await run(row, rival));
process.exit(0);
