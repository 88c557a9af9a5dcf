import { concatBytes } from "#core/bytes.ts";
import type { Decoder } from "../decoder.ts";
import { writeVarint } from "../varint.ts";
import type { Draft } from "./draft.ts";
import { IetfProtocolError } from "./error.ts";
import { decoderOf, encoderOf, integerLength, writeOnes } from "./integers.ts";

/** Types of data streams, beside those of subgroups. */
export const streamType = { fetchHeader: 0x05, padding: 0x132b3e28 } as const;

/** Bits of a subgroup's type. */
const bit = {
  properties: 0x01,
  /** The subgroup's id is that of its first object. */
  idOfFirst: 0x02,
  id: 0x04,
  endOfGroup: 0x08,
  subgroup: 0x10,
  noPriority: 0x20,
  firstObject: 0x40,
} as const;

/** What a subgroup stream begins with. */
export interface SubgroupHeader {
  /** Of the track; may be beyond 2^53. */
  alias: bigint;
  group: number;
  /** `undefined`: the id of the first object. */
  subgroup: number | undefined;
  /** Whether each object has properties. */
  properties: boolean;
  /** The stream begins with the group's first object, or does not say. */
  fromStart: boolean;
}

/** Whether a stream of this type is a subgroup's. */
export function isSubgroupType(type: number, draft: Draft): boolean {
  const rest = draft.firstObjectBit ? type & ~bit.firstObject : type;
  // Both bits of the subgroup's id together mean nothing.
  return type < 0x80 && (rest & ~0x2f) === bit.subgroup && (rest & 0x06) !== 0x06;
}

/** The header behind `type`; `undefined` while it is not whole, else with how many bytes it took. */
export function decodeSubgroupHeader(
  type: number,
  bytes: Uint8Array,
  draft: Draft,
): { header: SubgroupHeader; length: number } | undefined {
  const fields = 2 + (type & bit.id ? 1 : 0);
  const priorityBytes = type & bit.noPriority ? 0 : 1;
  const end = integersEnd(bytes, 0, fields, draft);
  if (end === undefined || end + priorityBytes > bytes.length) return undefined;
  const from = decoderOf(bytes.subarray(0, end), draft);
  const header: SubgroupHeader = {
    alias: from.bigVarint(),
    group: from.varint(),
    subgroup: type & bit.id ? from.varint() : type & bit.idOfFirst ? undefined : 0,
    properties: (type & bit.properties) !== 0,
    fromStart: !draft.firstObjectBit || (type & bit.firstObject) !== 0,
  };
  return { header, length: end + priorityBytes };
}

/** Where `count` integers end that begin at `at`; `undefined` while they are not whole. */
function integersEnd(bytes: Uint8Array, at: number, count: number, draft: Draft): number | undefined {
  let end = at;
  for (let left = count; left > 0; left--) {
    const first = bytes[end];
    if (first === undefined) return undefined;
    end += integerLength(first, draft);
  }
  return end > bytes.length ? undefined : end;
}

/** The start of a stream for one group: subgroup 0, from its first object to its last. */
export const encodeSubgroupHeader = (
  alias: number,
  group: number,
  priority: number,
  properties: boolean,
  fromStart: boolean,
  draft: Draft,
): Uint8Array =>
  encoderOf(draft)
    .u8(bit.subgroup | bit.endOfGroup | (properties ? bit.properties : 0) | (fromStart ? bit.firstObject : 0))
    .varint(alias)
    .varint(group)
    .u8(priority)
    .finish();

/** Property of an object: its timestamp, in the track's timescale. */
const timestampProperty = 0x10;
/** The same in an older draft of the registry. */
const timestampPropertyOld = 0x06;
const normal = 0;

/** What stands before an object's payload in class C: the next id, the size, and for an empty one that it is normal. */
export function encodeObjectStart(size: number): Uint8Array {
  if (size === 0) return Uint8Array.of(0, 0, normal);
  const bytes = new Uint8Array(9);
  return bytes.subarray(0, writeVarint(bytes, 1, size));
}

/** The same in class D, with a timestamp, in integers of draft 17 and later. */
export function encodeStampedObjectStart(size: number, timestamp: number): Uint8Array {
  const bytes = new Uint8Array(21);
  bytes[2] = timestampProperty;
  const propertiesEnd = writeOnes(bytes, 3, timestamp);
  bytes[1] = propertiesEnd - 2;
  const end = writeOnes(bytes, propertiesEnd, size);
  // An empty object says that it is normal: a zero more.
  return bytes.subarray(0, size === 0 ? end + 1 : end);
}

