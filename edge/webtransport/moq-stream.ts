import { joinBytes } from "#core/bytes.ts";
import type { ReceiveStream, SendStream } from "#wire/live/transport.ts";
import type { NativeReceive, NativeSend } from "./moq-binding.ts";

/** Bytes taken from a session and not yet from us by QUIC, for one stream. */
const pendingMaxBytes = 65_536;
const readMaxBytes = 65_536;

/** A sending half: one write at a time, what gathers meanwhile goes as one. */
export class MoqSend implements SendStream {
  readonly #stream: Promise<NativeSend>;
  readonly #onRoom: () => void;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #flushing = false;
  #refused = false;
  #fin = false;
  #resetCode: number | undefined;
  done = false;
  onStop: ((code: number) => void) | undefined;

  /** `onRoom` is called when it takes bytes again after it took less than it was offered. */
  constructor(stream: Promise<NativeSend>, onRoom: () => void) {
    this.#stream = stream;
    this.#onRoom = onRoom;
    // Where nothing is written any more nobody asks whether it opened.
    stream.catch(() => {});
  }

  write(chunk: Uint8Array, from: number, fin: boolean): number {
    if (this.done) return 0;
    const taken = Math.min(chunk.length - from, pendingMaxBytes - this.#pendingBytes);
    if (taken > 0) {
      this.#pending.push(chunk.slice(from, from + taken));
      this.#pendingBytes += taken;
    }
    if (from + taken < chunk.length) this.#refused = true;
    else if (fin) {
      this.#fin = true;
      this.done = true;
    }
    void this.#flush();
    return taken;
  }

  reset(code: number): void {
    if (this.done && !this.#fin) return;
    this.done = true;
    this.#resetCode = code;
    this.#pending = [];
    void this.#flush();
  }

  async #flush(): Promise<void> {
    if (this.#flushing) return;
    this.#flushing = true;
    try {
      const stream = await this.#stream;
      while (this.#pending.length > 0) {
        const gathered = this.#pending.length === 1 ? this.#pending[0]! : joinBytes(this.#pending);
        this.#pending = [];
        await stream.write(Buffer.from(gathered.buffer, gathered.byteOffset, gathered.length));
        this.#pendingBytes -= gathered.length;
        if (this.#refused) {
          this.#refused = false;
          this.#onRoom();
        }
      }
      if (this.#resetCode !== undefined) await stream.reset(this.#resetCode);
      else if (this.#fin) await stream.finish();
    } catch (error) {
      const code = this.done ? undefined : codeIn(error);
      this.done = true;
      this.#pending = [];
      if (code !== undefined) this.onStop?.(code);
    } finally {
      this.#flushing = false;
    }
  }
}

/** A receiving half: reads as long as there is something, and calls back. */
export class MoqReceive implements ReceiveStream {
  readonly #stream: NativeReceive;
  #over = false;
  onData: ((chunk: Uint8Array, fin: boolean) => void) | undefined;
  onReset: ((code: number) => void) | undefined;

  constructor(stream: NativeReceive) {
    this.#stream = stream;
  }

  /** Begins to read; callbacks are set by then. */
  async start(): Promise<void> {
    while (!this.#over) {
      const chunk = await this.#stream.read(readMaxBytes).catch((error: unknown) => codeIn(error));
      if (this.#over) return;
      if (chunk instanceof Uint8Array) {
        this.onData?.(chunk, false);
        continue;
      }
      this.#over = true;
      if (chunk === null) this.onData?.(nothing, true);
      else if (chunk !== undefined) this.onReset?.(chunk);
    }
  }

  /** Goes out after what is being read: the binding does one thing at a time. */
  stop(code: number): void {
    this.#over = true;
    this.#stream.stop(code).catch(() => {});
  }
}

const nothing = new Uint8Array(0);

/** The binding tells codes in words alone: "RESET_STREAM: 42". Undefined where the whole session went. */
function codeIn(error: unknown): number | undefined {
  const told =
    error instanceof Error ? /(?:RESET_STREAM|STOP_SENDING): (\d+)/.exec(error.message)?.[1] : undefined;
  return told === undefined ? undefined : Number(told);
}
