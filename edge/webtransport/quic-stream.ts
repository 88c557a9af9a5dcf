import type { QUICStream } from "@matrixai/quic";

/** Bytes taken from a session and not yet from us by QUIC, for one stream. */
const pendingMaxBytes = 65_536;

/** A sending half over the binding's web stream: one write at a time, what gathers meanwhile goes as one. */
export class QuicSend {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #onRoom: () => void;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #writing = false;
  #fin = false;
  done = false;
  onStop: ((h3Code: number) => void) | undefined;

  constructor(stream: QUICStream, onRoom: () => void) {
    this.#writer = (stream.writable as WritableStream<Uint8Array>).getWriter();
    this.#onRoom = onRoom;
    this.#writer.closed.catch((reason: unknown) => {
      if (this.done) return;
      this.done = true;
      this.onStop?.(typeof reason === "number" ? reason : 0);
    });
  }

  write(chunk: Uint8Array, from: number, fin: boolean): number {
    if (this.done) return 0;
    const taken = Math.min(chunk.length - from, pendingMaxBytes - this.#pendingBytes);
    if (taken > 0) {
      this.#pending.push(chunk.slice(from, from + taken));
      this.#pendingBytes += taken;
    }
    if (fin && from + taken === chunk.length) {
      this.#fin = true;
      this.done = true;
    }
    void this.#flush();
    return taken;
  }

  /** `h3Code` as it goes on the wire. */
  reset(h3Code: number): void {
    if (this.done && !this.#fin) return;
    this.done = true;
    this.#pending = [];
    this.#writer.abort(h3Code).catch(() => {});
  }

  async #flush(): Promise<void> {
    if (this.#writing) return;
    this.#writing = true;
    try {
      while (this.#pending.length > 0) {
        const gathered = this.#pending.length === 1 ? this.#pending[0]! : Buffer.concat(this.#pending);
        this.#pending = [];
        await this.#writer.write(gathered);
        this.#pendingBytes -= gathered.length;
        this.#onRoom();
      }
      if (this.#fin) await this.#writer.close();
    } catch {
      // The stream is over; `closed` has told why.
    } finally {
      this.#writing = false;
    }
  }
}

/** A receiving half: reads as long as there is something, and calls back. */
export class QuicReceive {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #over = false;
  onData: ((chunk: Uint8Array, fin: boolean) => void) | undefined;
  onReset: ((h3Code: number) => void) | undefined;

  constructor(stream: QUICStream) {
    this.#reader = (stream.readable as ReadableStream<Uint8Array>).getReader();
  }

  /** Begins to read; callbacks are set by then. */
  async start(): Promise<void> {
    try {
      for (;;) {
        const { value, done } = await this.#reader.read();
        if (this.#over) return;
        if (done) break;
        this.onData?.(value, false);
      }
      this.#over = true;
      this.onData?.(nothing, true);
    } catch (reason) {
      if (this.#over) return;
      this.#over = true;
      this.onReset?.(typeof reason === "number" ? reason : 0);
    }
  }

  stop(h3Code: number): void {
    this.#over = true;
    this.#reader.cancel(h3Code).catch(() => {});
  }
}

const nothing = new Uint8Array(0);
