import type { QUICConnection, QUICStream } from "@matrixai/quic";
import type { Clock } from "#core/clock.ts";
import {
  decodeDatagramStart,
  encodeControlStart,
  encodeHeaders,
  h3Frame,
  h3UniStream,
} from "#wire/h3/frames.ts";
import { decodeFields } from "#wire/h3/qpack.ts";
import { LiveProtocolError } from "#wire/live/error-code.ts";
import { StreamBuffer } from "#wire/live/stream-buffer.ts";
import { datagramMaxBytesOf, listenForDatagrams, QuicDatagrams } from "../quic/quic-datagrams.ts";
import { QuicReceive, QuicSend } from "./quic-stream.ts";
import type { ConnectAnswer, ConnectRequest } from "./webtransport-listener.ts";
import { type SessionConnection, WebTransportSession } from "./webtransport-session.ts";

/** Code of HTTP/3 for an end that nobody is to blame for, and for one whose streams make no sense. */
export const h3NoError = 0x100;
const h3GeneralProtocolError = 0x101;
const h3StreamCreationError = 0x103;

/** How long a client has to read why its session was closed. */
export const closeGraceMs = 1_000;

const headMaxBytes = 16_384;
/** Streams kept that came before the session they name. */
const earlyStreamsMax = 100;

interface EarlyStream {
  sessionId: number;
  deliver(session: WebTransportSession): void;
}

/** One HTTP/3 connection that carries WebTransport sessions and nothing else. */
export class H3Connection implements SessionConnection {
  readonly #quic: QUICConnection;
  readonly #clock: Clock;
  readonly #answer: (request: ConnectRequest) => Promise<ConnectAnswer>;
  readonly #sessions = new Map<number, WebTransportSession>();
  readonly #datagrams: QuicDatagrams;
  #early: EarlyStream[] = [];

