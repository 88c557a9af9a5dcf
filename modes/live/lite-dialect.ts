import { concatBytes } from "#core/bytes.ts";
import type { Cancel } from "#core/clock.ts";
import { decodeAnnounceRequest, unknownOrigin } from "#wire/live/announce.ts";
import { ControlOutput, ControlStream } from "#wire/live/control-stream.ts";
import { encodeType } from "#wire/live/encoder.ts";
import { LiveProtocolError, liveError } from "#wire/live/error-code.ts";
import { encodeGoaway, encodeGroupStart } from "#wire/live/group.ts";
import { decodeSetup, encodeSetup, type Setup } from "#wire/live/setup.ts";
import { StreamBuffer } from "#wire/live/stream-buffer.ts";
import { bidiType, uniType } from "#wire/live/stream-type.ts";
import { decodeSubscribe } from "#wire/live/subscribe.ts";
import { decodeFetch, decodeTrackName, encodeTrackInfo, type TrackInfo } from "#wire/live/track.ts";
import type { BidiStream, ReceiveStream } from "#wire/live/transport.ts";
import { frameClassOf, type LiteVersion } from "#wire/live/version.ts";
import { Announcer } from "./announcer.ts";
import { DatagramOutbox } from "./datagram-outbox.ts";
import type { Dialect } from "./dialect.ts";
import { FetchServing } from "./fetch-serving.ts";
import { LiteAnnouncements } from "./lite-announcements.ts";
import { LiteAnswers } from "./lite-answers.ts";
import { Outbox } from "./outbox.ts";
import { ProbeServing } from "./probe-serving.ts";
import { Serving } from "./serving.ts";
import type { SessionContext } from "./session-context.ts";
import { Sourcing } from "./sourcing.ts";
import type { Track } from "./track.ts";
import { trackFor } from "./track-access.ts";

/** Probe streams of one session: one is of use. */
const probesMax = 2;

/** moq-lite, 01 to 06. */
export class LiteDialect implements Dialect {
  readonly version: LiteVersion;
  readonly source: Sourcing;
  readonly #session: SessionContext;
  readonly #outbox: Outbox;
  readonly #datagrams: DatagramOutbox | undefined;
  readonly #servings = new Map<number, Serving>();
  readonly #announcers = new Set<Announcer>();
  readonly #fetches = new Set<FetchServing>();
  readonly #probes = new Set<ProbeServing>();
  /** Requests for a track's properties that wait for its publisher. */
  readonly #descriptions = new Set<Cancel>();
  #setupSeen = false;
  #refusesGet = false;
  /** Who the remote is among the hops; 0: nobody knows (06). */
  #remoteOrigin = unknownOrigin;

