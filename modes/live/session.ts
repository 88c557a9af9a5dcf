import { concatBytes } from "#core/bytes.ts";
import type { Cancel, Clock } from "#core/clock.ts";
import { encodeType } from "#wire/live/encoder.ts";
import { LiveProtocolError, liveError } from "#wire/live/error-code.ts";
import { encodeGoaway } from "#wire/live/group.ts";
import {
  chooseSetupVersion,
  decodeClientSetup,
  decodeServerSetup,
  decodeSetup,
  encodeClientSetup,
  encodeServerSetup,
  encodeServerSetupOld,
  encodeSetup,
  setupClient,
  setupClientOld,
  setupServer,
} from "#wire/live/setup.ts";
import { StreamBuffer } from "#wire/live/stream-buffer.ts";
import { bidiType, uniType } from "#wire/live/stream-type.ts";
import { decodeSubscribe } from "#wire/live/subscribe.ts";
import { decodeFetch, decodeTrackName, encodeTrackInfo, type TrackInfo } from "#wire/live/track.ts";
import type {
  BidiStream,
  ReceiveStream,
  SendStream,
  SessionEnd,
  Transport,
  TransportHandler,
} from "#wire/live/transport.ts";
import { frameClassOf, type LiteVersion } from "#wire/live/version.ts";
import { Announcer } from "./announcer.ts";
import { type ControlOutput, ControlStream } from "./control-stream.ts";
import { FetchServing } from "./fetch-serving.ts";
import { type AdmitAtSetup, covers, type Grant } from "./grant.ts";
import type { LiveLimits } from "./limits.ts";
import type { LiveMetrics } from "./metrics.ts";
import type { Origin } from "./origin.ts";
import { Outbox } from "./outbox.ts";
import { joinPath, normalizePath } from "./path.ts";
import { Serving } from "./serving.ts";
import type { SessionContext } from "./session-context.ts";
import { Sourcing } from "./sourcing.ts";
import type { Track, TrackSource } from "./track.ts";

/** What a session needs of its relay. */
export interface SessionHome {
  readonly origin: Origin;
  readonly originId: bigint;
  readonly limits: LiveLimits;
  readonly clock: Clock;
  readonly metrics: LiveMetrics;
  onSessionEnd(session: Session, end: SessionEnd): void;
}

/**
 * One session of moq-lite, 01 to 05, on either end of a connection.
 *
 * A relay is publisher and subscriber at once: it asks the remote what it publishes, wherever its grant lets it, and
 * answers what the remote asks of it.
 */
export class Session implements SessionContext, TransportHandler {
  readonly transport: Transport;
  #grant: Grant;
  readonly #admitAtSetup: AdmitAtSetup | undefined;
  #admitting = false;
  readonly #home: SessionHome;
  #version: LiteVersion | undefined;
  #sourcing: Sourcing | undefined;
  #outbox: Outbox | undefined;
  readonly #servings = new Map<number, Serving>();
  readonly #announcers = new Set<Announcer>();
  readonly #fetches = new Set<FetchServing>();
  /** Requests for a track's properties that wait for its publisher. */
  readonly #descriptions = new Set<Cancel>();
  readonly #controls = new Set<ControlOutput>();
  /** Streams to open once the remote allows more. */
  #openings: ((stream: BidiStream) => void)[] = [];
  #setupToSend: Uint8Array | undefined;
  #setupStream: SendStream | undefined;
  #setupSent = 0;
  #setupSeen = false;
  #refusesGet = false;
  #cancels: Cancel[] = [];
  #onOver: () => void = () => {};
  #onReady: () => void = () => {};
  #over = false;

  /** With `admitAtSetup`, the grant is what it says once the remote has sent its SETUP. */
  constructor(home: SessionHome, transport: Transport, grant: Grant, admitAtSetup?: AdmitAtSetup) {
    this.#home = home;
    this.transport = transport;
    this.#grant = grant;
    this.#admitAtSetup = admitAtSetup;
    transport.handler = this;
  }

  get grant(): Grant {
    return this.#grant;
  }

  get origin(): Origin {
    return this.#home.origin;
  }

  get originId(): bigint {
    return this.#home.originId;
  }

  get limits(): LiveLimits {
    return this.#home.limits;
  }

  get clock(): Clock {
    return this.#home.clock;
  }

  get metrics(): LiveMetrics {
    return this.#home.metrics;
  }

