import assert from "node:assert/strict";
import type { Clock } from "#core/clock.ts";
import type { Grant } from "#modes/live/grant.ts";
import type { Group } from "#modes/live/group.ts";
import { defaultLiveLimits, type LiveLimits } from "#modes/live/limits.ts";
import { Relay } from "#modes/live/relay.ts";
import type { TrackSink, TrackSource, TrackSubscriber } from "#modes/live/track.ts";
import { type Datagram, datagramMaxBytes, encodeDatagramContent } from "#wire/live/datagram.ts";
import { encodeFrameHeader } from "#wire/live/group.ts";
import { type MessageSink, Mux, type MuxLimits } from "#wire/live/mux.ts";
import type { SubscribeOptions } from "#wire/live/subscribe.ts";
import type { Framing, LiveVersion, StoredFrameClass } from "#wire/live/version.ts";
import { settle, simClock, simEntropy } from "./sim-clock.ts";

/** Messages to the other end of a pair, in a later turn. A pipe that is `stalled` takes nothing more. */
export class Pipe implements MessageSink {
  readonly headroom = 0;
  peer: Mux | undefined;
  stalled = false;
  /** Every message that went through, for tests that look at bytes. */
  readonly messages: Uint8Array[] = [];
  #ends: number[] = [];

  room(): number {
    return this.stalled ? 0 : 65_536;
  }

  take(bytes: number): Uint8Array {
    return new Uint8Array(bytes);
  }

  seal(_buffer: Uint8Array, _start: number, end: number): number {
    this.#ends.push(end);
    return end;
  }

  send(buffer: Uint8Array): void {
    let start = 0;
    for (const end of this.#ends) {
      const message = buffer.slice(start, end);
      this.messages.push(message);
      queueMicrotask(() => this.peer?.receive(message));
      start = end;
    }
    this.#ends = [];
  }

  end(): void {
    queueMicrotask(() => this.peer?.lost("the other end closed"));
  }

  defer(run: () => void): void {
    queueMicrotask(run);
  }
}

export const pairLimits: MuxLimits = {
  connectionWindowBytes: 1024 * 1024,
  streamWindowBytes: 256 * 1024,
  streamsMax: 100,
  recordMaxBytes: 16_382,
  datagramMaxBytes,
  idleTimeoutMs: 30_000,
};

export interface Pair {
  client: Mux;
  server: Mux;
  toServer: Pipe;
  toClient: Pipe;
}

/** Two ends of one connection in memory. Handlers are set before anything arrives. */
export function muxPair(
  clock: Clock,
  framing: Framing,
  version: LiveVersion | undefined,
  limits: Partial<MuxLimits> = {},
): Pair {
  const toServer = new Pipe();
  const toClient = new Pipe();
  const all = { ...pairLimits, ...limits };
  const client = new Mux(framing, version, "client", all, toServer, clock);
  const server = new Mux(framing, version, "server", all, toClient, clock);
  toServer.peer = server;
  toClient.peer = client;
  return { client, server, toServer, toClient };
}

export const openGrant = (root = ""): Grant => ({
  root,
  put: [""],
  get: [""],
  cluster: false,
  expiresAt: undefined,
});

let seeds = 1;
export const relayOn = (clock: Clock, limits: Partial<LiveLimits> = {}): Relay =>
  new Relay(clock, simEntropy(seeds++), { ...defaultLiveLimits, ...limits });

/** A client of `relay`, itself a relay that runs the client's end of the session. */
export function clientOf(
  relay: Relay,
  clock: Clock,
  as: {
    framing?: Framing;
    version?: LiveVersion | undefined;
    grant?: Grant;
    limits?: Partial<MuxLimits>;
  } = {},
): Pair & { local: Relay; leave(): void } {
  const version = "version" in as ? as.version : 5;
  const pair = muxPair(clock, as.framing ?? "qmux-02", version, as.limits);
  const local = relayOn(clock);
  local.accept(pair.client, openGrant());
  relay.accept(pair.server, as.grant ?? openGrant());
  return { ...pair, local, leave: () => local.close(0, "leaving") };
}

const text = new TextEncoder();

/** A publisher's side of one track, and what it was asked for. */
export class FakeTrack {
  readonly sink: TrackSink;
  readonly options: SubscribeOptions[];
  closed = false;
  readonly #frameClass: StoredFrameClass;

  constructor(sink: TrackSink, options: SubscribeOptions, frameClass: StoredFrameClass) {
    this.sink = sink;
    this.options = [options];
    this.#frameClass = frameClass;
  }

  /** Opens a group with these frames. */
  open(sequence: number, ...frames: string[]): Group {
    const group = this.sink.openGroup(sequence)!;
    for (const frame of frames) this.write(group, frame);
    return group;
  }

