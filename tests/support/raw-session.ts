import type { Mux } from "#wire/live/mux.ts";
import type {
  BidiStream,
  ReceiveStream,
  SendStream,
  SessionEnd,
  TransportHandler,
} from "#wire/live/transport.ts";

/** What came back on a stream. */
export class RawStream {
  bytes = Buffer.alloc(0);
  fin = false;
  reset: number | undefined;
  stopped: number | undefined;

  listen(stream: ReceiveStream): void {
    stream.onData = (chunk, fin) => {
      this.bytes = Buffer.concat([this.bytes, chunk]);
      this.fin ||= fin;
    };
    stream.onReset = (code) => {
      this.reset = code;
    };
  }

  get hex(): string {
    return this.bytes.toString("hex");
  }
}

/** A client that sends whatever bytes a test wants and writes down what comes back. */
export class RawSession implements TransportHandler {
  readonly #mux: Mux;
  /** Streams the relay opened. */
  readonly bidis: (RawStream & { answer(bytes: Uint8Array, fin?: boolean): void })[] = [];
  readonly unis: RawStream[] = [];
  end: SessionEnd | undefined;
  #writes: (() => boolean)[] = [];

  constructor(mux: Mux) {
    this.#mux = mux;
    mux.handler = this;
  }

  get ended(): boolean {
    return this.end !== undefined;
  }

  /** Opens a bidirectional stream with these bytes. */
  bidi(bytes: Uint8Array, fin = false): RawStream & { more(bytes: Uint8Array, fin?: boolean): void } {
    let stream: BidiStream | undefined;
    const raw = Object.assign(new RawStream(), {
      more: (next: Uint8Array, ends = false) => this.#write(() => stream?.send, next, ends),
    });
    this.#write(
      () => {
        if (stream === undefined) {
          stream = this.#mux.openBidi();
          if (stream) {
            raw.listen(stream.receive);
            stream.send.onStop = (code) => {
              raw.stopped = code;
            };
          }
        }
        return stream?.send;
      },
      bytes,
      fin,
    );
    return raw;
  }

  /** Opens a unidirectional stream with these bytes. */
  uni(bytes: Uint8Array, fin = false): RawStream & { more(bytes: Uint8Array, fin?: boolean): void } {
    let stream: SendStream | undefined;
    const raw = Object.assign(new RawStream(), {
      more: (next: Uint8Array, ends = false) => this.#write(() => stream, next, ends),
    });
    this.#write(
      () => {
        stream ??= this.#mux.openUni();
        if (stream)
          stream.onStop = (code) => {
            raw.stopped = code;
          };
        return stream;
      },
      bytes,
      fin,
    );
    return raw;
  }

  onUni(stream: ReceiveStream): void {
    const raw = new RawStream();
    raw.listen(stream);
    this.unis.push(raw);
  }

  onBidi(stream: BidiStream): void {
    const raw = Object.assign(new RawStream(), {
      answer: (bytes: Uint8Array, fin = false) => this.#write(() => stream.send, bytes, fin),
    });
    raw.listen(stream.receive);
    this.bidis.push(raw);
  }

  onPump(): void {
    while (this.#writes[0]?.()) this.#writes.shift();
  }

  onEnd(end: SessionEnd): void {
    this.end = end;
  }

  #write(streamOf: () => SendStream | undefined, bytes: Uint8Array, fin: boolean): void {
    let at = 0;
    this.#writes.push(() => {
      const stream = streamOf();
      if (stream === undefined) return false;
      // A stream that the relay refused takes nothing more.
      if (stream.done) return true;
      at += stream.write(bytes, at, fin);
      return stream.done || (!fin && at === bytes.length);
    });
    this.#mux.wake();
  }
}
