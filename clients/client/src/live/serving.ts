import type { ControlStream } from "../../../../wire/live/control-stream.ts";
import { liveError } from "../../../../wire/live/error-code.ts";
import { encodeFrameHeader, encodeGroupStart } from "../../../../wire/live/group.ts";
import {
  decodeSubscribeUpdate,
  encodeSubscribeEnd,
  encodeSubscribeOk,
  encodeSubscribeStart,
  type Subscribe,
  type SubscribeOptions,
} from "../../../../wire/live/subscribe.ts";
import type { SendStream, Transport } from "../../../../wire/live/transport.ts";
import { frameClassOf, type LiteVersion } from "../../../../wire/live/version.ts";
import type { GroupReader, OwnGroup, OwnTrack, TrackReader } from "./broadcast.ts";

const nothing = new Uint8Array(0);

/** What a serving needs of its connection. */
export interface ServingHome {
  readonly version: LiteVersion;
  now(): number;
  /** There is more to send. */
  wake(): void;
  /** Counts what waits to be sent; positive or negative. */
  countBacklog(bytes: number): void;
  onServingOver(serving: Serving): void;
}

/** One subscription of the relay's with a track of ours. */
export class Serving implements TrackReader {
  readonly id: number;
  readonly #home: ServingHome;
  readonly #stream: ControlStream;
  readonly #track: OwnTrack;
  /** Oldest first. */
  readonly #outgoing: OutgoingGroup[] = [];
  #options: SubscribeOptions;
  #largest = -1;
  #complete = false;
  #over = false;

  constructor(home: ServingHome, stream: ControlStream, track: OwnTrack, subscribe: Subscribe) {
    this.id = subscribe.id;
    this.#home = home;
    this.#stream = stream;
    this.#track = track;
    this.#options = subscribe;
    stream.onInput = (input, fin) => {
      for (let body = input.takeMessage(); body !== undefined; body = input.takeMessage()) {
        this.#options = decodeSubscribeUpdate(body, home.version);
        home.wake();
      }
      if (fin) this.#end(() => stream.output.finish());
    };
    stream.onAbort = () => this.#end(() => stream.abort(liveError.cancel));
  }

  /** Larger goes first: what the subscriber says, then what we do. */
  get urgency(): number {
    return this.#options.priority * 256 + this.#track.info.priority;
  }

  start(): void {
    const { version } = this.#home;
    // Up to 04 a subscription is answered; from 05 on its first group is.
    if (version < 5) this.#stream.output.send(encodeSubscribeOk(this.#options, version));
    this.#track.add(this);
  }

  onGroup(group: OwnGroup): void {
    const { startGroup, endGroup } = this.#options;
    if (this.#complete || (startGroup !== undefined && group.sequence < startGroup)) return;
    if (endGroup !== undefined && group.sequence > endGroup) {
      this.onTrackEnd();
      return;
    }
    if (this.#largest < 0 && this.#home.version >= 5) {
      this.#stream.output.send(encodeSubscribeStart(group.sequence));
    }
    this.#largest = group.sequence;
    this.#outgoing.push(new OutgoingGroup(this, group));
    this.#home.wake();
  }

  onTrackEnd(): void {
    this.#complete = true;
    this.#finishIfSent();
  }

  onMore(addedBytes: number): void {
    this.#countBacklog(addedBytes);
    this.#home.wake();
  }

  /** Writes what it can, most urgent first; what is too old is given up. */
  pump(transport: Transport): void {
    const inOrder = this.#options.ordered ? [...this.#outgoing] : [...this.#outgoing].reverse();
    let hasStream = true;
    for (const outgoing of inOrder) {
      if (!transport.writable) break;
      if (this.#isStale(outgoing.group)) {
        this.#drop(outgoing);
        continue;
      }
      if (!hasStream && outgoing.stream === undefined) continue;
      const before = outgoing.sentBytes;
      const outcome = outgoing.write(transport, this.id, this.#home.version);
      this.#countBacklog(before - outgoing.sentBytes);
      if (outcome === "over") this.#remove(outgoing);
      hasStream &&= outcome !== "no stream";
    }
    if (this.#complete) this.#finishIfSent();
  }

  /** The oldest group that may be given up to make room; the latest never is. */
  dropOldest(): boolean {
    const oldest = this.#outgoing[0];
    if (oldest === undefined || oldest === this.#outgoing.at(-1)) return false;
    this.#drop(oldest);
    return true;
  }

  /** The connection is over. */
  close(): void {
    this.#end(() => {});
  }

  #isStale({ supersededAt }: OwnGroup): boolean {
    const latencyMaxMs = this.#options.latencyMaxMs || this.#track.info.latencyMaxMs;
    return supersededAt !== undefined && this.#home.now() - supersededAt > latencyMaxMs;
  }

  #drop(outgoing: OutgoingGroup): void {
    this.#track.droppedGroups++;
    outgoing.stream?.reset(liveError.old);
    this.#remove(outgoing);
  }

  #remove(outgoing: OutgoingGroup): void {
    outgoing.close();
    this.#countBacklog(outgoing.sentBytes - outgoing.group.bytes);
    this.#outgoing.splice(this.#outgoing.indexOf(outgoing), 1);
  }

  #countBacklog(bytes: number): void {
    this.#track.backlogBytes += bytes;
    this.#home.countBacklog(bytes);
  }

