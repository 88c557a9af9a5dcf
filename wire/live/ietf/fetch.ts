import type { Decoder } from "../decoder.ts";
import type { Draft } from "./draft.ts";
import { IetfProtocolError } from "./error.ts";
import { decodeFilter, type Filter } from "./filter.ts";
import { decoderOf, encoderOf } from "./integers.ts";
import { encodeControl, messageType } from "./message.ts";
import { decodeNamespace, decodeTrackName, type Name } from "./namespace.ts";
import { streamType, timestampProperties } from "./object.ts";
import {
  decodeLocation,
  decodeParameters,
  encodeLocation,
  encodeParameters,
  type Location,
  orderOf,
} from "./parameters.ts";
import { decodeRequestId, encodeAnsweredId } from "./request.ts";
import { encodeTrackProperties, type TrackProperties } from "./track-properties.ts";

/** What a FETCH wants of what was published already. */
export type FetchRange =
  /** From `start` to before `end`; an `end` whose object is 0 means that whole group. */
  | { kind: "standalone"; namespace: Name; track: Name; start: Location; end: Location }
  /** Up to where a subscription began; `start` is a group, or so many groups before that one. */
  | { kind: "joining"; subscription: number; relative: boolean; start: number }
  /** What passes a filter; `undefined`: all there is. */
  | { kind: "filtered"; namespace: Name; track: Name; filter: Filter | undefined };

export interface Fetch {
  id: number;
  /** Newest group first. */
  descending: boolean;
  range: FetchRange;
}

const fetchType = { standalone: 1, relativeJoining: 2, absoluteJoining: 3 } as const;
const descendingOrder = 2;

export function decodeFetch(body: Uint8Array, draft: Draft): Fetch {
  const from = decoderOf(body, draft);
  const id = decodeRequestId(from, draft);
  let order: number | undefined;
  if (draft.fixedFields) {
    from.u8(); // priority
    order = orderOf(from.u8());
  }
  const names = draft.fetchFilter
    ? { namespace: decodeNamespace(from), track: decodeTrackName(from) }
    : undefined;
  const typed = names === undefined ? decodeTypedRange(from) : undefined;
  const { groupOrder, filter } = decodeParameters(from, draft);
  from.end();
  const range = typed ?? {
    kind: "filtered",
    ...names!,
    filter: filter === undefined || filter.length === 0 ? undefined : decodeFilter(filter, draft),
  };
  return { id, descending: (order ?? groupOrder) === descendingOrder, range };
}

function decodeTypedRange(from: Decoder): FetchRange {
  const type = from.varint();
  if (type === fetchType.standalone) {
    const names = { namespace: decodeNamespace(from), track: decodeTrackName(from) };
    return { kind: "standalone", ...names, start: decodeLocation(from), end: decodeLocation(from) };
  }
  if (type !== fetchType.relativeJoining && type !== fetchType.absoluteJoining) {
    throw new IetfProtocolError("an unknown kind of fetch");
  }
  const relative = type === fetchType.relativeJoining;
  return { kind: "joining", subscription: from.varint(), relative, start: from.varint() };
}

export interface FetchOk {
  endOfTrack: boolean;
  /** Behind the last object of the answer. */
  end: Location;
  properties: TrackProperties;
}

const ascendingOrder = 1;

export const encodeFetchOk = (
  id: number,
  { endOfTrack, end, properties }: FetchOk,
  draft: Draft,
): Uint8Array =>
  encodeControl(draft, messageType.fetchOk, (body) => {
    encodeAnsweredId(body, id, draft);
    if (draft.fixedFields) body.u8(ascendingOrder);
    encodeLocation(body.bool(endOfTrack), end);
    encodeParameters(body, {}, draft);
    if (draft.trackProperties === "written") encodeTrackProperties(body, properties);
  });

/** The start of the stream that answers a fetch. */
export const encodeFetchHeader = (id: number, draft: Draft): Uint8Array =>
  encoderOf(draft).varint(streamType.fetchHeader).varint(id).finish();

/** An object of a fetch's answer: whole groups, subgroup 0, ids without gaps. */
export interface FetchedObject {
  group: number;
  /** The group before it on the stream; `undefined`: none. */
  groupBefore: number | undefined;
  object: number;
  priority: number;
  size: number;
  /** `undefined`: the track's have no meaning to the remote. */
  timestamp: number | undefined;
}

const flag = { object: 0x04, group: 0x08, priority: 0x10, properties: 0x20 } as const;

/** What stands before the payload. */
export function encodeFetchedObject(object: FetchedObject, draft: Draft): Uint8Array {
  const to = encoderOf(draft);
  const { group, groupBefore, object: id, priority, size, timestamp } = object;
  const properties = timestamp === undefined ? undefined : timestampProperties(timestamp, draft);
  if (draft.fetchObjects === "full") {
    to.varint(group)
      .varint(0)
      .varint(id)
      .u8(priority)
      .bytes(properties ?? new Uint8Array());
    to.varint(size);
    // An empty object says that it is normal.
    return (size === 0 ? to.varint(0) : to).finish();
  }
  const begins = group !== groupBefore;
  const given = begins ? flag.object | flag.group | flag.priority : 0;
  to.varint(given | (properties === undefined ? 0 : flag.properties));
  if (begins) {
    const delta = draft.fetchObjects === "deltas" && groupBefore !== undefined;
    to.varint(delta ? Math.abs(group - groupBefore) - 1 : group)
      .varint(id)
      .u8(priority);
  }
  if (properties !== undefined) to.bytes(properties);
  return to.varint(size).finish();
}
