import {
  decodeSessionClose,
  encodeSessionClose,
  encodeStreamStart,
  fromH3Error,
  h3Frame,
  toH3Error,
} from "#wire/h3/frames.ts";
import { StreamBuffer } from "#wire/live/stream-buffer.ts";
import type {
  BidiStream,
  ReceiveStream,
  SendStream,
  SessionEnd,
  Transport,
  TransportHandler,
} from "#wire/live/transport.ts";
import type { LiveVersion } from "#wire/live/version.ts";
import type { QuicReceive, QuicSend } from "./quic-stream.ts";

/** What a session needs of its connection. */
export interface SessionConnection {
  openUni(): QuicSend | undefined;
  openBidi(): { send: QuicSend; receive: QuicReceive } | undefined;
  /** Ends the connection once what was sent is out. */
  end(): void;
}

/** Largest capsule on a CONNECT stream; ours to read is only the one that ends the session. */
const capsuleMaxBytes = 4096;

/** One WebTransport session: the streams of its connection that name it, and its CONNECT stream. */
export class WebTransportSession implements Transport {
  readonly version: LiveVersion | undefined;
  readonly role = "server";
  handler!: TransportHandler;
  readonly #id: number;
  readonly #connection: SessionConnection;
  readonly #connect: QuicSend;
  readonly #input = new StreamBuffer(capsuleMaxBytes);
  readonly #capsules = new StreamBuffer(capsuleMaxBytes);
  #frameType: number | undefined;
  #capsuleType: number | undefined;
  #deferred = false;
  #pumping = false;
  #ended = false;

  /** `connect` is the stream that asked for the session, whose number is the session's id. */
  constructor(
    id: number,
    version: LiveVersion | undefined,
    connection: SessionConnection,
    connect: QuicSend,
  ) {
    this.#id = id;
    this.version = version;
    this.#connection = connection;
    this.#connect = connect;
  }

  get writable(): boolean {
    return this.#pumping && !this.#ended;
  }

  wake(): void {
    if (this.#deferred || this.#ended) return;
    this.#deferred = true;
    setImmediate(() => {
      this.#deferred = false;
      this.pump();
    });
  }

  /** A stream has room again, or there is something to send. */
  pump(): void {
    if (this.#ended || this.#pumping) return;
    this.#pumping = true;
    try {
      this.handler.onPump();
    } finally {
      this.#pumping = false;
    }
  }

  openUni(): SendStream | undefined {
    const stream = this.#connection.openUni();
    if (stream === undefined) return undefined;
    stream.write(encodeStreamStart(true, this.#id), 0, false);
    return new SessionSend(stream);
  }

  openBidi(): BidiStream | undefined {
    const stream = this.#connection.openBidi();
    if (stream === undefined) return undefined;
    stream.send.write(encodeStreamStart(false, this.#id), 0, false);
    const receive = new SessionReceive(stream.receive);
    void stream.receive.start();
    return { send: new SessionSend(stream.send), receive };
  }

  /** A stream of the client's that names this session; `rest` followed the name. */
  onStream(receive: QuicReceive, send: QuicSend | undefined, rest: Uint8Array, fin: boolean): void {
    if (this.#ended) return;
    const received = new SessionReceive(receive);
    if (send === undefined) this.handler.onUni(received);
    else this.handler.onBidi({ receive: received, send: new SessionSend(send) });
    if (rest.length > 0 || fin) received.onData?.(rest, fin);
  }

  /** More of the CONNECT stream: DATA frames with capsules. Throws `LiveProtocolError`. */
  onConnectData(chunk: Uint8Array, fin: boolean): void {
    this.#input.push(chunk);
    for (;;) {
      this.#frameType ??= this.#input.takeType();
      if (this.#frameType === undefined) break;
      const body = this.#input.takeMessage();
      if (body === undefined) break;
      if (this.#frameType === h3Frame.data) this.#onCapsules(body);
      this.#frameType = undefined;
    }
    if (fin) this.lost("the session was ended", true);
  }

  /** The session is over without a word of ours. */
  lost(reason: string, clean: boolean): void {
    this.#end({ code: 0, reason, clean });
  }

  close(code: number, reason: string): void {
    if (this.#ended) return;
    this.#connect.write(encodeSessionClose(code, reason), 0, true);
    this.#end({ code, reason, clean: true });
    this.#connection.end();
  }

  #onCapsules(bytes: Uint8Array): void {
    this.#capsules.push(bytes);
    for (;;) {
      this.#capsuleType ??= this.#capsules.takeType();
      if (this.#capsuleType === undefined) return;
      const body = this.#capsules.takeMessage();
      if (body === undefined) return;
      const close = decodeSessionClose(this.#capsuleType, body);
      this.#capsuleType = undefined;
      if (close) this.#end({ ...close, clean: true });
    }
  }

  #end(end: SessionEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.handler.onEnd(end);
  }
}

/** Errors of the session's own, on a stream that knows HTTP/3's. */
export class SessionSend implements SendStream {
  readonly #stream: QuicSend;

  constructor(stream: QuicSend) {
    this.#stream = stream;
  }

  get done(): boolean {
    return this.#stream.done;
  }

  set onStop(callback: ((code: number) => void) | undefined) {
    this.#stream.onStop = callback && ((h3Code) => callback(fromH3Error(h3Code)));
  }

  write(chunk: Uint8Array, from: number, fin: boolean): number {
    return this.#stream.write(chunk, from, fin);
  }

  reset(code: number): void {
    this.#stream.reset(toH3Error(code));
  }
}

export class SessionReceive implements ReceiveStream {
  readonly #stream: QuicReceive;
  onData: ((chunk: Uint8Array, fin: boolean) => void) | undefined;
  onReset: ((code: number) => void) | undefined;

  constructor(stream: QuicReceive) {
    this.#stream = stream;
    stream.onData = (chunk, fin) => this.onData?.(chunk, fin);
    stream.onReset = (h3Code) => this.onReset?.(fromH3Error(h3Code));
  }

  stop(code: number): void {
    this.#stream.stop(toH3Error(code));
  }
}