/** The timestamp among an object's properties, if there is one. */
export function decodeTimestamp(properties: Uint8Array, draft: Draft): number | undefined {
  const from = decoderOf(properties, draft);
  let timestamp: number | undefined;
  for (let type = 0n; from.left > 0; ) {
    type = draft.deltaTypes ? type + from.bigVarint() : from.bigVarint();
    if (type % 2n === 1n) from.bytes();
    else {
      const value = from.bigVarint();
      if (type === BigInt(timestampProperty) || type === BigInt(timestampPropertyOld))
        timestamp = Number(value);
    }
  }
  return timestamp;
}

/** What the scanner finds, in order. Payload comes in as many pieces as the chunks have; none for an empty object. */
export interface ObjectSink {
  object(id: number, size: number, properties: Uint8Array | undefined): void;
  payload(piece: Uint8Array): void;
  /** The group ends here. */
  endOfGroup(): void;
}

const status = { normal: 0, doesNotExist: 1, endOfGroup: 3, endOfTrack: 4 } as const;

/** Most bytes of an object before its payload. */
const headMaxBytes = 16_384;

/** Finds the objects in the bytes of a subgroup stream, however they are cut. */
export class ObjectScanner {
  readonly #draft: Draft;
  readonly #properties: boolean;
  readonly #objectMaxBytes: number;
  readonly #from: Decoder;
  /** What came of the next object's head. */
  #head: Uint8Array = new Uint8Array(0);
  #payloadLeft = 0;
  #lastId = -1;

  constructor(draft: Draft, properties: boolean, objectMaxBytes: number) {
    this.#draft = draft;
    this.#properties = properties;
    this.#objectMaxBytes = objectMaxBytes;
    this.#from = decoderOf(this.#head, draft);
  }

  /** Between two objects: the stream may end here. */
  get whole(): boolean {
    return this.#payloadLeft === 0 && this.#head.length === 0;
  }

  push(chunk: Uint8Array, sink: ObjectSink): void {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#payloadLeft > 0) {
        const piece = rest.subarray(0, this.#payloadLeft);
        this.#payloadLeft -= piece.length;
        rest = rest.subarray(piece.length);
        sink.payload(piece);
        continue;
      }
      const before = this.#head.length;
      const head = before === 0 ? rest : concatBytes(this.#head, rest);
      const used = this.#tryHead(head, sink);
      if (used === undefined) {
        if (head.length > headMaxBytes) throw new IetfProtocolError("an object's properties are too long");
        this.#head = head;
        return;
      }
      this.#head = new Uint8Array(0);
      rest = rest.subarray(used - before);
    }
  }

  /** Bytes of the head, where it is whole. */
  #tryHead(bytes: Uint8Array, sink: ObjectSink): number | undefined {
    const draft = this.#draft;
    let at = integersEnd(bytes, 0, 1, draft);
    let properties: Uint8Array | undefined;
    if (at !== undefined && this.#properties) {
      const end = integersEnd(bytes, at, 1, draft);
      if (end === undefined) return undefined;
      const length = this.#read(bytes, at);
      if (length > headMaxBytes) throw new IetfProtocolError("an object's properties are too long");
      if (end + length > bytes.length) return undefined;
      properties = bytes.subarray(end, end + length);
      at = end + length;
    }
    const sizeEnd = at === undefined ? undefined : integersEnd(bytes, at, 1, draft);
    if (at === undefined || sizeEnd === undefined) return undefined;
    const size = this.#read(bytes, at);
    const end = size > 0 ? sizeEnd : integersEnd(bytes, sizeEnd, 1, draft);
    if (end === undefined) return undefined;
    if (size > this.#objectMaxBytes) throw new IetfProtocolError("an object is too large");
    this.#lastId += 1 + this.#read(bytes, 0);
    if (size > 0) this.#begin(size, properties, sink);
    else this.#takeStatus(this.#read(bytes, sizeEnd), properties, sink);
    return end;
  }

  #takeStatus(value: number, properties: Uint8Array | undefined, sink: ObjectSink): void {
    if (value === status.normal) this.#begin(0, properties, sink);
    else if (value === status.endOfGroup || value === status.endOfTrack) sink.endOfGroup();
    else if (value !== status.doesNotExist) throw new IetfProtocolError("an unknown object status");
  }

  #begin(size: number, properties: Uint8Array | undefined, sink: ObjectSink): void {
    this.#payloadLeft = size;
    sink.object(this.#lastId, size, properties);
  }

  #read(bytes: Uint8Array, at: number): number {
    this.#from.reset(bytes.subarray(at));
    return this.#from.varint();
  }
}

/** The properties of an object that has a timestamp and no other. */
export const timestampProperties = (timestamp: number, draft: Draft): Uint8Array =>
  encoderOf(draft).varint(timestampProperty).varint(timestamp).finish();
