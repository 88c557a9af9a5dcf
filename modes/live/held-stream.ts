import type { ReceiveStream } from "#wire/live/transport.ts";

/** A stream that nobody can read yet: keeps what comes until somebody can. */
export class HeldStream {
  readonly #stream: ReceiveStream;
  #chunks: Uint8Array[] = [];
  #fin = false;
  #resetWith: number | undefined;

  /** `onHeld` hears how many bytes more are kept. */
  constructor(stream: ReceiveStream, onHeld: (bytes: number) => void) {
    this.#stream = stream;
    stream.onData = (chunk, fin) => {
      this.#chunks.push(chunk);
      this.#fin = fin;
      onHeld(chunk.length);
    };
    stream.onReset = (code) => {
      this.#resetWith = code;
    };
  }

  /** `take` sets the stream's callbacks, which hear then what was kept. */
  hand(take: (stream: ReceiveStream) => void): void {
    const stream = this.#stream;
    stream.onData = undefined;
    stream.onReset = undefined;
    take(stream);
    const chunks = this.#chunks;
    this.#chunks = [];
    chunks.forEach((chunk, at) => {
      heard(stream).onData?.(chunk, this.#fin && at === chunks.length - 1);
    });
    if (this.#resetWith !== undefined) heard(stream).onReset?.(this.#resetWith);
  }
}

/** The callbacks as they are by now, which a type checker that saw them unset does not know. */
const heard = (stream: ReceiveStream): ReceiveStream => stream;