  constructor(
    quic: QUICConnection,
    clock: Clock,
    answer: (request: ConnectRequest) => Promise<ConnectAnswer>,
  ) {
    this.#quic = quic;
    this.#clock = clock;
    this.#answer = answer;
    this.#datagrams = new QuicDatagrams(quic);
    listenForDatagrams(quic, (datagram) => this.#onDatagram(datagram));
  }

  /** Says what we can do. QPACK's streams stay idle: there is no dynamic table. */
  start(): void {
    for (const first of [
      encodeControlStart(),
      new Uint8Array([h3UniStream.qpackEncoder]),
      new Uint8Array([h3UniStream.qpackDecoder]),
    ]) {
      this.openUni()?.write(first, 0, false);
    }
  }

  /** The connection is gone. */
  lost(): void {
    for (const session of this.#sessions.values()) session.lost("the connection went away", false);
    this.#sessions.clear();
  }

  openUni(): QuicSend | undefined {
    if (creditOf(this.#quic).peerStreamsLeftUni() === 0) return undefined;
    return new QuicSend(this.#quic.newStream("uni"), () => this.#pumpAll());
  }

  openBidi(): { send: QuicSend; receive: QuicReceive } | undefined {
    if (creditOf(this.#quic).peerStreamsLeftBidi() === 0) return undefined;
    const stream = this.#quic.newStream("bidi");
    return { send: new QuicSend(stream, () => this.#pumpAll()), receive: new QuicReceive(stream) };
  }

  get datagramMaxBytes(): number {
    return datagramMaxBytesOf(this.#quic);
  }

  sendDatagram(datagram: Uint8Array): boolean {
    return this.#datagrams.send(datagram);
  }

  flushDatagrams(): void {
    this.#datagrams.flush();
  }

  end(): void {
    this.#clock.after(closeGraceMs, () => this.#stop(h3NoError));
  }

  /** A stream that the client opened. */
  onStream(stream: QUICStream): void {
    const receive = new QuicReceive(stream);
    const input = new StreamBuffer(headMaxBytes);
    const send = stream.type === "bidi" ? new QuicSend(stream, () => this.#pumpAll()) : undefined;
    let type: number | undefined;
    receive.onData = (chunk, fin) =>
      this.#guard(() => {
        input.push(chunk);
        type ??= input.takeType();
        if (type === undefined) return;
        if (send === undefined) this.#onUni(type, receive, input, fin);
        else this.#onBidi(type, stream.streamId, receive, send, input, fin);
      });
    void receive.start();
  }

  /** One for a session that is not there is lost, as any may be. */
  #onDatagram(datagram: Uint8Array): void {
    this.#guard(() => {
      const { sessionId, body } = decodeDatagramStart(datagram);
      this.#sessions.get(sessionId)?.onDatagram(body);
    });
  }

  #onUni(type: number, receive: QuicReceive, input: StreamBuffer, fin: boolean): void {
    if (type === h3UniStream.webTransport) {
      this.#toSession(receive, undefined, input, fin);
      return;
    }
    // The client's settings, its idle QPACK streams and what is only there to be ignored (RFC 9114, 6.2.3).
    input.takeRest();
    receive.onData = undefined;
  }

  #onBidi(
    type: number,
    streamId: number,
    receive: QuicReceive,
    send: QuicSend,
    input: StreamBuffer,
    fin: boolean,
  ): void {
    if (type === h3Frame.webTransportBidi) {
      this.#toSession(receive, send, input, fin);
      return;
    }
    if (type !== h3Frame.headers) {
      send.reset(h3StreamCreationError);
      receive.stop(h3StreamCreationError);
      return;
    }
    const section = input.takeMessage();
    if (section === undefined) return;
    void this.#connect(streamId, decodeConnect(section), receive, send, input.takeRest(), fin);
  }

  async #connect(
    id: number,
    request: ConnectRequest | undefined,
    receive: QuicReceive,
    send: QuicSend,
    rest: Uint8Array,
    fin: boolean,
  ): Promise<void> {
    const early: { chunk: Uint8Array; fin: boolean }[] = [{ chunk: rest, fin }];
    receive.onData = (chunk, ended) => early.push({ chunk, fin: ended });
    const answer = request === undefined ? { status: 404 } : await this.#answer(request);
    if ("status" in answer) {
      send.write(encodeHeaders([[":status", String(answer.status)]]), 0, true);
      return receive.stop(h3NoError);
    }
    const chosen = answer.protocol === undefined ? [] : [["wt-protocol", `"${answer.protocol}"`] as const];
    const fields = [[":status", "200"], ["sec-webtransport-http3-draft", "draft02"], ...chosen] as const;
    send.write(encodeHeaders(fields), 0, false);
    const session = new WebTransportSession(id, answer.version, this, send);
    this.#sessions.set(id, session);
    answer.open(session);
    receive.onData = (chunk, ended) => this.#guard(() => session.onConnectData(chunk, ended));
    receive.onReset = () => session.lost("the session was given up", false);
    for (const { chunk, fin: ended } of early) this.#guard(() => session.onConnectData(chunk, ended));
    const waiting = this.#early;
    this.#early = waiting.filter((stream) => stream.sessionId !== id);
    for (const stream of waiting) if (stream.sessionId === id) stream.deliver(session);
  }

  /** A stream that names a session, which may not be there yet. */
  #toSession(receive: QuicReceive, send: QuicSend | undefined, input: StreamBuffer, fin: boolean): void {
    const sessionId = input.takeType();
    if (sessionId === undefined) return;
    const rest = input.takeRest();
    const session = this.#sessions.get(sessionId);
    if (session) {
      session.onStream(receive, send, rest, fin);
      return;
    }
    const chunks = [rest];
    let ended = fin;
    receive.onData = (chunk, last) => {
      chunks.push(chunk);
      ended = last;
    };
    this.#early.push({
      sessionId,
      deliver: (late) => late.onStream(receive, send, Buffer.concat(chunks), ended),
    });
    if (this.#early.length > earlyStreamsMax) this.#fail();
  }

  #pumpAll(): void {
    for (const session of this.#sessions.values()) session.wake();
  }

  #guard(use: () => void): void {
    try {
      use();
    } catch (error) {
      if (!(error instanceof LiveProtocolError)) throw error;
      this.#fail();
    }
  }

  #fail(): void {
    this.#stop(h3GeneralProtocolError);
  }

  #stop(errorCode: number): void {
    this.#quic.stop({ isApp: true, errorCode, force: true }).catch(() => {});
  }
}

/** What the library keeps to itself: how many streams the client lets us open. */
const creditOf = (quic: QUICConnection) =>
  (quic as unknown as { conn: { peerStreamsLeftUni(): number; peerStreamsLeftBidi(): number } }).conn;

/** What a request asks for; `undefined` if it is no CONNECT for WebTransport. Throws `LiveProtocolError`. */
function decodeConnect(section: Uint8Array): ConnectRequest | undefined {
  const fields = new Map(decodeFields(section));
  if (fields.get(":method") !== "CONNECT" || fields.get(":protocol") !== "webtransport") return undefined;
  const offered = fields.get("wt-available-protocols") ?? "";
  return {
    path: fields.get(":path") ?? "/",
    authority: fields.get(":authority"),
    protocols: Array.from(offered.matchAll(/"([^"\\]*)"/g), (match) => match[1]!),
  };
}
