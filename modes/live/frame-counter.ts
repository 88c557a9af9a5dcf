import { LiveProtocolError } from "#wire/live/error-code.ts";
import { FrameScanner, type FrameSink } from "#wire/live/frames.ts";
import type { StoredFrameClass } from "#wire/live/version.ts";

/** Counts the frames of a group, and the bytes in them, as its chunks come. Frames that make no sense count no more. */
export class FrameCounter implements FrameSink {
  frames = 0;
  /** Of payload, without the frames' headers. */
  bytes = 0;
  #scanner: FrameScanner | undefined;

  constructor(frameClass: StoredFrameClass) {
    this.#scanner = new FrameScanner(frameClass, Number.MAX_SAFE_INTEGER);
  }

  push(chunk: Uint8Array): void {
    try {
      this.#scanner?.push(chunk, this);
    } catch (error) {
      if (!(error instanceof LiveProtocolError)) throw error;
      this.#scanner = undefined;
    }
  }

  frame(): void {
    this.frames++;
  }

  payload(piece: Uint8Array): void {
    this.bytes += piece.length;
  }
}
