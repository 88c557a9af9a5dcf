import { concatBytes } from "#core/bytes.ts";
import type { Cancel } from "#core/clock.ts";
import { encodeAnnounceRequest } from "#wire/live/announce.ts";
import { ControlStream } from "#wire/live/control-stream.ts";
import { datagramMaxBytes, decodeDatagram } from "#wire/live/datagram.ts";
import { encodeType } from "#wire/live/encoder.ts";
import { LiveProtocolError, liveError } from "#wire/live/error-code.ts";
import { decodeGroupHeader } from "#wire/live/group.ts";
import type { StreamBuffer } from "#wire/live/stream-buffer.ts";
import { bidiType } from "#wire/live/stream-type.ts";
import {
  decodeSubscribeReply,
  encodeSubscribe,
  encodeSubscribeUpdate,
  type SubscribeOptions,
} from "#wire/live/subscribe.ts";
import { decodeTrackInfo, encodeTrackName, type TrackInfo } from "#wire/live/track.ts";
import type { ReceiveStream } from "#wire/live/transport.ts";
import { frameClassOf, type LiteVersion, type StoredFrameClass } from "#wire/live/version.ts";
import { AnnouncementReader } from "./announcement-reader.ts";
import { outermost } from "./grant.ts";
import type { Group } from "./group.ts";
import { stripPrefix } from "./path.ts";
import { RemoteBroadcasts } from "./remote-broadcasts.ts";
import type { SessionContext } from "./session-context.ts";
import type { SourceSubscription, TrackSink, TrackSource } from "./track.ts";

/** What is said of a track whose publisher's version cannot: timestamps in ms, given on arrival. */
const infoOfOldVersions: TrackInfo = { priority: 0, ordered: false, latencyMaxMs: 5_000, timescale: 1_000 };

const okOfOldVersions = { kind: "ok" } as const;

/**
 * Streams overtake each other: how long groups are still taken after the end of a subscription that does not say which is
 * the last, and how long the last group of a range waits for those before it.
 */
export const lateGroupsMs = 500;

/**
 * The remote as a source: what it announces goes to the origin, and tracks are subscribed with it.
 */
export class Sourcing implements TrackSource {
  readonly frameClass: StoredFrameClass;
  readonly cluster: boolean;
  readonly tier: string;
  readonly #session: SessionContext;
  readonly #version: LiteVersion;
  readonly #announced: RemoteBroadcasts;
  readonly #subscriptions = new Map<number, Subscription>();
  readonly #groups = new Set<IncomingGroup>();
  #nextId = 0;
  #closed = false;

  constructor(session: SessionContext, version: LiteVersion) {
    this.#session = session;
    this.#version = version;
    this.frameClass = frameClassOf(version);
    this.cluster = session.grant.cluster;
    this.tier = session.grant.tier ?? "";
    this.#announced = new RemoteBroadcasts(session, this);
  }

