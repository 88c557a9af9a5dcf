import { concatBytes } from "#core/bytes.ts";
import { LiveProtocolError, liveError } from "#wire/live/error-code.ts";
import { encodeFrameHeader } from "#wire/live/group.ts";
import type { Draft } from "#wire/live/ietf/draft.ts";
import { codeOfReset, resetCodeOf } from "#wire/live/ietf/error.ts";
import {
  decodeSubgroupHeader,
  decodeTimestamp,
  ObjectScanner,
  type ObjectSink,
  type SubgroupHeader,
} from "#wire/live/ietf/object.ts";
import type { ReceiveStream } from "#wire/live/transport.ts";
import type { Group } from "../group.ts";
import type { SessionContext } from "../session-context.ts";
import type { TrackSink } from "../track.ts";

/** Where the objects of an alias go. */
export interface SubgroupTarget {
  readonly sink: TrackSink;
  /** Ticks a second of the objects' timestamps; `undefined`: they mean nothing, and frames get the time they arrive. */
  readonly timescale: number | undefined;
  /** A group begins; `undefined`: it is not wanted. */
  openGroup(sequence: number): Group | undefined;
}

/** Longest header of a subgroup. */
const headerMaxBytes = 64;

/**
 * A subgroup stream on its way in. Of a group's subgroups only the first is taken, from its first object on: frames of
 * moq-lite have no numbers, and a group is decoded from its start.
 */
export class IncomingSubgroup implements ObjectSink {
  readonly #session: SessionContext;
  readonly #draft: Draft;
  readonly #stream: ReceiveStream;
  readonly #type: number;
  readonly #onHeader: (subgroup: IncomingSubgroup, alias: bigint) => void;
  readonly #onOver: () => void;
  #header: SubgroupHeader | undefined;
  #target: SubgroupTarget | undefined;
  #group: Group | undefined;
  #scanner: ObjectScanner | undefined;
  /** What came and cannot be read yet. */
  #waiting: Uint8Array;
  #ended: "complete" | number | undefined;
  #over = false;
  #timestamp = 0;

  /** The stream's type was read already, `rest` is what followed. `onHeader` gives it to `deliver` or to `refuse`. */
  constructor(
    session: SessionContext,
    draft: Draft,
    stream: ReceiveStream,
    type: number,
    rest: Uint8Array,
    onHeader: (subgroup: IncomingSubgroup, alias: bigint) => void,
    onOver: () => void,
  ) {
    this.#session = session;
    this.#draft = draft;
    this.#stream = stream;
    this.#type = type;
    this.#waiting = rest;
    this.#onHeader = onHeader;
    this.#onOver = onOver;
    stream.onData = (chunk, fin) => this.#guard(() => this.onData(chunk, fin));
    stream.onReset = (code) => this.#end(codeOfReset(code));
  }

  onData(chunk: Uint8Array, fin: boolean): void {
    if (fin) this.#ended = "complete";
    if (this.#scanner !== undefined) {
      this.#scan(chunk);
      return;
    }
    this.#waiting = this.#waiting.length === 0 ? chunk : concatBytes(this.#waiting, chunk);
    if (this.#header === undefined) this.#tryHeader();
    // While nobody knows the alias, little is kept.
    else if (this.#waiting.length > this.#session.controlMaxBytes) this.refuse(liveError.bounds);
  }

  /** Its objects go to `target`. */
  deliver(target: SubgroupTarget): void {
    const { group, properties } = this.#header!;
    this.#target = target;
    this.#group = target.openGroup(group);
    if (this.#group === undefined) {
      this.refuse(liveError.cancel);
      return;
    }
    this.#session.metrics.groupsIn++;
    this.#scanner = new ObjectScanner(this.#draft, properties, this.#session.limits.groupMaxBytes);
    const waiting = this.#waiting;
    this.#waiting = new Uint8Array(0);
    this.#guard(() => this.#scan(waiting));
  }

  /** Nobody wants it. */
  refuse(code: number): void {
    if (this.#over) return;
    if (this.#group !== undefined) this.#target!.sink.endGroup(this.#group, code);
    this.#stream.stop(resetCodeOf(code));
    this.#leave();
  }

  /** The session went away. */
  lost(): void {
    this.#end(liveError.dropped);
  }

  object(id: number, size: number, properties: Uint8Array | undefined): void {
    // The first object has to be the group's first.
    if (id > 0 && this.#group!.bytes === 0) {
      this.refuse(liveError.cancel);
      return;
    }
    const timestamp = this.#timestampOf(properties);
    this.#append(encodeFrameHeader(size, timestamp - this.#timestamp));
    this.#timestamp = timestamp;
  }

  payload(piece: Uint8Array): void {
    this.#append(piece);
  }

  endOfGroup(): void {
    this.#ended = "complete";
  }

  /** Without a timestamp of its own a frame is as old as the one before it. */
  #timestampOf(properties: Uint8Array | undefined): number {
    if (this.#target!.timescale === undefined) return Math.max(this.#session.clock.now(), this.#timestamp);
    return (properties && decodeTimestamp(properties, this.#draft)) ?? this.#timestamp;
  }

  #tryHeader(): void {
    const read = decodeSubgroupHeader(this.#type, this.#waiting, this.#draft);
    if (read === undefined) {
      if (this.#waiting.length > headerMaxBytes || this.#ended !== undefined) this.refuse(liveError.decode);
      return;
    }
    this.#header = read.header;
    this.#waiting = this.#waiting.subarray(read.length);
    const { subgroup, fromStart, alias } = read.header;
    if ((subgroup !== undefined && subgroup !== 0) || !fromStart) this.refuse(liveError.cancel);
    else this.#onHeader(this, alias);
  }

  #scan(chunk: Uint8Array): void {
    this.#scanner!.push(chunk, this);
    if (this.#ended === "complete" && !this.#over) {
      this.#end(this.#scanner!.whole ? "complete" : liveError.decode);
    }
  }

  #append(chunk: Uint8Array): void {
    if (this.#over) return;
    this.#session.metrics.bytesIn += chunk.length;
    if (!this.#target!.sink.append(this.#group!, chunk)) this.refuse(liveError.frameTooLarge);
  }

  #end(state: "complete" | number): void {
    if (this.#over) return;
    if (this.#group !== undefined) {
      this.#target!.sink.endGroup(this.#group, state);
      this.#leave();
    } else if (state !== "complete") {
      this.#leave();
    }
  }

  #leave(): void {
    this.#over = true;
    this.#waiting = new Uint8Array(0);
    this.#onOver();
  }

  #guard(use: () => void): void {
    try {
      use();
    } catch (error) {
      if (!(error instanceof LiveProtocolError)) throw error;
      this.#session.fail(error);
    }
  }
}
