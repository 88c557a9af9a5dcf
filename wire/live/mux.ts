import type { Clock } from "#core/clock.ts";
import { Decoder } from "./decoder.ts";
import { LiveProtocolError, liveError } from "./error-code.ts";
import {
  decodeLegacy,
  encodeLegacyClose,
  encodeLegacyReset,
  encodeLegacyStopSending,
  type LegacySink,
  legacyFrame,
} from "./legacy.ts";
import {
  decodeQmux,
  encodeApplicationClose,
  encodeLimit,
  encodeParameters,
  encodePing,
  encodeReset,
  encodeStopSending,
  encodeStreamLimit,
  encodeTransportClose,
  frameMaxBytesQmux00,
  type QmuxParameters,
  type QmuxSink,
  qmuxFrame,
  recordMinBytes,
} from "./qmux.ts";
import type {
  BidiStream,
  Estimate,
  ReceiveStream,
  SendStream,
  SessionEnd,
  Transport,
  TransportHandler,
} from "./transport.ts";
import { writeVarint } from "./varint.ts";
import type { Framing, LiveVersion, ProtocolName } from "./version.ts";

/** Where whole messages go: a WebSocket, or a pipe in a test. */
export interface MessageSink {
  /** Bytes kept free before each message for a header of the sink's own. */
  readonly headroom: number;
  /** Bytes it takes now; at 0 or below it calls `Mux.drained` when there is room again. */
  room(): number;
  /** A buffer to write at least `bytes` into. It is the caller's until `send`. */
  take(bytes: number): Uint8Array;
  /** Puts the header before the message in `start` to `end`; answers where the message ends now. */
  seal(buffer: Uint8Array, start: number, end: number): number;
  /** Sends the sealed messages in the first `bytes` of the buffer. */
  send(buffer: Uint8Array, bytes: number): void;
  /** Ends the connection after what was sent. */
  end(): void;
  /** Calls `run` at the end of this turn of the event loop. */
  defer(run: () => void): void;
}

export interface MuxLimits {
  /** What the remote may send on the connection, and on a stream, before we renew; bytes. */
  connectionWindowBytes: number;
  streamWindowBytes: number;
  /** Streams of each kind that the remote may have open. */
  streamsMax: number;
  /** Largest message the remote may send where the framing has a limit; bytes. */
  recordMaxBytes: number;
  /** Largest datagram the remote may send where the framing has them, in bytes; absent: none. */
  datagramMaxBytes?: number;
  /** The remote may be silent for so long; it is told so. */
  idleTimeoutMs: number;
}

/** For byte streams, which have no handshake but the parameters (`protocol/live.md`). */
export interface InBandVersions {
  /** What we speak, best first. */
  names: readonly ProtocolName[];
  /** The remote's parameters are there, and with them the mux's version; called before anything else is looked at. */
  onAgreed(): void;
}

/** Largest payload of a frame of ours: with its header it fits every remote's record. */
const payloadMaxBytes = 16_352;
/** Type, stream id, offset and length at their longest. */
const frameHeaderMax = 1 + 8 + 8 + 4;
/** Type and length around the largest datagram there is: a record is below 2^14 bytes. */
const datagramHeaderMax = 1 + 2;
/** Bytes gathered before they are handed to the sink. */
const batchBytes = 65_536;
/** Batches in one turn, after which others get theirs. */
const batchesPerTurn = 8;
/** Streams below the newest that were not seen yet: ids of one class may overtake each other. */
const holesMax = 10_000;

/** Streams as QUIC has them, over messages in order: qmux 00 to 02, or the older framing. */
export class Mux implements Transport, QmuxSink, LegacySink {
  readonly role: "client" | "server";
  handler!: TransportHandler;
  setupTarget: string | undefined;
  /** The last ping's round trip, where there are pings; of the bytes on their way the socket tells nothing. */
  readonly estimate: (() => Estimate) | undefined;