  /** Asks what the remote has, wherever it may publish. */
  start(): void {
    for (const prefix of outermost(this.#session.grant.put)) this.#askAnnouncements(prefix);
  }

  subscribe(
    broadcast: string,
    track: string,
    options: SubscribeOptions,
    sink: TrackSink,
  ): SourceSubscription {
    const id = this.#nextId++;
    const name = stripPrefix(this.#session.grant.root, broadcast) ?? broadcast;
    const subscription = new Subscription(this.#session, this.#version, id, name, track, options, sink, () =>
      this.#subscriptions.delete(id),
    );
    if (this.#closed) {
      subscription.close();
      return subscription;
    }
    this.#subscriptions.set(id, subscription);
    subscription.start();
    return subscription;
  }

  /** A Group stream; its type was read already, `input` has what followed. */
  onGroupStream(stream: ReceiveStream, input: StreamBuffer, fin: boolean): void {
    const incoming = new IncomingGroup(
      this.#session,
      stream,
      input,
      (id) => this.#subscriptions.get(id),
      () => this.#groups.delete(incoming),
    );
    this.#groups.add(incoming);
    incoming.onData(undefined, fin);
  }

  /** A datagram of the remote's (05). One that makes no sense, or is nobody's any more, is lost like any other. */
  onDatagram(body: Uint8Array): void {
    if (body.length > datagramMaxBytes) return;
    const decoded = tryDecodeDatagram(body);
    const subscription = decoded && this.#subscriptions.get(decoded.subscribeId);
    if (subscription === undefined) return;
    const { metrics } = this.#session;
    metrics.groupsIn++;
    metrics.bytesIn += body.length;
    subscription.sink.onDatagram(decoded!.datagram);
  }

  /** What the remote asks for a crossing of the link, for what it announces from now on. */
  set linkCost(cost: number | undefined) {
    this.#announced.linkCost = cost;
  }

  /** The session is over. */
  close(abruptly: boolean): void {
    this.#closed = true;
    for (const incoming of [...this.#groups]) incoming.lost();
    this.#announced.close(abruptly);
    for (const subscription of [...this.#subscriptions.values()]) subscription.lost();
  }

  #askAnnouncements(prefix: string): void {
    const { originId, limits } = this.#session;
    const version = this.#version;
    this.#session.openBidi((bidi) => {
      const stream = new ControlStream(this.#session, bidi);
      stream.output.send(
        concatBytes(
          encodeType(bidiType.announce),
          encodeAnnounceRequest({ prefix, excludeHop: originId }, version),
        ),
      );
      const here = this.#announced.place();
      const gone = () => {
        here.close();
        stream.output.finish();
      };
      const reader = new AnnouncementReader(version, prefix, here, limits.announcementsMax);
      stream.onAbort = gone;
      stream.onInput = (input, fin) => {
        reader.read(input);
        if (fin) gone();
      };
    });
  }
}

function tryDecodeDatagram(body: Uint8Array): ReturnType<typeof decodeDatagram> | undefined {
  try {
    return decodeDatagram(body);
  } catch (error) {
    if (!(error instanceof LiveProtocolError)) throw error;
    return undefined;
  }
}

/** One of our subscriptions with the remote. */
class Subscription implements SourceSubscription {
  readonly sink: TrackSink;
  readonly #session: SessionContext;
  readonly #version: LiteVersion;
  readonly #id: number;
  readonly #broadcast: string;
  readonly #track: string;
  readonly #onOver: () => void;
  #options: SubscribeOptions;
  #stream: ControlStream | undefined;
  #infoStream: ControlStream | undefined;
  #cancelTimeout: (() => void) | undefined;
  /** A stream that is only opened to be given up is more than older relays can take. */
  readonly #cancelOpenings: Cancel[] = [];
  #replyType: number | undefined;
  /** Behind the last group, once the publisher has said so (05). */
  #endBound: number | undefined;
  #largest = -1;
  /** The publisher has ended the subscription; groups may still be on their way. */
  #finished = false;
  #over = false;

  constructor(
    session: SessionContext,
    version: LiteVersion,
    id: number,
    broadcast: string,
    track: string,
    options: SubscribeOptions,
    sink: TrackSink,
    onOver: () => void,
  ) {
    this.#session = session;
    this.#version = version;
    this.#id = id;
    this.#broadcast = broadcast;
    this.#track = track;
    this.#options = options;
    this.sink = sink;
    this.#onOver = onOver;
  }

  start(): void {
    const { clock, limits, metrics } = this.#session;
    const version = this.#version;
    metrics.upstreamSubscriptions++;
    this.#cancelTimeout = clock.after(limits.subscribeTimeoutMs, () => this.#fail(liveError.timeout));
    if (version >= 5) this.#cancelOpenings.push(this.#session.openBidi((bidi) => this.#askInfo(bidi)));
    const cancel = this.#session.openBidi((bidi) => {
      const stream = new ControlStream(this.#session, bidi);
      this.#stream = stream;
      stream.onInput = (input, fin) => this.#onReply(input, fin);
      stream.onAbort = (code) => this.#fail(code || liveError.notFound);
      const subscribe = { id: this.#id, broadcast: this.#broadcast, track: this.#track, ...this.#options };
      stream.output.send(concatBytes(encodeType(bidiType.subscribe), encodeSubscribe(subscribe, version)));
    });
    this.#cancelOpenings.push(cancel);
  }

  update(options: SubscribeOptions): void {
    this.#options = options;
    if (this.#version < 3) return;
    this.#stream?.output.send(encodeSubscribeUpdate(options, this.#version));
  }

  close(): void {
    if (this.#over) return;
    this.#end();
    this.#stream?.output.finish();
    this.#infoStream?.abort(liveError.cancel);
  }

  /** The session went away. */
  lost(): void {
    this.#fail(liveError.dropped);
  }

  #askInfo(bidi: Parameters<Parameters<SessionContext["openBidi"]>[0]>[0]): void {
    const stream = new ControlStream(this.#session, bidi);
    this.#infoStream = stream;
    stream.onAbort = (code) => this.#fail(code || liveError.notFound);
    stream.onInput = (input) => {
      const body = input.takeMessage();
      if (body === undefined) return;
      stream.onInput = (rest) => void rest.takeRest();
      this.#infoStream = undefined;
      stream.onAbort = () => {};
      // Not before: an end of ours would take the request back.
      stream.output.finish();
      this.#known(decodeTrackInfo(body));
    };
    const name = { broadcast: this.#broadcast, track: this.#track };
    stream.output.send(concatBytes(encodeType(bidiType.track), encodeTrackName(name)));
  }

  #known(info: TrackInfo): void {
    this.#cancelTimeout?.();
    this.sink.onInfo(info);
  }

  #onReply(input: StreamBuffer, fin: boolean): void {
    const version = this.#version;
    for (;;) {
      if (version >= 3) this.#replyType ??= input.takeType();
      if (version >= 3 && this.#replyType === undefined) break;
      const body = input.takeMessage();
      if (body === undefined) break;
      const reply = version < 3 ? okOfOldVersions : decodeSubscribeReply(this.#replyType!, body, version);
      if (reply.kind === "ok") this.#known(infoOfOldVersions);
      if (reply.kind === "end") this.#endBound = reply.group;
      this.#replyType = undefined;
    }
    if (!fin || this.#over) return;
    this.#finished = true;
    this.#stream?.output.finish();
    // Streams overtake each other: the last groups may come after the end was told.
    this.#cancelTimeout?.();
    this.#cancelTimeout = this.#session.clock.after(lateGroupsMs, () => this.#complete());
    this.#completeIfWhole();
  }

  /** A group begins; `undefined`: it is not wanted. */
  openGroup(sequence: number): Group | undefined {
    const group = this.sink.openGroup(sequence);
    this.#largest = Math.max(this.#largest, sequence);
    this.#completeIfWhole();
    return group;
  }

  #completeIfWhole(): void {
    if (this.#finished && this.#endBound !== undefined && this.#largest >= this.#endBound - 1)
      this.#complete();
  }

  #complete(): void {
    if (this.#over) return;
    this.#end();
    this.sink.onComplete();
  }

  #fail(code: number): void {
    if (this.#over) return;
    this.#end();
    this.#stream?.abort(liveError.cancel);
    this.#infoStream?.abort(liveError.cancel);
    this.sink.onError(code);
  }

  #end(): void {
    this.#over = true;
    this.#cancelTimeout?.();
    for (const cancel of this.#cancelOpenings) cancel();
    this.#onOver();
  }
}

/** A Group stream on its way in. */
class IncomingGroup {
  readonly #session: SessionContext;
  readonly #stream: ReceiveStream;
  readonly #header: StreamBuffer;
  readonly #subscriptionOf: (subscribeId: number) => Subscription | undefined;
  readonly #onOver: () => void;
  #sink: TrackSink | undefined;
  #group: Group | undefined;

  constructor(
    session: SessionContext,
    stream: ReceiveStream,
    header: StreamBuffer,
    subscriptionOf: (subscribeId: number) => Subscription | undefined,
    onOver: () => void,
  ) {
    this.#session = session;
    this.#stream = stream;
    this.#header = header;
    this.#subscriptionOf = subscriptionOf;
    this.#onOver = onOver;
    stream.onData = (chunk, fin) => this.onData(chunk, fin);
    stream.onReset = (code) => this.#end(code);
  }

  onData(chunk: Uint8Array | undefined, fin: boolean): void {
    try {
      if (this.#group !== undefined) {
        if (chunk !== undefined) this.#append(chunk);
      } else {
        if (chunk !== undefined) this.#header.push(chunk);
        this.#tryHeader(fin);
      }
    } catch (error) {
      if (!(error instanceof LiveProtocolError)) throw error;
      this.#session.fail(error);
      return;
    }
    if (fin) this.#end("complete");
  }

  /** The session went away. */
  lost(): void {
    this.#end(liveError.dropped);
  }

  #tryHeader(fin: boolean): void {
    const body = this.#header.takeMessage();
    if (body === undefined) {
      if (fin) this.#onOver();
      return;
    }
    const { subscribeId, sequence } = decodeGroupHeader(body);
    const subscription = this.#subscriptionOf(subscribeId);
    this.#sink = subscription?.sink;
    this.#group = subscription?.openGroup(sequence);
    if (this.#group === undefined) {
      this.#refuse(liveError.cancel);
      return;
    }
    this.#session.metrics.groupsIn++;
    const rest = this.#header.takeRest();
    if (rest.length > 0) this.#append(rest);
  }

  #append(chunk: Uint8Array): void {
    this.#session.metrics.bytesIn += chunk.length;
    if (!this.#sink!.append(this.#group!, chunk)) this.#refuse(liveError.frameTooLarge);
  }

  #refuse(code: number): void {
    this.#stream.stop(code);
    this.#onOver();
  }

  #end(state: "complete" | number): void {
    if (this.#group !== undefined) this.#sink!.endGroup(this.#group, state);
    this.#onOver();
  }
}
