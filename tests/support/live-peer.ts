import { concatBytes } from "#core/bytes.ts";
import {
  type Announcement,
  decodeAnnounceInit,
  decodeAnnouncement,
  decodeAnnounceOk,
  encodeAnnounceInit,
  encodeAnnouncement,
  encodeAnnounceOk,
  encodeAnnounceRequest,
} from "#wire/live/announce.ts";
import { encodeMessage, encodeType } from "#wire/live/encoder.ts";
import { FrameScanner } from "#wire/live/frames.ts";
import { decodeGroupHeader, encodeFrameHeader, encodeGroupStart } from "#wire/live/group.ts";
import { StreamBuffer } from "#wire/live/stream-buffer.ts";
import { bidiType, uniType } from "#wire/live/stream-type.ts";
import {
  decodeSubscribe,
  decodeSubscribeReply,
  encodeSubscribe,
  encodeSubscribeEnd,
  encodeSubscribeOk,
  encodeSubscribeStart,
  encodeSubscribeUpdate,
  type Subscribe,
  type SubscribeOptions,
  type SubscribeReply,
} from "#wire/live/subscribe.ts";
import {
  decodeTrackInfo,
  decodeTrackName,
  encodeFetch,
  encodeTrackInfo,
  encodeTrackName,
  type TrackInfo,
} from "#wire/live/track.ts";
import type { Transport } from "#wire/live/transport.ts";
import { frameClassOf, type LiteVersion } from "#wire/live/version.ts";
import { type RawOutput, RawSession, type RawStream } from "./raw-session.ts";

const setupIds: Partial<Record<LiteVersion, string>> = { 1: "c0000000ff0dad01", 2: "c0000000ff0dad02" };
const controlMaxBytes = 1024 * 1024;

/** Patient: with 0 the published relay drops a group as soon as there is a newer one. */
const plainOptions: SubscribeOptions = {
  priority: 0,
  ordered: false,
  latencyMaxMs: 5_000,
  startGroup: undefined,
  endGroup: undefined,
};

/** One frame as it arrived; its timestamp where the version has them. */
export interface SeenFrame {
  timestamp: number;
  payload: string;
}

/** A Group stream as it arrived. */
export class SeenGroup {
  readonly stream: RawStream;
  readonly #version: LiteVersion;

  constructor(stream: RawStream, version: LiteVersion) {
    this.stream = stream;
    this.#version = version;
  }

  get header(): { subscribeId: number; sequence: number } | undefined {
    return this.#parts?.header;
  }

  get frames(): SeenFrame[] {
    const seen: SeenFrame[] = [];
    let timestamp = 0;
    let left = 0;
    new FrameScanner(frameClassOf(this.#version), Number.MAX_SAFE_INTEGER).push(
      this.#parts?.rest ?? nothing,
      {
        frame(size, delta) {
          timestamp += delta;
          left = size;
          if (size === 0) seen.push({ timestamp, payload: "" });
        },
        payload(piece) {
          left -= piece.length;
          if (left === 0) seen.push({ timestamp, payload: Buffer.from(piece).toString() });
        },
      },
    );
    return seen;
  }

  get payloads(): string[] {
    return this.frames.map(({ payload }) => payload);
  }

  get #parts() {
    const buffer = new StreamBuffer(controlMaxBytes);
    buffer.push(this.stream.bytes);
    if (buffer.takeType() !== uniType.group) return undefined;
    const body = buffer.takeMessage();
    return body === undefined ? undefined : { header: decodeGroupHeader(body), rest: buffer.takeRest() };
  }
}

const nothing = new Uint8Array(0);

/** One of the peer's subscriptions with the relay. */
export class SeenSubscription {
  readonly id: number;
  readonly stream: RawStream & RawOutput;
  readonly #peer: LivePeer;

  constructor(peer: LivePeer, id: number, stream: RawStream & RawOutput) {
    this.#peer = peer;
    this.id = id;
    this.stream = stream;
  }

