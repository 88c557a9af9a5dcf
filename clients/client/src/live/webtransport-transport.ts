import { liveError } from "../../../../wire/live/error-code.ts";
import type {
  BidiStream,
  ReceiveStream,
  SendStream,
  SessionEnd,
  Transport,
  TransportHandler,
} from "../../../../wire/live/transport.ts";
import { type LiteVersion, liteNames } from "../../../../wire/live/version.ts";
import type { DialEvents } from "./websocket-transport.ts";

export type WebTransportConstructor = new (url: string, options?: WebTransportOptions) => WebTransport;

/** What browsers have and the compiler's library has not yet (W3C WebTransport, 2026). */
interface NewerOptions extends WebTransportOptions {
  protocols?: string[];
}

/** Without it a stream that the relay does not allow yet is an error. */
const whenAllowed = { waitUntilAvailable: true } as WebTransportSendStreamOptions;

interface NewerSession extends WebTransport {
  readonly protocol?: string;
}

/** Bytes handed to one stream, and to all, before we wait for the network to take them. */
const streamBacklogBytes = 131_072;
const sessionBacklogBytes = 524_288;
/** Streams of each kind that we asked for and do not have yet: without credit of the relay they wait. */
const openingsMax = 8;
const reasonMaxBytes = 1024;
const nothing = new Uint8Array(0);

/** Opens a WebTransport session in the newest version both sides speak. Answers what gives the attempt up. */
export function dialWebTransport(
  url: URL,
  Session: WebTransportConstructor,
  certificateHashes: readonly Uint8Array<ArrayBuffer>[],
  { open, fail }: DialEvents<WebTransportTransport>,
): () => void {
  const options: NewerOptions = {
    congestionControl: "low-latency",
    protocols: liteNames.filter(({ version }) => version !== undefined).map(({ name }) => name),
  };
  if (certificateHashes.length > 0) {
    options.serverCertificateHashes = certificateHashes.map((value) => ({ algorithm: "sha-256", value }));
  }
  const session: NewerSession = new Session(url.href, options);
  // The same failure comes by `ready`.
  session.closed.catch(() => {});
  session.ready.then(() => {
    const version = liteNames.find(({ name }) => name === session.protocol)?.version;
    open(new WebTransportTransport(session, version));
  }, fail);
  return () => session.close();
}

/** The platform's WebTransport as the port that sessions use. */
export class WebTransportTransport implements Transport {
  readonly version: LiteVersion | undefined;
  readonly role = "client";
  handler!: TransportHandler;
  readonly #session: WebTransport;
  readonly #openings = { uni: 0, bidi: 0 };
  #waitingBytes = 0;
  #deferred = false;
  #pumping = false;
  #ended = false;

