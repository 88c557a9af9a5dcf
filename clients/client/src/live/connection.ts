import { concatBytes } from "../../../../core/bytes.ts";
import type { Cancel } from "../../../../core/clock.ts";
import { type ControlOutput, ControlStream } from "../../../../wire/live/control-stream.ts";
import { encodeType } from "../../../../wire/live/encoder.ts";
import { LiveProtocolError, liveError } from "../../../../wire/live/error-code.ts";
import { decodeGoaway } from "../../../../wire/live/group.ts";
import { normalizePath } from "../../../../wire/live/path.ts";
import {
  decodeServerSetup,
  decodeSetup,
  encodeClientSetup,
  encodeSetup,
  setupServer,
} from "../../../../wire/live/setup.ts";
import { StreamBuffer } from "../../../../wire/live/stream-buffer.ts";
import { bidiType, uniType } from "../../../../wire/live/stream-type.ts";
import { decodeSubscribe } from "../../../../wire/live/subscribe.ts";
import { decodeTrackName, encodeTrackInfo } from "../../../../wire/live/track.ts";
import type {
  BidiStream,
  ReceiveStream,
  SendStream,
  SessionEnd,
  Transport,
  TransportHandler,
} from "../../../../wire/live/transport.ts";
import { isIetf, type LiteVersion, liteSetupVersions } from "../../../../wire/live/version.ts";
import { Announcer } from "./announcer.ts";
import type { OwnBroadcast, OwnTrack, PublisherHome } from "./broadcast.ts";
import type { ConnectionContext } from "./connection-context.ts";
import { IncomingGroup } from "./incoming-group.ts";
import { controlMaxBytes } from "./limits.ts";
import { Serving, type ServingHome } from "./serving.ts";
import { type SubscribeRequest, Subscribing, type SubscribingSink } from "./subscribing.ts";
import { Watch, type Watcher } from "./watch.ts";

/** What a connection needs of its session. */
export interface ConnectionHome extends PublisherHome {
  readonly originId: bigint;
  readonly broadcasts: ReadonlyMap<string, OwnBroadcast>;
  /** The version is known: streams may be opened. */
  onReady(connection: Connection): void;
  onGoaway(connection: Connection, uri: string): void;
  onEnd(connection: Connection, end: SessionEnd): void;
}

/**
 * One connection with a relay, from its setup to its end, in moq-lite 01 to 05 (protocol/live.md).
 *
 * Both sides ask: the relay what we publish, and for tracks of it; we the relay, for what others do.
 */
export class Connection implements ConnectionContext, ServingHome, TransportHandler {
  readonly home: ConnectionHome;
  readonly controlMaxBytes = controlMaxBytes;
  readonly #transport: Transport;
  #version: LiteVersion | undefined;
  #cancelSetup: Cancel = () => {};
  #setupToSend: Uint8Array | undefined;
  #setupStream: SendStream | undefined;
  #setupSent = 0;
  #openings: ((stream: BidiStream) => void)[] = [];
  readonly #controls = new Set<ControlOutput>();
  readonly #announcers = new Set<Announcer>();
  readonly #servings = new Map<number, Serving>();
  #backlogBytes = 0;
  readonly #watches = new Set<Watch>();
  readonly #subscribings = new Map<number, Subscribing>();
  readonly #groups = new Set<IncomingGroup>();
  #nextId = 0;
  #over = false;

  constructor(home: ConnectionHome, transport: Transport) {
    this.home = home;
    this.#transport = transport;
    transport.handler = this;
  }

  /** Called in the turn the transport opened. */
  start(): void {
    const { version } = this.#transport;
    if (version !== undefined && !isIetf(version)) {
      this.#begin(version);
      return;
    }
    this.#cancelSetup = this.home.clock.after(this.home.limits.connectMaxMs, () =>
      this.close(liveError.timeout, "no setup in time"),
    );
    this.openBidi((bidi) => this.#sendClientSetup(bidi));
  }