  /** Everything the relay said on the subscription's own stream. */
  get replies(): SubscribeReply[] {
    const { version } = this.#peer;
    const buffer = new StreamBuffer(controlMaxBytes);
    buffer.push(this.stream.bytes);
    const replies: SubscribeReply[] = [];
    for (;;) {
      const type = version >= 3 ? buffer.takeType() : 0;
      const body = type === undefined ? undefined : buffer.takeMessage();
      if (body === undefined) return replies;
      replies.push(version >= 3 ? decodeSubscribeReply(type!, body, version) : { kind: "ok" });
    }
  }

  /** Groups in the order their streams came. */
  get groups(): SeenGroup[] {
    return this.#peer.groups.filter((group) => group.header?.subscribeId === this.id);
  }

  get sequences(): number[] {
    return this.groups.map((group) => group.header!.sequence);
  }

  group(sequence: number): SeenGroup | undefined {
    return this.groups.find((group) => group.header?.sequence === sequence);
  }

  /** Resolves once this many groups, or any one, have come whole. */
  whole(...sequences: number[]): Promise<void> {
    return this.#peer.session.until(
      () => sequences.every((sequence) => this.group(sequence)?.stream.fin),
      `groups ${sequences} of subscription ${this.id}; there are ${this.sequences}`,
    );
  }

  update(options: Partial<SubscribeOptions>): void {
    this.stream.more(encodeSubscribeUpdate({ ...plainOptions, ...options }, this.#peer.version));
  }

  /** Wants no more. */
  leave(): void {
    this.stream.more(nothing, true);
  }
}

/** A watch of the peer's. */
export class SeenWatch {
  readonly stream: RawStream & RawOutput;
  readonly #version: LiteVersion;

  constructor(stream: RawStream & RawOutput, version: LiteVersion) {
    this.stream = stream;
    this.#version = version;
  }

  /** The relay's first answer: how many it tells at once (05), or their names (01, 02). */
  get first(): { origin?: bigint; active: number } | undefined {
    return this.#read().first;
  }

  get events(): Announcement[] {
    return this.#read().events;
  }

  /** `+name` and `-name`, in order. */
  get diary(): string[] {
    return this.events.map(({ active, suffix }) => `${active ? "+" : "-"}${suffix}`);
  }

  #read() {
    const buffer = new StreamBuffer(controlMaxBytes);
    buffer.push(this.stream.bytes);
    let first: { origin?: bigint; active: number } | undefined;
    const events: Announcement[] = [];
    for (let body = buffer.takeMessage(); body !== undefined; body = buffer.takeMessage()) {
      if (first === undefined && this.#version <= 2) {
        const suffixes = decodeAnnounceInit(body);
        first = { active: suffixes.length };
        events.push(...suffixes.map((suffix) => ({ active: true, suffix, hops: [] })));
      } else if (first === undefined && this.#version >= 5) first = decodeAnnounceOk(body);
      else events.push(decodeAnnouncement(body, this.#version));
    }
    return { first, events };
  }
}

/** A track that the relay asked the peer for. */
export class AskedTrack {
  readonly request: Subscribe;
  readonly stream: RawSession["bidis"][number];
  readonly #peer: LivePeer;

  constructor(peer: LivePeer, request: Subscribe, stream: RawSession["bidis"][number]) {
    this.#peer = peer;
    this.request = request;
    this.stream = stream;
  }

  /** Opens a group with these frames; `timestamp` counts up by one where the version has them. */
  open(sequence: number, ...frames: string[]): RawOutput & RawStream & { write(frame: string): void } {
    const { version, session } = this.#peer;
    const group = session.uni(encodeGroupStart(this.request.id, sequence));
    const write = (frame: string) => group.more(frameBytes(frame, version));
    for (const frame of frames) write(frame);
    return Object.assign(group, { write });
  }

  /** A whole group. */
  group(sequence: number, ...frames: string[]): void {
    this.open(sequence, ...frames).more(nothing, true);
  }

  /** Tells a relay of 05 which group is the first. */
  start(sequence: number): void {
    if (this.#peer.version >= 5) this.stream.answer(encodeSubscribeStart(sequence));
  }

  /** Ends the track after `groups`. */
  end(groups: number): void {
    this.stream.answer(this.#peer.version >= 5 ? encodeSubscribeEnd(groups) : nothing, true);
  }
}

/** Size and payload; in 05 a timestamp one tick after the frame before. */
const frameBytes = (frame: string, version: LiteVersion): Uint8Array =>
  concatBytes(encodeFrameHeader(Buffer.byteLength(frame), version >= 5 ? 1 : undefined), Buffer.from(frame));

/** What a peer that publishes says of its tracks. */
export const peerTrackInfo: TrackInfo = { priority: 0, ordered: true, latencyMaxMs: 5_000, timescale: 1_000 };

/**
 * The far end of a session with a relay, one message at a time: what the relay says is decoded, never acted upon,
 * but for the few answers without which no relay goes on (announcements, TRACK_INFO, SUBSCRIBE_OK).
 */
export class LivePeer {
  readonly session: RawSession;
  readonly version: LiteVersion;
  readonly origin: bigint;
  readonly groups: SeenGroup[] = [];
  /** Subscriptions of the relay with us. */
  readonly asked: AskedTrack[] = [];
  /** Tracks the relay asked the properties of (05). */
  readonly described: string[] = [];
  /** Prefixes the relay watches with us. */
  readonly watched: string[] = [];
  /** Whether a track asked for is there at once. */
  accepts = true;
  readonly #published = new Map<string, bigint[]>();
  readonly #announcing: { prefix: string; send(announcement: Announcement): void }[] = [];
  #nextId = 0;

  /** `version`: what the handshake named, or SETUP is to choose. */
  constructor(transport: Transport, version: LiteVersion, origin = 77n) {
    this.session = new RawSession(transport);
    this.version = version;
    this.origin = origin;
    this.session.onOpened = (stream, bidi) => {
      if (bidi) this.#answer(stream as RawSession["bidis"][number]);
      else this.groups.push(new SeenGroup(stream, version));
    };
  }

  /** SETUP as the version has it; resolves once the relay has answered, where it must. */
  async setUp(): Promise<void> {
    if (this.version >= 5) this.session.uni(Buffer.from("010100", "hex"), true);
    const id = setupIds[this.version];
    if (id === undefined) return;
    const setup = this.session.bidi(Buffer.from(`20000a01${id}00`, "hex"));
    await this.session.until(() => setup.hex === `210009${id}00`, "the answer to SETUP");
  }

  watch(prefix: string, excludeHop = 0n): SeenWatch {
    const request = encodeAnnounceRequest({ prefix, excludeHop }, this.version);
    return new SeenWatch(
      this.session.bidi(concatBytes(encodeType(bidiType.announce), request)),
      this.version,
    );
  }

  publish(path: string, hops: bigint[] = []): void {
    this.#published.set(path, hops);
    for (const { prefix, send } of this.#announcing) {
      const suffix = suffixOf(prefix, path);
      if (suffix !== undefined) send({ active: true, suffix, hops: this.#hops(hops) });
    }
  }

  unpublish(path: string): void {
    this.#published.delete(path);
    for (const { prefix, send } of this.#announcing) {
      const suffix = suffixOf(prefix, path);
      if (suffix !== undefined) send({ active: false, suffix, hops: [] });
    }
  }

  subscribe(
    broadcast: string,
    track: string,
    options: Partial<SubscribeOptions> = {},
    id = this.#nextId++,
  ): SeenSubscription {
    const subscribe = { id, broadcast, track, ...plainOptions, ...options };
    const bytes = encodeSubscribe(subscribe, this.version);
    return new SeenSubscription(
      this,
      id,
      this.session.bidi(concatBytes(encodeType(bidiType.subscribe), bytes)),
    );
  }

  /** Asks for a track's properties (05). */
  describe(broadcast: string, track: string): RawStream {
    const bytes = concatBytes(encodeType(bidiType.track), encodeTrackName({ broadcast, track }));
    return this.session.bidi(bytes);
  }

  /** Waits for TRACK_INFO (05). */
  async trackInfo(broadcast: string, track: string): Promise<TrackInfo> {
    const stream = this.describe(broadcast, track);
    await this.session.until(() => stream.over, `TRACK_INFO of ${track}`);
    const buffer = new StreamBuffer(controlMaxBytes);
    buffer.push(stream.bytes);
    return decodeTrackInfo(buffer.takeMessage()!);
  }

  fetch(broadcast: string, track: string, group: number): RawStream {
    const bytes = encodeFetch({ broadcast, track, priority: 0, group });
    return this.session.bidi(concatBytes(encodeType(bidiType.fetch), bytes));
  }

  /** Waits until the relay has asked for `count` tracks of ours. */
  async askedFor(count = 1): Promise<AskedTrack> {
    await this.session.until(() => this.asked.length >= count, `${count} subscriptions with the publisher`);
    return this.asked[count - 1]!;
  }

  close(): void {
    this.session.transport.close(0, "the case is over");
  }

  #hops(hops: bigint[]): bigint[] {
    return this.version === 3 || this.version === 4 ? [...hops, this.origin] : hops;
  }

  /** A stream that the relay opened. */
  #answer(stream: RawSession["bidis"][number]): void {
    const input = new StreamBuffer(controlMaxBytes);
    let type: number | undefined;
    let taken = 0;
    const onChange = this.session.onChange;
    this.session.onChange = () => {
      onChange();
      input.push(stream.bytes.subarray(taken));
      taken = stream.bytes.length;
      type ??= input.takeType();
      if (type === bidiType.announce) this.#announceOn(stream, input);
      if (type === bidiType.subscribe) this.#serve(stream, input);
      if (type === bidiType.track) this.#describeOn(stream, input);
    };
  }

  #announceOn(stream: RawSession["bidis"][number], input: StreamBuffer): void {
    const { version } = this;
    const body = input.takeMessage();
    if (body === undefined) return;
    const length = body[0]!;
    const prefix = Buffer.from(body.subarray(1, 1 + length)).toString();
    const send = (announcement: Announcement) => stream.answer(encodeAnnouncement(announcement, version));
    const now = [...this.#published].flatMap(([path, hops]) => {
      const suffix = suffixOf(prefix, path);
      return suffix === undefined ? [] : [{ active: true, suffix, hops: this.#hops(hops) }];
    });
    if (version <= 2) stream.answer(encodeAnnounceInit(now.map(({ suffix }) => suffix)));
    else {
      if (version >= 5) stream.answer(encodeAnnounceOk(this.origin, now.length));
      now.forEach(send);
    }
    this.#announcing.push({ prefix, send });
    this.watched.push(prefix);
  }

  #serve(stream: RawSession["bidis"][number], input: StreamBuffer): void {
    const body = input.takeMessage();
    // What follows the request are its updates.
    if (body === undefined || this.asked.some((asked) => asked.stream === stream)) return;
    const request = decodeSubscribe(body, this.version);
    if (this.accepts && this.version < 5) stream.answer(encodeSubscribeOk(request, this.version));
    this.asked.push(new AskedTrack(this, request, stream));
  }

  #describeOn(stream: RawSession["bidis"][number], input: StreamBuffer): void {
    const body = input.takeMessage();
    if (body === undefined) return;
    this.described.push(decodeTrackName(body).track);
    if (this.accepts) stream.answer(encodeTrackInfo(peerTrackInfo), true);
  }
}

function suffixOf(prefix: string, path: string): string | undefined {
  if (prefix === "") return path;
  if (path === prefix) return "";
  return path.startsWith(`${prefix}/`) ? path.slice(prefix.length + 1) : undefined;
}

/** A message whose body is whatever a test wants. */
export const messageOf = (body: Uint8Array): Uint8Array => encodeMessage((to) => void to.raw(body));