  write(group: Group, frame: string): void {
    const payload = text.encode(frame);
    const header = encodeFrameHeader(payload.length, this.#frameClass === "B" ? 1 : undefined);
    this.sink.append(group, Buffer.concat([header, payload]));
  }

  datagram(sequence: number, payload: string): void {
    const content = encodeDatagramContent(sequence, 1_000, text.encode(payload));
    this.sink.onDatagram({ sequence, content, payloadBytes: payload.length });
  }

  /** A whole group. */
  group(sequence: number, ...frames: string[]): void {
    this.sink.endGroup(this.open(sequence, ...frames), "complete");
  }
}

/** Announces broadcasts on a relay and records what is asked of it. */
export class FakePublisher implements TrackSource {
  readonly frameClass: StoredFrameClass;
  readonly cluster = false;
  readonly asked: FakeTrack[] = [];
  /** Whether a track is there at once. */
  accepts = true;

  constructor(frameClass: StoredFrameClass = "B") {
    this.frameClass = frameClass;
  }

  subscribe(_broadcast: string, _track: string, options: SubscribeOptions, sink: TrackSink) {
    const track = new FakeTrack(sink, options, this.frameClass);
    this.asked.push(track);
    if (this.accepts) sink.onInfo({ priority: 0, ordered: true, latencyMaxMs: 5_000, timescale: 1_000 });
    return {
      update: (changed: SubscribeOptions) => void track.options.push(changed),
      close: () => {
        track.closed = true;
      },
    };
  }
}

/** A subscriber that writes down what it gets: each group's payload, and how the track ended. */
export class FakeViewer implements TrackSubscriber {
  readonly options: SubscribeOptions;
  readonly groups: Group[] = [];
  readonly datagrams: Datagram[] = [];
  ended: "complete" | number | undefined;

  constructor(options: Partial<SubscribeOptions> = {}) {
    this.options = {
      priority: 0,
      ordered: true,
      latencyMaxMs: 0,
      startGroup: undefined,
      endGroup: undefined,
      ...options,
    };
  }

  onGroup(group: Group): void {
    this.groups.push(group);
  }

  onDatagram(datagram: Datagram): void {
    this.datagrams.push(datagram);
  }

  onComplete(): void {
    this.ended = "complete";
  }

  onError(code: number): void {
    this.ended = code;
  }

  get sequences(): number[] {
    return this.groups.map((group) => group.sequence);
  }

  /** The frames of a group, without their headers, joined by commas. */
  payload(sequence: number): string {
    const group = this.groups.find((candidate) => candidate.sequence === sequence);
    const frames: string[] = [];
    if (group === undefined) return "";
    const bytes = Buffer.concat(group.body("A").chunks);
    for (let at = 0; at < bytes.length; at += 1 + bytes[at]!) {
      frames.push(bytes.subarray(at + 1, at + 1 + bytes[at]!).toString());
    }
    return frames.join(",");
  }
}

/** Subscribes on a relay as a session would. */
export function view(relay: Relay, path: string, name: string, viewer: FakeViewer): () => void {
  const track = relay.origin.track(path, name);
  if (track === undefined) throw new Error(`${path} is not announced`);
  const cancel = track.subscribe(viewer);
  relay.origin.start(track);
  return cancel;
}

/** A relay on a clock of its own. */
export function scene(limits: Parameters<typeof relayOn>[1] = {}) {
  const clock = simClock();
  return { clock, relay: relayOn(clock, limits) };
}

/** What one client announces, another sees, watches from the latest group on, and sees go. `frames` are those of a group. */
export async function broadcastCrosses(
  from: ReturnType<typeof clientOf>,
  to: ReturnType<typeof clientOf>,
  frames: readonly string[],
): Promise<void> {
  const publisher = new FakePublisher();
  from.local.origin.announce("room/cam", publisher, []);
  await settle();
  const viewer = new FakeViewer();
  view(to.local, "room/cam", "chat", viewer);
  await settle();
  assert.equal(publisher.asked.length, 1);
  publisher.asked[0]!.group(7, ...frames);
  const open = publisher.asked[0]!.open(8, "c");
  await settle();
  assert.deepEqual(viewer.sequences.toSorted(), [7, 8]);
  assert.equal(viewer.payload(7), frames.join(","));
  assert.equal(viewer.payload(8), "c");
  publisher.asked[0]!.write(open, "d");
  await settle();
  assert.equal(viewer.payload(8), "c,d");
  from.local.origin.unannounce("room/cam", publisher, false);
  await settle();
  assert.equal(to.local.origin.find("room/cam"), undefined);
  assert.notEqual(viewer.ended, undefined);
}
