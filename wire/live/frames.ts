import { Decoder } from "./decoder.ts";
import { LiveProtocolError, liveError } from "./error-code.ts";
import { encodeFrameHeader, unzigzag } from "./group.ts";
import { varintLength } from "./varint.ts";
import type { FrameClass } from "./version.ts";

/** What the scanner finds, in order. Payload comes in as many pieces as the chunks have; none for an empty frame. */
export interface FrameSink {
  frame(size: number, timestampDelta: number): void;
  payload(piece: Uint8Array): void;
}

/** Finds the frames in the bytes of a group, however they are cut. */
export class FrameScanner {
  readonly #class: FrameClass;
  readonly #frameMaxBytes: number;
  /** The header that is not whole yet. */
  #header = new Uint8Array(16);
  #headerLength = 0;
  #payloadLeft = 0;

  constructor(frameClass: FrameClass, frameMaxBytes: number) {
    this.#class = frameClass;
    this.#frameMaxBytes = frameMaxBytes;
  }

  /** Between two frames: a group may end here. */
  get whole(): boolean {
    return this.#headerLength === 0 && this.#payloadLeft === 0;
  }

  push(chunk: Uint8Array, sink: FrameSink): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#payloadLeft > 0) {
        const piece = chunk.subarray(at, at + this.#payloadLeft);
        this.#payloadLeft -= piece.length;
        at += piece.length;
        sink.payload(piece);
        continue;
      }
      this.#header[this.#headerLength++] = chunk[at++]!;
      this.#tryHeader(sink);
    }
  }

  #tryHeader(sink: FrameSink): void {
    const bytes = this.#header.subarray(0, this.#headerLength);
    const first = varintLength(bytes[0]!);
    if (this.#class === "A") {
      if (bytes.length === first) this.#begin(new Decoder(bytes).varint(), 0, sink);
      return;
    }
    if (bytes.length <= first || bytes.length < first + varintLength(bytes[first]!)) return;
    const from = new Decoder(bytes);
    // Clocks that count nanoseconds are beyond 2^53: their frames pass, if not to the last tick.
    const delta = unzigzag(Number(from.bigVarint()));
    this.#begin(from.varint(), delta, sink);
  }

  #begin(size: number, timestampDelta: number, sink: FrameSink): void {
    if (size > this.#frameMaxBytes) {
      throw new LiveProtocolError("a frame is too large", liveError.frameTooLarge);
    }
    this.#headerLength = 0;
    this.#payloadLeft = size;
    sink.frame(size, timestampDelta);
  }
}

/**
 * Makes the bytes of a group in one class out of those in the other, chunk by chunk; payloads are shared, not copied.
 *
 * From A to B each frame gets the time it arrived, in ms since the group's session epoch; from B to A the timestamp
 * is left out.
 */
export class FrameConverter implements FrameSink {
  readonly #scanner: FrameScanner;
  readonly #toB: boolean;
  readonly #emit: (chunk: Uint8Array) => void;
  #arrivedMs = 0;
  #lastMs = 0;

  constructor(from: FrameClass, frameMaxBytes: number, emit: (chunk: Uint8Array) => void) {
    this.#scanner = new FrameScanner(from, frameMaxBytes);
    this.#toB = from === "A";
    this.#emit = emit;
  }

  /** `arrivedMs` is a whole number that never goes back. */
  push(chunk: Uint8Array, arrivedMs: number): void {
    this.#arrivedMs = arrivedMs;
    this.#scanner.push(chunk, this);
  }

  frame(size: number): void {
    if (!this.#toB) {
      this.#emit(encodeFrameHeader(size, undefined));
      return;
    }
    this.#emit(encodeFrameHeader(size, this.#arrivedMs - this.#lastMs));
    this.#lastMs = this.#arrivedMs;
  }

  payload(piece: Uint8Array): void {
    this.#emit(piece);
  }
}