  #finishIfSent(): void {
    if (this.#outgoing.length > 0) return;
    this.#end(() => {
      if (this.#home.version >= 5) this.#stream.output.send(encodeSubscribeEnd(this.#largest + 1));
      this.#stream.output.finish();
    });
  }

  #end(say: () => void): void {
    if (this.#over) return;
    this.#over = true;
    this.#track.remove(this);
    for (const outgoing of [...this.#outgoing]) {
      outgoing.stream?.reset(liveError.cancel);
      this.#remove(outgoing);
    }
    say();
    this.#home.onServingOver(this);
  }
}

/** A group on its way to one subscriber: a place in the frames its writer keeps. */
class OutgoingGroup implements GroupReader {
  readonly group: OwnGroup;
  readonly #serving: Serving;
  stream: SendStream | undefined;
  /** Of payloads. */
  sentBytes = 0;
  /** What goes before the payload of the next frame. */
  #header: Uint8Array | undefined;
  #headerSent = 0;
  #frame = 0;
  #offset = 0;
  /** The header of the frame at hand was made. */
  #begun = false;
  #timestamp = 0;
  #stopped = false;

  constructor(serving: Serving, group: OwnGroup) {
    this.#serving = serving;
    this.group = group;
    group.add(this);
    serving.onMore(group.bytes);
  }

  onMore(addedBytes: number): void {
    this.#serving.onMore(addedBytes);
  }

  close(): void {
    this.group.remove(this);
  }

  /** `over`: nothing will follow; `more`: something is left, or will come. */
  write(transport: Transport, subscribeId: number, version: LiteVersion): "over" | "more" | "no stream" {
    const { group } = this;
    if (this.#stopped) return "over";
    if (this.stream === undefined) {
      if (typeof group.state === "number") return "over";
      const stream = transport.openUni();
      if (stream === undefined) return "no stream";
      stream.onStop = () => {
        this.#stopped = true;
        this.#serving.onMore(0);
      };
      this.stream = stream;
      this.#header = encodeGroupStart(subscribeId, group.sequence);
      if (!this.#writeHeader(stream)) return "more";
    }
    const { stream } = this;
    for (;;) {
      if (!this.#writeHeader(stream)) return "more";
      const frame = group.frames[this.#frame];
      if (frame === undefined) break;
      if (!this.#begun) {
        const delta = frameClassOf(version) === "B" ? frame.timestamp - this.#timestamp : undefined;
        this.#timestamp = frame.timestamp;
        this.#header = encodeFrameHeader(frame.payload.length, delta);
        this.#begun = true;
        continue;
      }
      const taken = stream.write(frame.payload, this.#offset, false);
      this.sentBytes += taken;
      this.#offset += taken;
      if (this.#offset < frame.payload.length) return "more";
      this.#frame++;
      this.#offset = 0;
      this.#begun = false;
    }
    if (group.state === "open") return "more";
    if (typeof group.state === "number") {
      stream.reset(group.state);
      return "over";
    }
    stream.write(nothing, 0, true);
    return stream.done ? "over" : "more";
  }

  #writeHeader(stream: SendStream): boolean {
    if (this.#header === undefined) return true;
    this.#headerSent += stream.write(this.#header, this.#headerSent, false);
    if (this.#headerSent < this.#header.length) return false;
    this.#header = undefined;
    this.#headerSent = 0;
    return true;
  }
}
