import { LiveProtocolError, liveError } from "#wire/live/error-code.ts";
import { FrameConverter } from "#wire/live/frames.ts";
import type { FrameClass, StoredFrameClass } from "#wire/live/version.ts";
import { FrameCounter } from "./frame-counter.ts";

/** One who reads a body as it grows. Called whenever there is more: bytes, the end, or a reset. */
export interface BodyReader {
  onMore(added: number): void;
}

/**
 * The bytes of a group in one frame class: a list of buffers that all subscribers share and none changes.
 *
 * `state` is `open` until the publisher ended the group; a number is the code it was reset with.
 */
export class GroupBody {
  readonly chunks: Uint8Array[] = [];
  /** How many frames begin in each chunk, and how many bytes of it are payload. */
  readonly chunkFrames: number[] = [];
  readonly chunkPayload: number[] = [];
  bytes = 0;
  state: "open" | "complete" | number = "open";
  readonly #readers: BodyReader[] = [];
  readonly #onUnread: () => void;

  /** `onUnread` is called when the last reader has gone. */
  constructor(onUnread: () => void) {
    this.#onUnread = onUnread;
  }

  get read(): boolean {
    return this.#readers.length > 0;
  }

  append(chunk: Uint8Array, frames: number, payload: number): void {
    this.chunks.push(chunk);
    this.chunkFrames.push(frames);
    this.chunkPayload.push(payload);
    this.bytes += chunk.length;
    for (const reader of this.#readers) reader.onMore(chunk.length);
  }

  end(state: "complete" | number): void {
    if (this.state !== "open") return;
    this.state = state;
    for (const reader of [...this.#readers]) reader.onMore(0);
  }

  /** Lets go of the bytes: whoever has not read them yet sees a reset, and for the last time what it misses. */
  evict(code: number): void {
    this.state = code;
    for (const reader of [...this.#readers]) reader.onMore(0);
    this.chunks.length = 0;
    this.chunkFrames.length = 0;
    this.chunkPayload.length = 0;
  }

  add(reader: BodyReader): void {
    this.#readers.push(reader);
  }

  remove(reader: BodyReader): void {
    const at = this.#readers.indexOf(reader);
    if (at < 0) return;
    this.#readers[at] = this.#readers[this.#readers.length - 1]!;
    this.#readers.pop();
    if (this.#readers.length === 0) this.#onUnread();
  }
}

/** A chunk that is a small part of its slab is copied, so that a few bytes do not keep 64 KiB alive. */
const slabShare = 4;

/** What a group and each of its chunks take beside their bytes, roughly: many small ones are not free. */
const groupOverheadBytes = 512;
const chunkOverheadBytes = 96;

/** The group in a class that is not its own. */
interface Conversion {
  readonly frameClass: FrameClass;
  readonly body: GroupBody;
  readonly converter: FrameConverter;
}

/** A numbered series of frames, as its publisher sends it, and converted for whoever speaks another class. */
export class Group {
  readonly sequence: number;
  /** When its first bytes came, in ms. */
  readonly openedAt: number;
  readonly #own: StoredFrameClass;
  readonly #frameMaxBytes: number;
  readonly #body = new GroupBody(() => this.#becameIdle());
  readonly #counter: FrameCounter;
  /** When each chunk came: the timestamps of frames that have none. */
  readonly #arrivedAt: number[] = [];
  #conversions: Conversion[] | undefined;
  #weightBytes = groupOverheadBytes;
  #evicted = false;

  constructor(sequence: number, frameClass: StoredFrameClass, openedAt: number, frameMaxBytes: number) {
    this.sequence = sequence;
    this.openedAt = openedAt;
    this.#own = frameClass;
    this.#counter = new FrameCounter(frameClass);
    this.#frameMaxBytes = frameMaxBytes;
  }

  /** When a newer group took its place as the latest. */
  supersededAt: number | undefined;

  /** Called when nobody writes or reads it any more. */
  onIdle: () => void = () => {};

  /** Called when it has come to take so many bytes of memory more: the publisher's, or those of a conversion. */
  onGrown: (bytes: number) => void = () => {};

  /** Payload and frame headers. */
  get bytes(): number {
    return this.#body.bytes;
  }

  /** Frames so far, and the bytes in them without their headers. */
  get frames(): number {
    return this.#counter.frames;
  }

  get payloadBytes(): number {
    return this.#counter.bytes;
  }

  /** Memory it takes, nearly. */
  get weightBytes(): number {
    return this.#weightBytes;
  }

  /** Nobody writes or reads it. */
  get idle(): boolean {
    if (this.#body.state === "open" || this.#body.read) return false;
    return !this.#conversions?.some(({ body }) => body.read);
  }

  /** Its bytes were let go of. */
  get evicted(): boolean {
    return this.#evicted;
  }

  get state(): GroupBody["state"] {
    return this.#body.state;
  }

  append(chunk: Uint8Array, now: number): void {
    if (this.#body.state !== "open" || chunk.length === 0) return;
    const kept = chunk.length * slabShare < chunk.buffer.byteLength ? chunk.slice() : chunk;
    const arrivedAt = Math.max(now, this.#arrivedAt[this.#arrivedAt.length - 1] ?? 0);
    if (this.#own === "A") this.#arrivedAt.push(arrivedAt);
    const { frames, bytes } = this.#counter;
    this.#counter.push(kept);
    this.#body.append(kept, this.#counter.frames - frames, this.#counter.bytes - bytes);
    let grown = kept.length + chunkOverheadBytes;
    if (this.#conversions !== undefined)
      for (const to of this.#conversions) grown += push(to, kept, arrivedAt);
    this.#grow(grown);
  }

  end(state: "complete" | number): void {
    this.#body.end(state);
    if (this.#conversions !== undefined) for (const { body } of this.#conversions) body.end(state);
    this.#becameIdle();
  }

  /** There is no memory for it any more. */
  evict(): void {
    this.#evicted = true;
    this.#body.evict(liveError.evicted);
    if (this.#conversions !== undefined)
      for (const { body } of this.#conversions) body.evict(liveError.evicted);
  }

  /** The group in `frameClass`; converted on first use, once for everybody. */
  body(frameClass: FrameClass): GroupBody {
    return frameClass === this.#own ? this.#body : this.#in(frameClass).body;
  }

  #in(frameClass: FrameClass): Conversion {
    const known = this.#conversions?.find((conversion) => conversion.frameClass === frameClass);
    if (known !== undefined) return known;
    const conversion = this.#convert(frameClass);
    this.#conversions = [...(this.#conversions ?? []), conversion];
    this.#grow(conversion.body.chunks.length * chunkOverheadBytes);
    return conversion;
  }

  #grow(bytes: number): void {
    this.#weightBytes += bytes;
    this.onGrown(bytes);
  }

  #becameIdle(): void {
    if (this.idle) this.onIdle();
  }

  #convert(frameClass: FrameClass): Conversion {
    const body = new GroupBody(() => this.#becameIdle());
    const converter = new FrameConverter(this.#own, frameClass, this.#frameMaxBytes, (chunk, frames) =>
      body.append(chunk, frames, frames === 0 ? chunk.length : 0),
    );
    const conversion = { frameClass, body, converter };
    this.#body.chunks.forEach((chunk, at) => {
      push(conversion, chunk, this.#arrivedAt[at] ?? this.openedAt);
    });
    if (this.#body.state !== "open") body.end(this.#body.state);
    return conversion;
  }
}

/**
 * Frames that make no sense end the group for those who need them converted; the others get them as they are.
 * Answers by how much the conversion's weight has grown: it shares the payload.
 */
function push(to: Conversion, chunk: Uint8Array, arrivedAt: number): number {
  if (to.body.state !== "open") return 0;
  const before = to.body.chunks.length;
  try {
    to.converter.push(chunk, arrivedAt);
  } catch (error) {
    if (!(error instanceof LiveProtocolError)) throw error;
    to.body.end(error.code);
  }
  return (to.body.chunks.length - before) * chunkOverheadBytes;
}