  constructor(session: WebTransport, version: LiteVersion | undefined) {
    this.#session = session;
    this.version = version;
    session.closed.then(
      ({ closeCode, reason }) => this.#end({ code: closeCode ?? 0, reason: reason ?? "", clean: true }),
      () => this.#end({ code: liveError.transport, reason: "the connection went away", clean: false }),
    );
    // Its handler is set in the turn it was made in; streams come later.
    void this.#accept(session.incomingUnidirectionalStreams, (stream) => {
      const receive = new StreamReceive();
      this.handler.onUni(receive);
      void receive.read(stream);
    });
    void this.#accept(session.incomingBidirectionalStreams, ({ readable, writable }) => {
      const [send, receive] = [new StreamSend(this), new StreamReceive()];
      send.bind(writable);
      this.handler.onBidi({ send, receive });
      void receive.read(readable);
    });
  }

  get writable(): boolean {
    return this.#pumping && !this.#ended && this.#waitingBytes < sessionBacklogBytes;
  }

  openUni(): SendStream | undefined {
    if (this.#ended || this.#openings.uni >= openingsMax) return undefined;
    const send = new StreamSend(this);
    const opening = this.#session.createUnidirectionalStream(whenAllowed);
    this.#opened("uni", opening, (stream) => send.bind(stream), send);
    return send;
  }

  openBidi(): BidiStream | undefined {
    if (this.#ended || this.#openings.bidi >= openingsMax) return undefined;
    const [send, receive] = [new StreamSend(this), new StreamReceive()];
    const opening = this.#session.createBidirectionalStream(whenAllowed);
    const bind = ({ readable, writable }: WebTransportBidirectionalStream) => {
      send.bind(writable);
      void receive.read(readable);
    };
    this.#opened("bidi", opening, bind, send);
    return { send, receive };
  }

  wake(): void {
    if (this.#deferred || this.#ended) return;
    this.#deferred = true;
    queueMicrotask(() => {
      this.#deferred = false;
      if (this.#ended) return;
      this.#pumping = true;
      try {
        this.handler.onPump();
      } finally {
        this.#pumping = false;
      }
    });
  }

  close(code: number, reason: string): void {
    if (this.#ended) return;
    this.#session.close({ closeCode: code, reason: reason.slice(0, reasonMaxBytes / 4) });
    this.#end({ code, reason, clean: true });
  }

  /** Bytes that any stream may be given now. */
  get room(): number {
    return this.writable ? sessionBacklogBytes - this.#waitingBytes : 0;
  }

  count(bytes: number): void {
    this.#waitingBytes += bytes;
    if (bytes < 0) this.wake();
  }

  #opened<T>(kind: "uni" | "bidi", opening: Promise<T>, bind: (stream: T) => void, send: StreamSend): void {
    this.#openings[kind]++;
    opening.then(
      (stream) => {
        this.#openings[kind]--;
        bind(stream);
        this.wake();
      },
      // The session is over, of which `closed` tells, or a browser does not wait for the relay to allow more.
      () => {
        this.#openings[kind]--;
        send.refused();
      },
    );
  }

  async #accept<T>(streams: ReadableStream<T>, take: (stream: T) => void): Promise<void> {
    const reader = streams.getReader();
    try {
      for (let next = await reader.read(); !next.done && !this.#ended; next = await reader.read()) {
        take(next.value);
      }
    } catch {
      // The session is over; `closed` tells why.
    }
  }

  #end(end: SessionEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.handler.onEnd(end);
  }
}

/** The code a stream was ended with; 0 where the platform does not tell. */
const codeOf = (error: unknown): number =>
  (error as { streamErrorCode?: number | null } | undefined)?.streamErrorCode ?? 0;

/** An error that carries `code` to the relay. The constructor's arguments changed over the years. */
function streamError(code: number): unknown {
  try {
    return new WebTransportError("given up", { source: "stream", streamErrorCode: code });
  } catch {
    return new Error("given up");
  }
}

/** A sending half that may not be there yet: until it is, it takes nothing. */
class StreamSend implements SendStream {
  done = false;
  onStop: ((code: number) => void) | undefined;
  readonly #owner: WebTransportTransport;
  #writer: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #waitingBytes = 0;
  #resetCode: number | undefined;

  constructor(owner: WebTransportTransport) {
    this.#owner = owner;
  }

  bind(stream: WritableStream<Uint8Array>): void {
    const writer = stream.getWriter();
    this.#writer = writer;
    writer.closed.catch((error) => {
      if (this.done) return;
      this.done = true;
      this.onStop?.(codeOf(error));
    });
    if (this.#resetCode !== undefined) writer.abort(streamError(this.#resetCode)).catch(() => {});
  }

  write(chunk: Uint8Array, from: number, fin: boolean): number {
    if (this.done || this.#writer === undefined) return 0;
    const room = Math.min(this.#owner.room, streamBacklogBytes - this.#waitingBytes);
    const taken = Math.max(0, Math.min(chunk.length - from, room));
    if (taken > 0) {
      this.#count(taken);
      const settled = () => this.#count(-taken);
      this.#writer.write(chunk.slice(from, from + taken)).then(settled, settled);
    }
    if (fin && from + taken === chunk.length) {
      this.done = true;
      this.#writer.close().catch(() => {});
    }
    return taken;
  }

  /** It could not be opened: to whoever writes it, that is as if the relay wanted no more of it. */
  refused(): void {
    if (this.done) return;
    this.done = true;
    this.onStop?.(liveError.cancel);
  }

  reset(code: number): void {
    if (this.done) return;
    this.done = true;
    this.#resetCode = code;
    this.#writer?.abort(streamError(code)).catch(() => {});
  }

  #count(bytes: number): void {
    this.#waitingBytes += bytes;
    this.#owner.count(bytes);
  }
}

class StreamReceive implements ReceiveStream {
  onData: ((chunk: Uint8Array, fin: boolean) => void) | undefined;
  onReset: ((code: number) => void) | undefined;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #stopCode: number | undefined;

  async read(stream: ReadableStream<Uint8Array>): Promise<void> {
    const reader = stream.getReader();
    this.#reader = reader;
    if (this.#stopCode !== undefined) return this.stop(this.#stopCode);
    for (;;) {
      let next: ReadableStreamReadResult<Uint8Array>;
      try {
        next = await reader.read();
      } catch (error) {
        if (this.#stopCode === undefined) this.onReset?.(codeOf(error));
        return;
      }
      if (this.#stopCode !== undefined) return;
      if (next.done) return this.onData?.(nothing, true);
      this.onData?.(next.value, false);
    }
  }

  stop(code: number): void {
    this.#stopCode = code;
    this.#reader?.cancel(streamError(code)).catch(() => {});
  }
}