  #version: LiveVersion | undefined;
  readonly #inBand: InBandVersions | undefined;
  readonly #framing: Framing;
  readonly #limits: MuxLimits;
  readonly #sink: MessageSink;
  readonly #clock: Clock;
  readonly #decoder = new Decoder(new Uint8Array(0));

  readonly #sends = new Map<number, MuxSend>();
  readonly #receives = new Map<number, MuxReceive>();
  readonly #openedBidi = new OpenedStreams();
  readonly #openedUni = new OpenedStreams();
  #nextUni = 0;
  #nextBidi = 0;

  /** The remote's limits: `undefined` until its parameters arrive. */
  #remote: QmuxParameters | undefined;
  #sentBytes = 0;
  #receivedBytes = 0;
  #grantedBytes: number;
  #grantedBidi: number;
  #grantedUni: number;
  #closedBidi = 0;
  #closedUni = 0;
  #lastPing: bigint | undefined;
  #pings = 0;
  #pingedAt = 0;
  #rttMs: number | undefined;

  /** Frames that go before any stream data. */
  #control: Uint8Array[] = [];
  #deferred = false;
  #pumping = false;
  #ended = false;
  #receivedAt: number;

  // The batch being written, and the message in it that is still open.
  #batch: Uint8Array | undefined;
  #batchEnd = 0;
  #batchMax = 0;
  #messageStart = -1;
  #batchFull = false;

  constructor(
    framing: Framing,
    version: LiveVersion | undefined,
    role: "client" | "server",
    limits: MuxLimits,
    sink: MessageSink,
    clock: Clock,
    inBand?: InBandVersions,
  ) {
    this.#framing = framing;
    this.#version = version;
    this.#inBand = inBand;
    this.role = role;
    this.#limits = limits;
    this.#sink = sink;
    this.#clock = clock;
    this.#receivedAt = clock.now();
    this.#grantedBytes = limits.connectionWindowBytes;
    this.#grantedBidi = limits.streamsMax;
    this.#grantedUni = limits.streamsMax;
    this.estimate = this.#records ? () => ({ bitsPerSecond: undefined, rttMs: this.#rttMs }) : undefined;
    if (framing === "webtransport") this.#remote = unlimited;
    else this.#queueControl(encodeParameters(this.#ownParameters(), this.#records));
  }