  constructor(session: SessionContext, version: LiteVersion) {
    this.version = version;
    this.#session = session;
    this.source = new Sourcing(session, version);
    this.#outbox = new Outbox(
      session.transport,
      {
        frameClass: frameClassOf(version),
        groupStart: ({ id }, group) => encodeGroupStart(id, group.sequence),
        resetCode: (code) => code,
      },
      session.limits.backlogMaxBytes,
      () => session.clock.now(),
      session.metrics,
    );
    if (version >= 5) this.#datagrams = new DatagramOutbox(session.transport, session.clock, session.metrics);
  }

  get backlogBytes(): number {
    return this.#outbox.backlogBytes;
  }

  start(): void {
    if (this.version >= 5) {
      this.#session.openUni((stream) => {
        const output = new ControlOutput(this.#session, stream);
        const { role, setupTarget, estimate } = this.#session.transport;
        const target = role === "client" && setupTarget !== undefined ? { path: setupTarget } : {};
        const setup = { reports: estimate !== undefined, ...target, ...this.#ownPrice() };
        output.send(concatBytes(encodeType(uniType.setup), encodeSetup(setup)));
        output.finish();
      });
    }
    this.source.start();
  }

  /** What 06 says in SETUP. A link costs the same in both directions. */
  #ownPrice(): Setup {
    const { originId, grant } = this.#session;
    if (this.version < 6) return {};
    return { origin: originId, ...(grant.linkCost === undefined ? {} : { cost: grant.linkCost }) };
  }

  goaway(uri: string): void {
    if (this.version < 4) return;
    this.#session.openBidi((bidi) => {
      const stream = new ControlStream(this.#session, bidi);
      stream.output.send(concatBytes(encodeType(bidiType.goaway), encodeGoaway(uri)));
      stream.output.finish();
    });
  }

  closeCodeOf(error: LiveProtocolError): number {
    return error.code;
  }

  /** Datagrams are worth nothing later. */
  pump(): void {
    this.#datagrams?.pump();
    this.#outbox.pump();
  }

  close(clean: boolean): void {
    for (const announcer of this.#announcers) announcer.close();
    for (const serving of [...this.#servings.values()]) serving.close();
    for (const fetch of [...this.#fetches]) fetch.close();
    for (const probe of this.#probes) probe.close();
    for (const cancel of this.#descriptions) cancel();
    this.source.close(!clean);
    this.#outbox.clear();
  }

  onUni(stream: ReceiveStream): void {
    const input = new StreamBuffer(this.#session.controlMaxBytes);
    this.#guard(stream, (chunk, fin) => {
      input.push(chunk);
      const type = input.takeType();
      if (type === undefined) return;
      if (type === uniType.group) {
        this.source.onGroupStream(stream, input, fin);
      } else if (type === uniType.setup && this.version >= 5) {
        this.#receiveSetup(stream, input, fin);
      } else {
        stream.stop(liveError.unsupported);
      }
    });
  }

  onDatagram(datagram: Uint8Array): void {
    if (this.version >= 5) this.source.onDatagram(datagram);
  }

  onBidi(bidi: BidiStream): void {
    const stream = new ControlStream(this.#session, bidi);
    stream.onAbort = () => stream.abort(liveError.cancel);
    stream.onInput = (input, fin) => {
      const type = input.takeType();
      if (type !== undefined) this.#dispatch(type, stream, input, fin);
      else if (fin) stream.output.finish();
    };
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
      const { role, cost, origin = unknownOrigin } = decodeSetup(body);
      if (this.version >= 6) {
        this.source.linkCost = cost;
        this.#remoteOrigin = origin;
      }
      this.#refusesGet = role === "publisher";
      if (role === "publisher" && this.#session.grant.put.length === 0) {
        throw new LiveProtocolError("publishing is not allowed", liveError.unauthorized);
      }
      if (role === "subscriber" && this.#session.grant.get.length === 0) {
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
        if (this.version >= 3 && this.#probe(stream, input, fin)) return;
        break;
      case bidiType.goaway:
        // We stay where we are: the stream is read and, once the remote ends it, ended.
        if (this.version >= 4) {
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

  /** Reports as long as the remote leaves the stream open; false where there is nothing to report. */
  #probe(stream: ControlStream, input: StreamBuffer, fin: boolean): boolean {
    const { transport } = this.#session;
    if (transport.estimate === undefined || this.#probes.size >= probesMax) return false;
    const serving = new ProbeServing(this.#session, stream, this.version, () => transport.estimate!());
    this.#probes.add(serving);
    const over = () => {
      serving.close();
      this.#probes.delete(serving);
    };
    stream.onAbort = () => {
      over();
      stream.abort(liveError.cancel);
    };
    stream.onInput = (rest, ended) => {
      rest.takeRest();
      if (!ended) return;
      over();
      stream.output.finish();
    };
    serving.start();
    stream.onInput(input, fin);
    return true;
  }

  #announceTo(stream: ControlStream, body: Uint8Array, ended: boolean): void {
    if (this.#announcers.size >= this.#session.limits.watchesMax) {
      stream.abort(liveError.bounds);
      return;
    }
    const request = decodeAnnounceRequest(body, this.version);
    const announcements = new LiteAnnouncements(stream.output, this.version, this.#session.originId);
    if (this.version >= 6) request.excludeHop = this.#remoteOrigin;
    const announcer = new Announcer(this.#session, this.source, announcements, request);
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
    if (this.#servings.size >= this.#session.limits.subscriptionsMax) {
      stream.abort(liveError.bounds);
      return;
    }
    const track = this.#trackOf(request.broadcast, request.track);
    if (track === undefined) {
      stream.abort(liveError.notFound);
      return;
    }
    const answers = new LiteAnswers(stream, this.version);
    const serving = new Serving(this.#session, answers, this.#outbox, track, request, (over) => {
      this.#servings.delete(over.id);
      this.#session.metrics.subscriptionsClosed++;
    });
    serving.datagrams = this.#datagrams;
    answers.listen(serving);
    this.#servings.set(request.id, serving);
    this.#session.metrics.subscriptionsOpened++;
    serving.start();
    this.#session.origin.start(track);
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
    this.#session.origin.start(track);
  }

  #fetch(stream: ControlStream, body: Uint8Array): void {
    const { broadcast, track: name, group: sequence } = decodeFetch(body);
    const track = this.#trackOf(broadcast, name, true);
    const group = track?.group(sequence);
    if (track === undefined || group === undefined) {
      stream.abort(liveError.notFound);
      return;
    }
    if (this.#fetches.size >= this.#session.limits.subscriptionsMax) {
      stream.abort(liveError.bounds);
      return;
    }
    const { metrics, traffic } = this.#session;
    metrics.fetches++;
    const counts = traffic.fetched(track.broadcast);
    const serving = new FetchServing(stream, group.body(frameClassOf(this.version)), counts, () => {
      if (this.#fetches.delete(serving)) traffic.fetchEnded(track.broadcast);
    });
    this.#fetches.add(serving);
    serving.start();
  }

  #trackOf(broadcast: string, name: string, heldOnly = false): Track | undefined {
    return this.#refusesGet ? undefined : trackFor(this.#session, broadcast, name, heldOnly);
  }

  #guard(stream: ReceiveStream, use: (chunk: Uint8Array, fin: boolean) => void): void {
    stream.onData = (chunk, fin) => {
      try {
        use(chunk, fin);
      } catch (error) {
        if (!(error instanceof LiveProtocolError)) throw error;
        this.#session.fail(error);
      }
    };
  }
}
