import assert from "node:assert/strict";
import type {
  BidiStream,
  ReceiveStream,
  SendStream,
  SessionEnd,
  Transport,
  TransportHandler,
} from "#wire/live/transport.ts";

/** What came back on a stream. */
export class RawStream {
  bytes = Buffer.alloc(0);
  fin = false;
  reset: number | undefined;
  /** The code with which the relay asked for no more of what is sent to it. */
  stopped: number | undefined;
  /** Asks the relay to send no more. */
  stop: (code: number) => void = () => {};

  listen(stream: ReceiveStream, changed: () => void): void {
    stream.onData = (chunk, fin) => {
      this.bytes = Buffer.concat([this.bytes, chunk]);
      this.fin ||= fin;
      changed();
    };
    stream.onReset = (code) => {
      this.reset = code;
      changed();
    };
    this.stop = (code) => stream.stop(code);
  }

  get hex(): string {
    return this.bytes.toString("hex");
  }

  /** Nothing more will come. */
  get over(): boolean {
    return this.fin || this.reset !== undefined;
  }
}

/** The half of a stream that the test sends. */
export interface RawOutput {
  more(bytes: Uint8Array, fin?: boolean): void;
  giveUp(code: number): void;
}

/** How long something may take that must happen; a relay that lets it pass fails. */
const patienceMs = 15_000;

/** A client that sends whatever bytes a test wants and writes down what comes back. */
export class RawSession implements TransportHandler {
  readonly transport: Transport;
  /** Streams the relay opened. */
  readonly bidis: (RawStream & { answer(bytes: Uint8Array, fin?: boolean): void })[] = [];
  readonly unis: RawStream[] = [];
  end: SessionEnd | undefined;
  /** Hears of a stream the relay opened, before anything of it is there. */
  onOpened: (stream: RawSession["bidis"][number] | RawStream, bidi: boolean) => void = () => {};
  /** Called whenever something came. */
  onChange: () => void = () => {};
  #writes: (() => boolean)[] = [];
  #waiters = new Set<() => void>();

  constructor(transport: Transport) {
    this.transport = transport;
    transport.handler = this;
  }

  get ended(): boolean {
    return this.end !== undefined;
  }

  /** Resolves once `holds` does; looks again whenever something came. Fails if that takes too long. */
  async until(holds: () => boolean, what: string): Promise<void> {
    if (holds()) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const fail = (why: string) => reject(new assert.AssertionError({ message: `${why}: ${what}` }));
    const look = () => {
      if (holds()) resolve();
      else if (this.end) fail(`the session ended with ${this.end.code}, ${this.end.reason}, before`);
    };
    this.#waiters.add(look);
    const timer = setTimeout(() => fail("never"), patienceMs);
    if (this.end) look();
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(look);
    }
  }

  /** Opens a bidirectional stream with these bytes. */
  bidi(bytes: Uint8Array, fin = false): RawStream & RawOutput {
    let stream: BidiStream | undefined;
    const raw = Object.assign(
      new RawStream(),
      this.#output(() => stream?.send),
    );
    this.#write(
      () => {
        if (stream === undefined) {
          stream = this.transport.openBidi();
          if (stream) {
            raw.listen(stream.receive, this.#changed);
            stream.send.onStop = (code) => {
              raw.stopped = code;
              this.#changed();
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
  uni(bytes: Uint8Array, fin = false): RawStream & RawOutput {
    let stream: SendStream | undefined;
    const raw = Object.assign(
      new RawStream(),
      this.#output(() => stream),
    );
    this.#write(
      () => {
        stream ??= this.transport.openUni();
        if (stream)
          stream.onStop = (code) => {
            raw.stopped = code;
            this.#changed();
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
    raw.listen(stream, this.#changed);
    this.unis.push(raw);
    this.onOpened(raw, false);
  }

  onBidi(stream: BidiStream): void {
    const raw = Object.assign(new RawStream(), {
      answer: (bytes: Uint8Array, fin = false) => this.#write(() => stream.send, bytes, fin),
    });
    raw.listen(stream.receive, this.#changed);
    this.bidis.push(raw);
    this.onOpened(raw, true);
  }

  onPump(): void {
    while (this.#writes[0]?.()) this.#writes.shift();
  }

  onEnd(end: SessionEnd): void {
    this.end = end;
    this.#changed();
  }

  readonly #changed = (): void => {
    this.onChange();
    for (const look of [...this.#waiters]) look();
  };

  #output(streamOf: () => SendStream | undefined): RawOutput {
    return {
      more: (bytes, fin = false) => this.#write(streamOf, bytes, fin),
      // In turn with what was written before.
      giveUp: (code) => {
        this.#writes.push(() => {
          streamOf()?.reset(code);
          return true;
        });
        this.transport.wake();
      },
    };
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
    this.transport.wake();
  }
}