  get version(): LiteVersion {
    if (this.#version === undefined) throw new LiveProtocolError("a stream before the setup");
    return this.#version;
  }

  get over(): boolean {
    return this.#over;
  }

  now(): number {
    return this.home.clock.now();
  }

  wake(): void {
    this.#transport.wake();
  }

  close(code: number, reason: string): void {
    this.#transport.close(code, reason);
  }

  fail(error: LiveProtocolError): void {
    this.close(error.code, error.message);
  }

  openBidi(opened: (stream: BidiStream) => void): void {
    if (this.#over) return;
    this.#openings.push(opened);
    this.wake();
  }

  wakeControl(output: ControlOutput): void {
    if (this.#over) return;
    this.#controls.add(output);
    this.wake();
  }

  // What the session asks for.

  /** Tells `watcher` of the broadcasts below `prefix`, until cancelled or the connection is over. */
  watch(prefix: string, watcher: Watcher): Cancel {
    const watch = new Watch(this, prefix, watcher, () => this.#watches.delete(watch));
    this.#watches.add(watch);
    watch.start();
    return () => watch.close();
  }

  subscribe(request: SubscribeRequest, sink: SubscribingSink): Subscribing {
    const id = this.#nextId++;
    const subscribing = new Subscribing(this, id, request, sink, () => this.#subscribings.delete(id));
    this.#subscribings.set(id, subscribing);
    subscribing.start();
    return subscribing;
  }

  announce(path: string): void {
    for (const announcer of this.#announcers) announcer.announce(path);
  }

  unannounce(path: string): void {
    for (const announcer of this.#announcers) announcer.unannounce(path);
  }

  // ServingHome

  countBacklog(bytes: number): void {
    this.#backlogBytes += bytes;
    const { backlogMaxBytes } = this.home.limits;
    if (bytes <= 0 || this.#backlogBytes <= backlogMaxBytes) return;
    // The least urgent give first.
    for (const serving of this.#byUrgency().reverse()) {
      while (this.#backlogBytes > backlogMaxBytes && serving.dropOldest());
    }
  }

  onServingOver(serving: Serving): void {
    this.#servings.delete(serving.id);
  }

  // TransportHandler

  onPump(): void {
    this.#pumpSetup();
    while (this.#openings.length > 0) {
      const stream = this.#transport.openBidi();
      if (stream === undefined) break;
      this.#openings.shift()!(stream);
    }
    for (const output of this.#controls) if (output.pump()) this.#controls.delete(output);
    for (const serving of this.#byUrgency()) serving.pump(this.#transport);
  }

  onUni(stream: ReceiveStream): void {
    const input = new StreamBuffer(controlMaxBytes);
    this.#guard(stream, (chunk, fin) => {
      input.push(chunk);
      const type = input.takeType();
      if (type === undefined) return;
      if (type === uniType.group && this.#version !== undefined) this.#receiveGroup(stream, input, fin);
      else if (type === uniType.setup && this.version >= 5) this.#receiveSetup(stream, input);
      else stream.stop(liveError.unsupported);
    });
  }

  onBidi(bidi: BidiStream): void {
    if (this.#version === undefined) {
      bidi.send.reset(liveError.protocolViolation);
      return;
    }
    const stream = new ControlStream(this, bidi);
    stream.onAbort = () => stream.abort(liveError.cancel);
    stream.onInput = (input, fin) => {
      const type = input.takeType();
      if (type !== undefined) this.#dispatch(type, stream, input, fin);
      else if (fin) stream.output.finish();
    };
  }

  onEnd(end: SessionEnd): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancelSetup();
    this.#openings = [];
    this.#controls.clear();
    this.#announcers.clear();
    for (const serving of [...this.#servings.values()]) serving.close();
    for (const group of [...this.#groups]) group.lost();
    for (const subscribing of [...this.#subscribings.values()]) subscribing.lost();
    for (const watch of [...this.#watches]) watch.lost();
    this.home.onEnd(this, end);
  }

  // Setup

  #begin(version: LiteVersion): void {
    this.#cancelSetup();
    this.#version = version;
    if (version >= 5) {
      this.#setupToSend = concatBytes(encodeType(uniType.setup), encodeSetup());
      this.wake();
    }
    this.home.onReady(this);
  }

  #pumpSetup(): void {
    if (this.#setupToSend === undefined) return;
    this.#setupStream ??= this.#transport.openUni();
    if (this.#setupStream === undefined) return;
    this.#setupSent += this.#setupStream.write(this.#setupToSend, this.#setupSent, true);
    if (this.#setupStream.done) this.#setupToSend = undefined;
  }

  /** 01 and 02 begin with a stream that both sides keep open. */
  #sendClientSetup(bidi: BidiStream): void {
    const stream = new ControlStream(this, bidi);
    let type: number | undefined;
    stream.onInput = (input) => {
      if (this.#version !== undefined) return void input.takeRest();
      type ??= input.takeType();
      if (type === undefined) return;
      if (type !== setupServer) throw new LiveProtocolError("the answer is not a server's setup");
      const body = input.takeMessage16();
      if (body !== undefined) this.#begin(decodeServerSetup(body, liteSetupVersions));
    };
    stream.output.send(encodeClientSetup(liteSetupVersions));
  }

  /** Nothing a relay says there concerns us, but it must be well said. */
  #receiveSetup(stream: ReceiveStream, input: StreamBuffer): void {
    const read = () => {
      const body = input.takeMessage();
      if (body !== undefined) decodeSetup(body);
    };
    this.#guard(stream, (chunk) => {
      input.push(chunk);
      read();
    });
    read();
  }

  // What the relay asks.

  #dispatch(type: number, stream: ControlStream, input: StreamBuffer, fin: boolean): void {
    const message = (use: (body: Uint8Array) => void) => {
      stream.onInput = (more, ended) => {
        const body = more.takeMessage();
        if (body !== undefined) use(body);
        else if (ended) throw new LiveProtocolError("a stream ends before its request", liveError.decode);
      };
      stream.onInput(input, fin);
    };
    if (type === bidiType.announce) message((body) => this.#announceTo(stream, body));
    else if (type === bidiType.subscribe) message((body) => this.#serve(stream, body));
    else if (type === bidiType.track && this.version >= 5) message((body) => this.#describe(stream, body));
    else if (type === bidiType.goaway && this.version >= 4) message((body) => this.#goaway(stream, body));
    // No estimate to give, and what a FETCH could have is only what every subscriber is sent anyway.
    else stream.abort(liveError.unsupported);
  }

  #goaway(stream: ControlStream, body: Uint8Array): void {
    stream.output.finish();
    stream.onInput = (input) => void input.takeRest();
    this.home.onGoaway(this, decodeGoaway(body));
  }

  #announceTo(stream: ControlStream, body: Uint8Array): void {
    const announcer = new Announcer(stream, body, this.version, this.home.originId);
    const over = () => this.#announcers.delete(announcer);
    stream.onAbort = () => {
      over();
      stream.abort(liveError.cancel);
    };
    stream.onInput = (input, fin) => {
      input.takeRest();
      if (!fin) return;
      over();
      stream.output.finish();
    };
    this.#announcers.add(announcer);
    announcer.start(this.home.broadcasts.keys());
  }

  #serve(stream: ControlStream, body: Uint8Array): void {
    const request = decodeSubscribe(body, this.version);
    if (this.#servings.has(request.id)) {
      throw new LiveProtocolError("a subscription id is used twice", liveError.duplicate);
    }
    const track = this.#trackOf(request.broadcast, request.track);
    if (track === undefined) {
      stream.abort(liveError.notFound);
      return;
    }
    const serving = new Serving(this, stream, track, request);
    this.#servings.set(request.id, serving);
    serving.start();
  }

  #describe(stream: ControlStream, body: Uint8Array): void {
    const { broadcast, track: name } = decodeTrackName(body);
    const track = this.#trackOf(broadcast, name);
    if (track === undefined) {
      stream.abort(liveError.notFound);
      return;
    }
    stream.onInput = (input) => void input.takeRest();
    stream.output.send(encodeTrackInfo(track.info));
    stream.output.finish();
  }

  #trackOf(broadcast: string, name: string): OwnTrack | undefined {
    return this.home.broadcasts.get(normalizePath(broadcast) ?? "")?.find(name);
  }

  #receiveGroup(stream: ReceiveStream, input: StreamBuffer, fin: boolean): void {
    const group = new IncomingGroup(
      this,
      stream,
      input,
      (id) => this.#subscribings.get(id),
      () => this.#groups.delete(group),
    );
    this.#groups.add(group);
    group.onData(undefined, fin);
  }

  #byUrgency(): Serving[] {
    const all = [...this.#servings.values()];
    return all.length < 2 ? all : all.sort((a, b) => b.urgency - a.urgency);
  }

  #guard(stream: ReceiveStream, use: (chunk: Uint8Array, fin: boolean) => void): void {
    stream.onData = (chunk, fin) => {
      try {
        use(chunk, fin);
      } catch (error) {
        if (!(error instanceof LiveProtocolError)) throw error;
        this.fail(error);
      }
    };
  }
}