  get controlMaxBytes(): number {
    return this.limits.controlMaxBytes;
  }

  get version(): LiteVersion {
    if (this.#version === undefined) throw new LiveProtocolError("a stream before the setup");
    return this.#version;
  }

  /** The version, once it is known. */
  get knownVersion(): LiteVersion | undefined {
    return this.#version;
  }

  /** The remote as a source of tracks, once the version is known. */
  get source(): TrackSource | undefined {
    return this.#sourcing;
  }

  /** Bytes of shared groups that the remote has still to get. */
  get backlogBytes(): number {
    return this.#outbox?.backlogBytes ?? 0;
  }

  start(): void {
    this.#endAtExpiry();
    if (this.transport.version !== undefined) {
      this.#begin(this.transport.version);
      return;
    }
    this.#cancels.push(
      this.clock.after(this.limits.setupTimeoutMs, () => {
        if (this.#version === undefined) this.close(liveError.timeout, "no setup in time");
      }),
    );
    if (this.transport.role === "client") this.openBidi((bidi) => this.#sendClientSetup(bidi));
  }

  /** Calls back once, when both sides know which version they speak. */
  whenReady(then: () => void): void {
    if (this.#version !== undefined) then();
    else this.#onReady = then;
  }

  /** Calls back when the session is over; there is one to be called. */
  whenOver(then: () => void): void {
    this.#onOver = then;
  }

  #endAtExpiry(): void {
    const { expiresAt } = this.#grant;
    if (expiresAt === undefined) return;
    this.#cancels.push(
      this.clock.after(expiresAt - this.clock.now(), () =>
        this.close(liveError.unauthorized, "the token has expired"),
      ),
    );
  }

  close(code: number, reason: string): void {
    this.transport.close(code, reason);
  }

  /** Asks the remote to go elsewhere, where its version can be asked; `uri` may be empty. */
  goaway(uri: string): void {
    if (this.#version === undefined || this.#version < 4) return;
    this.openBidi((bidi) => {
      const stream = new ControlStream(this, bidi);
      stream.output.send(concatBytes(encodeType(bidiType.goaway), encodeGoaway(uri)));
      stream.output.finish();
    });
  }

  // SessionContext

  openBidi(opened: (stream: BidiStream) => void): void {
    if (this.#over) return;
    this.#openings.push(opened);
    this.transport.wake();
  }

  wakeControl(output: ControlOutput): void {
    if (this.#over) return;
    this.#controls.add(output);
    this.transport.wake();
  }

  fail(error: LiveProtocolError): void {
    this.close(error.code, error.message);
  }

  // TransportHandler

  onPump(): void {
    this.#pumpSetup();
    while (this.#openings.length > 0) {
      const stream = this.transport.openBidi();
      if (stream === undefined) break;
      this.#openings.shift()!(stream);
    }
    for (const output of this.#controls) if (output.pump()) this.#controls.delete(output);
    this.#outbox?.pump();
  }

  onUni(stream: ReceiveStream): void {
    const input = new StreamBuffer(this.controlMaxBytes);
    this.#guard(stream, (chunk, fin) => {
      input.push(chunk);
      const type = input.takeType();
      if (type === undefined) return;
      if (type === uniType.group && this.#sourcing !== undefined) {
        this.#sourcing.onGroupStream(stream, input, fin);
      } else if (type === uniType.setup && this.version >= 5) {
        this.#receiveSetup(stream, input, fin);
      } else {
        stream.stop(liveError.unsupported);
      }
    });
  }

  onBidi(bidi: BidiStream): void {
    if (this.#version === undefined) {
      this.#receiveClientSetup(bidi);
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
    for (const cancel of this.#cancels) cancel();
    for (const announcer of this.#announcers) announcer.close();
    for (const serving of [...this.#servings.values()]) serving.close();
    for (const fetch of [...this.#fetches]) fetch.close();
    for (const cancel of this.#descriptions) cancel();
    this.#openings = [];
    this.#controls.clear();
    this.#sourcing?.close(!end.clean);
    this.#outbox?.clear();
    this.#home.onSessionEnd(this, end);
    this.#onOver();
  }

  // Setup

  #begin(version: LiteVersion): void {
    this.#version = version;
    this.#outbox = new Outbox(
      this.transport,
      frameClassOf(version),
      this.limits.backlogMaxBytes,
      () => this.clock.now(),
      this.metrics,
    );
    if (version >= 5) {
      this.#setupToSend = concatBytes(encodeType(uniType.setup), encodeSetup());
      this.transport.wake();
    }
    this.#sourcing = new Sourcing(this);
    this.#sourcing.start();
    this.#onReady();
  }

  #pumpSetup(): void {
    if (this.#setupToSend === undefined) return;
    this.#setupStream ??= this.transport.openUni();
    if (this.#setupStream === undefined) return;
    this.#setupSent += this.#setupStream.write(this.#setupToSend, this.#setupSent, true);
    if (this.#setupStream.done) this.#setupToSend = undefined;
  }

  /** The first stream of 01 and 02 is the session's: SETUP both ways, then nothing we need. */
  #receiveClientSetup(bidi: BidiStream): void {
    if (this.transport.role === "client") {
      bidi.send.reset(liveError.protocolViolation);
      return;
    }
    const stream = new ControlStream(this, bidi);
    let type: number | undefined;
    stream.onInput = (input) => {
      if (this.#version !== undefined) return void input.takeRest();
      type ??= input.takeType();
      if (type === undefined) return;
      const old = setupClientOld.includes(type);
      if (!old && type !== setupClient) throw new LiveProtocolError("the first stream is not a session's");
      const body = old ? input.takeMessage() : input.takeMessage16();
      if (body === undefined) return;
      const { versions, tokenValues } = decodeClientSetup(body);
      const chosen = chooseSetupVersion(versions);
      if (chosen === undefined) return this.close(liveError.version, "no version in common");
      const reply = old ? encodeServerSetupOld(type, chosen.id) : encodeServerSetup(chosen.id);
      const begin = () => {
        stream.output.send(reply);
        this.#begin(chosen.version);
      };
      if (this.#admitAtSetup === undefined) begin();
      else this.#admit(this.#admitAtSetup, tokenValues, begin);
    };
    stream.onAbort = () => this.close(liveError.cancel, "the session stream was given up");
  }

  /** Nothing of the remote is looked at until it is decided whether it may come in. */
  #admit(admitAtSetup: AdmitAtSetup, tokenValues: readonly Uint8Array[], begin: () => void): void {
    if (this.#admitting) throw new LiveProtocolError("a second setup");
    this.#admitting = true;
    void admitAtSetup(tokenValues).then((outcome) => {
      if (this.#over) return;
      if ("code" in outcome) return this.close(outcome.code, outcome.reason);
      this.#grant = outcome;
      this.#endAtExpiry();
      begin();
    });
  }

  #sendClientSetup(bidi: BidiStream): void {
    const stream = new ControlStream(this, bidi);
    let type: number | undefined;
    stream.onInput = (input) => {
      if (this.#version !== undefined) return void input.takeRest();
      type ??= input.takeType();
      if (type === undefined) return;
      if (type !== setupServer) throw new LiveProtocolError("the answer is not a server's setup");
      const body = input.takeMessage16();
      if (body !== undefined) this.#begin(decodeServerSetup(body));
    };
    stream.output.send(encodeClientSetup());
  }

  #receiveSetup(stream: ReceiveStream, input: StreamBuffer, fin: boolean): void {
    if (this.#setupSeen) throw new LiveProtocolError("a second setup");
    this.#setupSeen = true;
    let done = false;
    const read = () => {
      if (done) return void input.takeRest();
      const body = input.takeMessage();
      if (body === undefined) return;
      done = true;
      const { role } = decodeSetup(body);
      this.#refusesGet = role === "publisher";
      if (role === "publisher" && this.grant.put.length === 0) {
        throw new LiveProtocolError("publishing is not allowed", liveError.unauthorized);
      }
      if (role === "subscriber" && this.grant.get.length === 0) {
        throw new LiveProtocolError("subscribing is not allowed", liveError.unauthorized);
      }
    };
    if (!fin) {
      this.#guard(stream, (chunk) => {
        input.push(chunk);
        read();
      });
    }
    read();
  }

  // What the remote asks

  #dispatch(type: number, stream: ControlStream, input: StreamBuffer, fin: boolean): void {
    const message = (use: (body: Uint8Array, fin: boolean) => void) => {
      stream.onInput = (more, ended) => {
        const body = more.takeMessage();
        if (body !== undefined) use(body, ended);
        else if (ended) throw new LiveProtocolError("a stream ends before its request", liveError.decode);
      };
      stream.onInput(input, fin);
    };
    switch (type) {
      case bidiType.announce:
        message((body, ended) => this.#announceTo(stream, body, ended));
        return;
      case bidiType.subscribe:
        message((body, ended) => this.#subscribe(stream, body, ended));
        return;
      case bidiType.track:
        if (this.version >= 5) {
          message((body) => this.#describe(stream, body));
          return;
        }
        break;
      case bidiType.fetch:
        if (this.version >= 5) {
          message((body) => this.#fetch(stream, body));
          return;
        }
        break;
      case bidiType.probe:
      case bidiType.goaway:
        // We have no estimate to report, and stay where we are: the stream is read and, once the remote ends it, ended.
        if (this.version >= 3) {
          stream.onInput = (rest, ended) => {
            rest.takeRest();
            if (ended) stream.output.finish();
          };
          stream.onInput(input, fin);
          return;
        }
        break;
    }
    stream.abort(liveError.unsupported);
  }

  #announceTo(stream: ControlStream, body: Uint8Array, ended: boolean): void {
    if (this.#announcers.size >= this.limits.watchesMax) {
      stream.abort(liveError.bounds);
      return;
    }
    const announcer = new Announcer(this, this.#sourcing!, stream, body);
    this.#announcers.add(announcer);
    const over = () => {
      announcer.close();
      this.#announcers.delete(announcer);
    };
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
    if (ended) stream.onInput(new StreamBuffer(0), true);
  }

  #subscribe(stream: ControlStream, body: Uint8Array, ended: boolean): void {
    const request = decodeSubscribe(body, this.version);
    if (this.#servings.has(request.id))
      throw new LiveProtocolError("a subscription id is used twice", liveError.duplicate);
    if (this.#servings.size >= this.limits.subscriptionsMax) {
      stream.abort(liveError.bounds);
      return;
    }
    const track = this.#trackOf(request.broadcast, request.track);
    if (track === undefined) {
      stream.abort(liveError.notFound);
      return;
    }
    const serving = new Serving(this, stream, this.#outbox!, track, request, (over) => {
      this.#servings.delete(over.id);
      this.metrics.subscriptionsClosed++;
    });
    this.#servings.set(request.id, serving);
    this.metrics.subscriptionsOpened++;
    serving.start();
    this.origin.start(track);
    if (ended) stream.onInput(new StreamBuffer(0), true);
  }

  #describe(stream: ControlStream, body: Uint8Array): void {
    const { broadcast, track: name } = decodeTrackName(body);
    const track = this.#trackOf(broadcast, name);
    if (track === undefined) {
      stream.abort(liveError.notFound);
      return;
    }
    stream.onInput = (input) => void input.takeRest();
    const tell = (info: TrackInfo) => {
      stream.output.send(encodeTrackInfo(info));
      stream.output.finish();
    };
    if (track.info !== undefined) {
      tell(track.info);
      return;
    }
    const cancel = track.whenInfo((info) => {
      this.#descriptions.delete(cancel);
      if (typeof info === "number") stream.abort(info);
      else tell(info);
    });
    this.#descriptions.add(cancel);
    stream.onAbort = () => {
      cancel();
      this.#descriptions.delete(cancel);
      stream.abort(liveError.cancel);
    };
    this.origin.start(track);
  }

  #fetch(stream: ControlStream, body: Uint8Array): void {
    const { broadcast, track: name, group: sequence } = decodeFetch(body);
    const group = this.#trackOf(broadcast, name, true)?.group(sequence);
    if (group === undefined) {
      stream.abort(liveError.notFound);
      return;
    }
    if (this.#fetches.size >= this.limits.subscriptionsMax) {
      stream.abort(liveError.bounds);
      return;
    }
    this.metrics.fetches++;
    const serving = new FetchServing(stream, group.body(frameClassOf(this.version)), () =>
      this.#fetches.delete(serving),
    );
    this.#fetches.add(serving);
    serving.start();
  }

  /** The track, if the grant allows it and somebody announces its broadcast. */
  #trackOf(broadcast: string, name: string, heldOnly = false): Track | undefined {
    const relative = normalizePath(broadcast);
    if (relative === undefined || this.#refusesGet || !covers(this.grant.get, relative)) return undefined;
    const path = normalizePath(joinPath(this.grant.root, relative));
    if (path === undefined) return undefined;
    return heldOnly ? this.origin.find(path)?.tracks.get(name) : this.origin.track(path, name);
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