  get version(): LiveVersion | undefined {
    return this.#version;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** When something last arrived. */
  get receivedAt(): number {
    return this.#receivedAt;
  }

  /** A message arrived. Its bytes are the mux's from now on. */
  receive(message: Uint8Array): void {
    if (this.#ended) return;
    this.#receivedAt = this.#clock.now();
    try {
      if (this.#framing === "webtransport") decodeLegacy(message, this.#decoder, this);
      else decodeQmux(message, this.#decoder, this);
    } catch (error) {
      if (!(error instanceof LiveProtocolError)) throw error;
      this.#fail(error);
    }
  }

  /** A message arrived that is none of ours, such as text. */
  refuse(reason: string): void {
    this.#fail(new LiveProtocolError(reason));
  }

  /** The sink has room again. */
  drained(): void {
    this.#pump();
  }

  /** The connection is gone. `clean`: the remote closed it in due form, if without a word of its own. */
  lost(reason: string, clean = false): void {
    this.#end({ code: clean ? liveError.cancel : liveError.transport, reason, clean });
  }

  /** Tells a qmux remote that we live; other framings need nothing. */
  ping(): void {
    if (!this.#records || this.#remote === undefined || this.#ended) return;
    this.#pingedAt = this.#clock.now();
    this.#queueControl(encodePing(++this.#pings));
  }

  wake(): void {
    if (this.#deferred || this.#ended) return;
    this.#deferred = true;
    this.#sink.defer(() => {
      this.#deferred = false;
      this.#pump();
    });
  }

  openUni(): SendStream | undefined {
    if (this.#remote === undefined || this.#nextUni >= this.#remote.maxStreamsUni) return undefined;
    const id = this.#nextUni++ * 4 + 2 + this.#ownBit;
    return this.#addSend(id, this.#remote.maxStreamDataUni);
  }

  openBidi(): BidiStream | undefined {
    if (this.#remote === undefined || this.#nextBidi >= this.#remote.maxStreamsBidi) return undefined;
    const id = this.#nextBidi++ * 4 + this.#ownBit;
    const receive = this.#addReceive(id);
    return { send: this.#addSend(id, this.#remote.maxStreamDataBidiRemote), receive };
  }

  get datagramMaxBytes(): number {
    if (this.#remote === undefined || !this.#records) return 0;
    return Math.max(Math.min(this.#remote.datagramFrameMaxBytes, recordMinBytes) - datagramHeaderMax, 0);
  }

  sendDatagram(datagram: Uint8Array): boolean {
    if (!this.writable) return false;
    if (this.#frameRoom() < datagram.length) {
      this.#batchFull = true;
      return false;
    }
    this.#openMessage(datagramHeaderMax + datagram.length);
    const batch = this.#batch!;
    batch[this.#batchEnd++] = qmuxFrame.datagramLength;
    this.#batchEnd = writeVarint(batch, this.#batchEnd, datagram.length);
    batch.set(datagram, this.#batchEnd);
    this.#batchEnd += datagram.length;
    return true;
  }

  close(code: number, reason: string): void {
    if (this.#ended) return;
    const frame =
      this.#framing === "webtransport"
        ? encodeLegacyClose(code, reason)
        : encodeApplicationClose(code, reason);
    this.#sendLast(frame);
    this.#end({ code, reason, clean: true });
  }

  // What the decoders find.

  onParameters(parameters: QmuxParameters): void {
    if (this.#remote !== undefined) throw new LiveProtocolError("parameters come once");
    if (this.#inBand !== undefined) this.#agree(this.#inBand, parameters.protocols);
    else if (parameters.protocols.length > 0)
      throw new LiveProtocolError("the protocol is agreed upon already");
    this.#remote = parameters;
    this.wake();
  }

  /** The server's order decides; with one that names nothing, SETUP does. */
  #agree({ names, onAgreed }: InBandVersions, offered: readonly string[]): void {
    const known = names.filter(({ name }) => offered.includes(name));
    if (known.length === 0 && offered.length > 0)
      throw new LiveProtocolError("no version in common", liveError.version);
    const first =
      this.role === "server" ? known[0]?.name : offered.find((name) => known.some((k) => k.name === name));
    this.#version = known.find(({ name }) => name === first)?.version;
    onAgreed();
  }

  onOther(): void {
    if (this.#remote === undefined && this.#framing === "qmux-02") {
      throw new LiveProtocolError("parameters come first");
    }
  }

  onStream(id: number, offset: number | undefined, data: Uint8Array, fin: boolean): void {
    this.#countReceived(data.length);
    const stream = this.#receives.get(id) ?? this.#openedByRemote(id);
    if (stream === undefined) return;
    if (offset !== undefined && offset !== stream.receivedBytes) {
      throw new LiveProtocolError("a stream has a gap");
    }
    stream.receivedBytes += data.length;
    if (this.#flowControlled && stream.receivedBytes > stream.grantedBytes) {
      throw new LiveProtocolError("data beyond a stream's window");
    }
    if (fin) this.#forgetReceive(id);
    else if (this.#flowControlled) this.#renewStream(stream);
    stream.onData?.(data, fin);
  }

  onDatagram(data: Uint8Array, frameBytes: number): void {
    if (!this.#records) throw new LiveProtocolError("an unknown frame");
    if (frameBytes > this.#datagramFrameMaxBytes) {
      throw new LiveProtocolError("a datagram that is larger than allowed", liveError.frameTooLarge);
    }
    if (this.#remote !== undefined) this.handler.onDatagram?.(data);
  }

  onReset(id: number, code: number): void {
    const stream = this.#receives.get(id) ?? this.#openedByRemote(id);
    if (stream === undefined) return;
    this.#forgetReceive(id);
    stream.onReset?.(code);
  }

  onStopSending(id: number, code: number): void {
    const stream = this.#sends.get(id);
    if (stream === undefined) return;
    stream.reset(code);
    stream.onStop?.(code);
  }

  onMaxData(value: number): void {
    const remote = this.#needRemote();
    if (value <= remote.maxData) return;
    remote.maxData = value;
    this.wake();
  }

  onMaxStreamData(id: number, value: number): void {
    const stream = this.#sends.get(id);
    if (stream === undefined || value <= stream.maxBytes) return;
    stream.maxBytes = value;
    this.wake();
  }

  onMaxStreams(uni: boolean, value: number): void {
    const remote = this.#needRemote();
    const name = uni ? "maxStreamsUni" : "maxStreamsBidi";
    if (value <= remote[name]) return;
    remote[name] = value;
    this.wake();
  }

  onPong(sequence: bigint): void {
    if (sequence === BigInt(this.#pings)) this.#rttMs = this.#clock.now() - this.#pingedAt;
  }

  onPing(sequence: bigint, pong: Uint8Array): void {
    if (this.#framing === "qmux-02" && this.#lastPing !== undefined && sequence <= this.#lastPing) {
      throw new LiveProtocolError("ping numbers go up");
    }
    this.#lastPing = sequence;
    if (this.#control.length < pongsMax) this.#queueControl(pong);
  }

  onClose(code: number, reason: string, byApplication: boolean): void {
    this.#sink.end();
    this.#end({ code, reason, clean: byApplication });
  }

  // What the streams ask for.

  /** Writes as much as fits; see `SendStream.write`. */
  writeStream(stream: MuxSend, chunk: Uint8Array, from: number, fin: boolean): number {
    if (!this.#pumping || this.#ended) return 0;
    const remote = this.#remote!;
    const wanted = chunk.length - from;
    const credit = Math.min(wanted, stream.maxBytes - stream.sentBytes, remote.maxData - this.#sentBytes);
    let taken = 0;
    do {
      const last = fin && wanted - taken <= payloadMaxBytes && credit === wanted;
      if (taken === credit && !last) break;
      const room = this.#frameRoom();
      if (room < 0) break;
      const length = Math.min(credit - taken, payloadMaxBytes, room);
      if (length === 0 && credit > taken) break;
      const ends = last && taken + length === wanted;
      this.#writeFrame(stream, chunk, from + taken, length, ends);
      taken += length;
      if (ends) {
        this.#forgetSend(stream.id);
        break;
      }
    } while (taken < credit);
    return taken;
  }

  resetStream(stream: MuxSend, code: number): void {
    if (!this.#sends.has(stream.id)) return;
    this.#forgetSend(stream.id);
    this.#queueControl(
      this.#framing === "webtransport"
        ? encodeLegacyReset(stream.id, code)
        : encodeReset(stream.id, code, stream.sentBytes),
    );
  }

  stopStream(stream: MuxReceive, code: number): void {
    if (!this.#receives.has(stream.id)) return;
    // The stream stays known until its end or reset arrives, so that what is under way is not taken for a new one.
    stream.onData = undefined;
    stream.onReset = undefined;
    this.#queueControl(
      this.#framing === "webtransport"
        ? encodeLegacyStopSending(stream.id, code)
        : encodeStopSending(stream.id, code),
    );
  }

  get writable(): boolean {
    return this.#pumping && !this.#batchFull && !this.#ended;
  }

  get #records(): boolean {
    return this.#framing === "qmux-01" || this.#framing === "qmux-02";
  }

  get #flowControlled(): boolean {
    return this.#framing !== "webtransport";
  }

  get #ownBit(): 0 | 1 {
    return this.role === "server" ? 1 : 0;
  }

  /** Largest frame that holds a datagram the remote may send; 0: it may send none. */
  get #datagramFrameMaxBytes(): number {
    const { datagramMaxBytes } = this.#limits;
    return datagramMaxBytes === undefined ? 0 : datagramHeaderMax + datagramMaxBytes;
  }

  #ownParameters(): QmuxParameters {
    const { streamWindowBytes, streamsMax } = this.#limits;
    return {
      idleTimeoutMs: this.#limits.idleTimeoutMs,
      maxData: this.#limits.connectionWindowBytes,
      maxStreamDataBidiLocal: streamWindowBytes,
      maxStreamDataBidiRemote: streamWindowBytes,
      maxStreamDataUni: streamWindowBytes,
      maxStreamsBidi: streamsMax,
      maxStreamsUni: streamsMax,
      datagramFrameMaxBytes: this.#datagramFrameMaxBytes,
      recordMaxBytes: this.#limits.recordMaxBytes,
      protocols: this.#inBand?.names.map(({ name }) => name) ?? [],
    };
  }

  #needRemote(): QmuxParameters {
    if (this.#remote === undefined) throw new LiveProtocolError("a limit before the parameters");
    return this.#remote;
  }

  #addSend(id: number, maxBytes: number): MuxSend {
    const stream = new MuxSend(this, id, maxBytes);
    this.#sends.set(id, stream);
    return stream;
  }

  #addReceive(id: number): MuxReceive {
    const stream = new MuxReceive(this, id, this.#limits.streamWindowBytes);
    this.#receives.set(id, stream);
    return stream;
  }

  /** The stream that the remote opens with this id; `undefined` if it was there before and is over. */
  #openedByRemote(id: number): MuxReceive | undefined {
    const uni = (id & 2) !== 0;
    const index = Math.floor(id / 4);
    if ((id & 1) === this.#ownBit) {
      if (uni || index >= this.#nextBidi) throw new LiveProtocolError("data on a stream that is ours");
      return undefined;
    }
    if (this.#flowControlled && index >= (uni ? this.#grantedUni : this.#grantedBidi)) {
      throw new LiveProtocolError("more streams than allowed");
    }
    if (!(uni ? this.#openedUni : this.#openedBidi).open(index)) return undefined;
    if (!this.#flowControlled && this.#receives.size >= 2 * this.#limits.streamsMax) {
      throw new LiveProtocolError("too many streams are open", liveError.bounds);
    }
    const receive = this.#addReceive(id);
    if (uni) this.handler.onUni(receive);
    else this.handler.onBidi({ receive, send: this.#addSend(id, this.#bidiSendWindow()) });
    return receive;
  }

  /** For a stream the remote opened, "local" in its parameters is the remote itself. */
  #bidiSendWindow(): number {
    return this.#needRemote().maxStreamDataBidiLocal;
  }

  #forgetReceive(id: number): void {
    this.#receives.delete(id);
    this.#forgetStream(id);
  }

  #forgetSend(id: number): void {
    const stream = this.#sends.get(id);
    if (stream !== undefined) stream.done = true;
    this.#sends.delete(id);
    this.#forgetStream(id);
  }

  /** Once both halves of a remote's stream are over, it may open another. */
  #forgetStream(id: number): void {
    if ((id & 1) === this.#ownBit || !this.#flowControlled) return;
    if (this.#receives.has(id) || this.#sends.has(id)) return;
    const half = this.#limits.streamsMax / 2;
    if ((id & 2) !== 0) {
      this.#closedUni++;
      if (this.#closedUni + half < this.#grantedUni) return;
      this.#grantedUni = this.#closedUni + this.#limits.streamsMax;
      this.#queueControl(encodeLimit(qmuxFrame.maxStreamsUni, this.#grantedUni));
    } else {
      this.#closedBidi++;
      if (this.#closedBidi + half < this.#grantedBidi) return;
      this.#grantedBidi = this.#closedBidi + this.#limits.streamsMax;
      this.#queueControl(encodeLimit(qmuxFrame.maxStreamsBidi, this.#grantedBidi));
    }
  }

  #countReceived(bytes: number): void {
    if (!this.#flowControlled) return;
    this.#receivedBytes += bytes;
    if (this.#receivedBytes > this.#grantedBytes) {
      throw new LiveProtocolError("data beyond the connection's window");
    }
    const window = this.#limits.connectionWindowBytes;
    if (this.#grantedBytes - this.#receivedBytes > window / 2) return;
    this.#grantedBytes = this.#receivedBytes + window;
    this.#queueControl(encodeLimit(qmuxFrame.maxData, this.#grantedBytes));
  }

  #renewStream(stream: MuxReceive): void {
    const window = this.#limits.streamWindowBytes;
    if (stream.grantedBytes - stream.receivedBytes > window / 2) return;
    stream.grantedBytes = stream.receivedBytes + window;
    this.#queueControl(encodeStreamLimit(stream.id, stream.grantedBytes));
  }

  #queueControl(frame: Uint8Array): void {
    if (this.#ended) return;
    this.#control.push(frame);
    // Streams opened and ended without a look at our refusals would make these grow for ever.
    if (this.#control.length > controlFramesMax + 4 * this.#limits.streamsMax) {
      this.#fail(new LiveProtocolError("nothing is read of what is sent", liveError.lagged));
      return;
    }
    this.wake();
  }

  #fail(error: LiveProtocolError): void {
    if (this.#ended) return;
    const frame =
      this.#framing === "webtransport"
        ? encodeLegacyClose(error.code, error.message)
        : encodeTransportClose(error.code, error.message);
    this.#sendLast(frame);
    this.#end({ code: error.code, reason: error.message, clean: false });
  }

  #sendLast(frame: Uint8Array): void {
    this.#control.push(frame);
    this.#beginBatch(this.#control.reduce((sum, bytes) => sum + bytes.length + 16, 64));
    this.#writeControl();
    this.#flushBatch();
    this.#sink.end();
  }

  #end(end: SessionEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#control = [];
    this.#sends.clear();
    this.#receives.clear();
    this.handler.onEnd(end);
  }

  // Batches: many frames into one buffer, and one write of the sink for all.

  #pump(): void {
    if (this.#ended || this.#pumping) return;
    for (let batches = 0; batches < batchesPerTurn; batches++) {
      const room = this.#sink.room();
      if (room <= 0) return;
      const controlBytes = this.#control.reduce((sum, bytes) => sum + bytes.length + 16, 0);
      this.#beginBatch(Math.max(Math.min(room, batchBytes), controlBytes, 4096));
      this.#writeControl();
      this.#pumping = true;
      try {
        if (this.#remote !== undefined) this.handler.onPump();
      } finally {
        this.#pumping = false;
      }
      // The handler may have closed the session, which flushed all there was.
      if (this.#ended) return;
      this.#flushBatch();
      if (!this.#batchFull && this.#control.length === 0) return;
    }
    this.wake();
  }

  #beginBatch(bytes: number): void {
    if (this.#batch !== undefined) this.#flushBatch();
    this.#batch = undefined;
    this.#batchEnd = 0;
    this.#batchMax = bytes;
    this.#messageStart = -1;
    this.#batchFull = false;
  }

  #flushBatch(): void {
    this.#sealMessage();
    const batch = this.#batch;
    this.#batch = undefined;
    if (batch !== undefined && this.#batchEnd > 0) this.#sink.send(batch, this.#batchEnd);
  }

  #writeControl(): void {
    const frames = this.#control;
    if (frames.length === 0) return;
    this.#control = [];
    for (const frame of frames) {
      this.#openMessage(frame.length);
      this.#batch!.set(frame, this.#batchEnd);
      this.#batchEnd += frame.length;
      if (!this.#records) this.#sealMessage();
    }
  }

  /** Bytes of payload that a frame may carry now; below 0 if not even its header fits. */
  #frameRoom(): number {
    const left = this.#batchMax - this.#batchEnd - this.#sink.headroom - frameHeaderMax;
    if (left <= 0) this.#batchFull = true;
    return left;
  }

  #writeFrame(stream: MuxSend, chunk: Uint8Array, from: number, length: number, fin: boolean): void {
    this.#openMessage(frameHeaderMax + length);
    const batch = this.#batch!;
    let at = this.#batchEnd;
    if (this.#framing === "webtransport") {
      batch[at++] = fin ? legacyFrame.streamFin : legacyFrame.stream;
      at = writeVarint(batch, at, stream.id);
    } else {
      batch[at++] = fin ? 0x0f : 0x0e;
      at = writeVarint(batch, at, stream.id);
      at = writeVarint(batch, at, stream.sentBytes);
      at = writeVarint(batch, at, length);
    }
    if (length > 0) {
      batch.set(from === 0 && length === chunk.length ? chunk : chunk.subarray(from, from + length), at);
    }
    this.#batchEnd = at + length;
    stream.sentBytes += length;
    this.#sentBytes += length;
    if (!this.#records) this.#sealMessage();
  }

  /** Makes room for `bytes` in a message: the open one, or the next. */
  #openMessage(bytes: number): void {
    this.#batch ??= this.#sink.take(this.#batchMax);
    if (this.#messageStart >= 0) {
      if (this.#batchEnd - this.#messageStart + bytes <= this.#messageMaxBytes) return;
      this.#sealMessage();
    }
    this.#batchEnd += this.#sink.headroom;
    this.#messageStart = this.#batchEnd;
  }

  #sealMessage(): void {
    if (this.#messageStart < 0) return;
    this.#batchEnd = this.#sink.seal(this.#batch!, this.#messageStart, this.#batchEnd);
    this.#messageStart = -1;
  }

  get #messageMaxBytes(): number {
    return this.#framing === "qmux-00" ? frameMaxBytesQmux00 : recordMinBytes;
  }
}

/** Frames waiting to go, past which a ping gets no answer: a flood of them must not make us queue without bound. */
const pongsMax = 1_000;
/** Frames that may wait beside the few that each open stream is worth; past them the remote is given up. */
const controlFramesMax = 2_000;

/** The older framing has no limits. */
const unlimited: QmuxParameters = {
  idleTimeoutMs: 0,
  maxData: Number.MAX_SAFE_INTEGER,
  maxStreamDataBidiLocal: Number.MAX_SAFE_INTEGER,
  maxStreamDataBidiRemote: Number.MAX_SAFE_INTEGER,
  maxStreamDataUni: Number.MAX_SAFE_INTEGER,
  maxStreamsBidi: Number.MAX_SAFE_INTEGER,
  maxStreamsUni: Number.MAX_SAFE_INTEGER,
  datagramFrameMaxBytes: 0,
  recordMaxBytes: recordMinBytes,
  protocols: [],
};

class MuxSend implements SendStream {
  readonly id: number;
  readonly #mux: Mux;
  maxBytes: number;
  sentBytes = 0;
  done = false;
  onStop: ((code: number) => void) | undefined;

  constructor(mux: Mux, id: number, maxBytes: number) {
    this.#mux = mux;
    this.id = id;
    this.maxBytes = maxBytes;
  }

  write(chunk: Uint8Array, from: number, fin: boolean): number {
    return this.done ? 0 : this.#mux.writeStream(this, chunk, from, fin);
  }

  reset(code: number): void {
    if (!this.done) this.#mux.resetStream(this, code);
  }
}

class MuxReceive implements ReceiveStream {
  readonly id: number;
  readonly #mux: Mux;
  grantedBytes: number;
  receivedBytes = 0;
  onData: ((chunk: Uint8Array, fin: boolean) => void) | undefined;
  onReset: ((code: number) => void) | undefined;

  constructor(mux: Mux, id: number, grantedBytes: number) {
    this.#mux = mux;
    this.id = id;
    this.grantedBytes = grantedBytes;
  }

  stop(code: number): void {
    this.#mux.stopStream(this, code);
  }
}

/** Which of a remote's streams of one class were opened already. */
class OpenedStreams {
  #next = 0;
  readonly #holes = new Set<number>();

  /** True the first time an index is named. */
  open(index: number): boolean {
    if (index < this.#next) return this.#holes.delete(index);
    if (index - this.#next + this.#holes.size > holesMax) {
      throw new LiveProtocolError("too many streams were skipped");
    }
    for (let hole = this.#next; hole < index; hole++) this.#holes.add(hole);
    this.#next = index + 1;
    return true;
  }
}
