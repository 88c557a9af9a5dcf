import { Decoder } from "./decoder.ts";
import { LiveProtocolError, liveError } from "./error-code.ts";
import { encodeFrameHeader, unzigzag } from "./group.ts";
import { encodeObjectStart, encodeStampedObjectStart } from "./ietf/object.ts";
import { varintLength } from "./varint.ts";
import type { FrameClass, StoredFrameClass } from "./version.ts";

/** What the scanner finds, in order. Payload comes in as many pieces as the chunks have; none for an empty frame. */
export interface FrameSink {
  frame(size: number, timestampDelta: number): void;
  payload(piece: Uint8Array): void;
}

/** Finds the frames in the bytes of a group, however they are cut. */
export class FrameScanner {
  readonly #class: StoredFrameClass;
  readonly #frameMaxBytes: number;
  /** The header that is not whole yet. */
  #header = new Uint8Array(16);
  #headerLength = 0;
  #payloadLeft = 0;

  constructor(frameClass: StoredFrameClass, frameMaxBytes: number) {
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

/** What stands before the payload of a frame with this timestamp, `sinceLast` after the one before it. */
const headerOf: Record<FrameClass, (size: number, timestamp: number, sinceLast: number) => Uint8Array> = {
  A: (size) => encodeFrameHeader(size, undefined),
  B: (size, _timestamp, sinceLast) => encodeFrameHeader(size, sinceLast),
  C: (size) => encodeObjectStart(size),
  D: (size, timestamp) => encodeStampedObjectStart(size, Math.max(timestamp, 0)),
};

/**
 * Makes the bytes of a group in one class out of those in another, chunk by chunk; payloads are shared, not copied.
 *
 * Frames of class A have the time they arrived for a timestamp, in ms since the group's session epoch. `emit` gets a
 * frame's header (1 frame) and its payload (0) apart.
 */
export class FrameConverter implements FrameSink {
  readonly #scanner: FrameScanner;
  readonly #stamps: boolean;
  readonly #header: (typeof headerOf)[FrameClass];
  readonly #emit: (chunk: Uint8Array, frames: 0 | 1) => void;
  #arrivedMs = 0;
  #last = 0;

  constructor(
    from: StoredFrameClass,
    to: FrameClass,
    frameMaxBytes: number,
    emit: (chunk: Uint8Array, frames: 0 | 1) => void,
  ) {
    this.#scanner = new FrameScanner(from, frameMaxBytes);
    this.#stamps = from === "A";
    this.#header = headerOf[to];
    this.#emit = emit;
  }

  /** `arrivedMs` is a whole number that never goes back. */
  push(chunk: Uint8Array, arrivedMs: number): void {
    this.#arrivedMs = arrivedMs;
    this.#scanner.push(chunk, this);
  }

  frame(size: number, timestampDelta: number): void {
    const timestamp = this.#stamps ? this.#arrivedMs : this.#last + timestampDelta;
    this.#emit(this.#header(size, timestamp, timestamp - this.#last), 1);
    this.#last = timestamp;
  }

  payload(piece: Uint8Array): void {
    this.#emit(piece, 0);
  }
}
