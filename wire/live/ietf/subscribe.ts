import type { Decoder } from "../decoder.ts";
import type { Encoder } from "../encoder.ts";
import type { Draft } from "./draft.ts";
import { decodeFilter, decodeTypedFilter, type Filter, latestGroup } from "./filter.ts";
import { decoderOf } from "./integers.ts";
import { encodeControl, messageType } from "./message.ts";
import { decodeNamespace, decodeTrackName, encodeNamespace, type Name } from "./namespace.ts";
import {
  booleanOf,
  decodeLocation,
  decodeParameters,
  encodeLocation,
  encodeParameters,
  type Location,
  orderOf,
} from "./parameters.ts";
import { decodeRequestId, encodeAnsweredId, encodeRequestId } from "./request.ts";
import { decodeTrackProperties, encodeTrackProperties, type TrackProperties } from "./track-properties.ts";

export interface Subscribe {
  id: number;
  namespace: Name;
  track: Name;
  /** Lower goes first. */
  priority: number;
  /** Oldest group first. */
  ascending: boolean;
  /** False: nothing is to be sent until an update says so. */
  forward: boolean;
  filter: Filter;
}

/** Priority of requests that do not say theirs. */
export const priorityDefault = 128;
const order = { ascending: 1, descending: 2 } as const;

export function decodeSubscribe(body: Uint8Array, draft: Draft): Subscribe {
  const from = decoderOf(body, draft);
  const id = decodeRequestId(from, draft);
  const names = { namespace: decodeNamespace(from), track: decodeTrackName(from) };
  const subscribe = {
    id,
    ...names,
    ...(draft.fixedFields ? decodeFields(from, draft) : decodeExtras(from, draft)),
  };
  from.end();
  return subscribe;
}

type Extras = Pick<Subscribe, "priority" | "ascending" | "forward" | "filter">;

function decodeFields(from: Decoder, draft: Draft): Extras {
  const priority = from.u8();
  const ascending = orderOf(from.u8()) === order.ascending;
  const forward = booleanOf(from.u8());
  const filter = decodeTypedFilter(from, draft);
  decodeParameters(from, draft);
  return { priority, ascending, forward, filter };
}

function decodeExtras(from: Decoder, draft: Draft): Extras {
  const { subscriberPriority, groupOrder, forward, filter } = decodeParameters(from, draft);
  return {
    priority: subscriberPriority ?? priorityDefault,
    ascending: groupOrder === order.ascending,
    forward: forward ?? true,
    filter: filter === undefined ? latestGroup : decodeFilter(filter, draft),
  };
}

/** SUBSCRIBE; `filter` is the filter's own bytes. */
export interface SubscribeMessage {
  id: number;
  namespace: string;
  track: string;
  priority: number;
  ascending: boolean;
  filter: Uint8Array;
}

export const encodeSubscribe = (subscribe: SubscribeMessage, draft: Draft): Uint8Array =>
  encodeControl(draft, messageType.subscribe, (body) => {
    const { id, namespace, track, priority, ascending, filter } = subscribe;
    encodeRequestId(body, id, draft);
    encodeNamespace(body, namespace);
    body.string(track);
    const groupOrder = ascending ? order.ascending : order.descending;
    if (draft.fixedFields) {
      body.u8(priority).u8(groupOrder).bool(true).raw(filter);
      encodeParameters(body, {}, draft);
    } else {
      encodeParameters(body, { forward: true, subscriberPriority: priority, filter, groupOrder }, draft);
    }
  });

export interface SubscribeOk {
  /** Names the track on data streams. May be beyond 2^53. */
  alias: bigint;
  /** The latest object there is. */
  largest?: Location | undefined;
  properties: TrackProperties;
}

export const encodeSubscribeOk = (
  id: number,
  { alias, largest, properties }: SubscribeOk,
  draft: Draft,
  type: number = messageType.subscribeOk,
): Uint8Array =>
  encodeControl(draft, type, (body) => {
    encodeAnsweredId(body, id, draft).bigVarint(alias);
    if (draft.fixedFields) encodeOkFields(body, largest);
    // From 17 on published peers disagree on how a location is written among parameters: better none.
    encodeParameters(body, draft.fixedFields || draft.typedParameters || !largest ? {} : { largest }, draft);
    if (draft.trackProperties === "written") encodeTrackProperties(body, properties);
  });

function encodeOkFields(body: Encoder, largest: Location | undefined): void {
  // No end to it in time, newest group first.
  body
    .varint(0)
    .u8(order.descending)
    .bool(largest !== undefined);
  if (largest !== undefined) encodeLocation(body, largest);
}

export function decodeSubscribeOk(bytes: Uint8Array, draft: Draft): SubscribeOk {
  const from = decoderOf(bytes, draft);
  if (!draft.requestStreams) from.varint();
  const alias = from.bigVarint();
  if (draft.fixedFields) {
    from.bigVarint();
    orderOf(from.u8());
    const largest = booleanOf(from.u8()) ? decodeLocation(from) : undefined;
    decodeParameters(from, draft);
    from.end();
    return { alias, largest, properties: {} };
  }
  const rest = from.rest();
  if (!draft.typedParameters) return { alias, ...decodeOkRest(rest, draft, false) };
  // Some put a length before the location of the largest object and some do not: what makes sense to the end is meant.
  for (const lengthBefore of [false, true]) {
    try {
      const read = decodeOkRest(rest, draft, lengthBefore);
      if (!read.properties.unknown) return { alias, ...read };
    } catch {
      // The other way, then.
    }
  }
  return { alias, ...decodeOkRest(rest, draft, false) };
}

function decodeOkRest(
  bytes: Uint8Array,
  draft: Draft,
  lengthBeforeLocation: boolean,
): Omit<SubscribeOk, "alias"> {
  const from = decoderOf(bytes, draft);
  const { largest } = decodeParameters(from, draft, lengthBeforeLocation);
  const properties = draft.trackProperties === "none" ? {} : decodeTrackProperties(from);
  from.end();
  return { largest, properties };
}

/** PUBLISH_DONE: no further object follows on a subscription. */
export interface PublishDone {
  status: number;
  /** Data streams that were opened for it. */
  streams: number;
  reason: string;
}

export const encodePublishDone = (id: number, done: PublishDone, draft: Draft): Uint8Array =>
  encodeControl(draft, messageType.publishDone, (body) => {
    encodeAnsweredId(body, id, draft).varint(done.status).varint(done.streams).string(done.reason);
  });

export function decodePublishDone(bytes: Uint8Array, draft: Draft): PublishDone {
  const from = decoderOf(bytes, draft);
  if (!draft.requestStreams) from.varint();
  const status = from.varint();
  // A count that is not known is told as the largest number there is.
  const streams = Number(from.bigVarint());
  const done = { status, streams, reason: from.string() };
  from.end();
  return done;
}

/** TRACK_STATUS: what of SUBSCRIBE asks about a track, and nothing else. */
export function decodeTrackStatus(
  body: Uint8Array,
  draft: Draft,
): Pick<Subscribe, "id" | "namespace" | "track"> {
  const from = decoderOf(body, draft);
  const id = decodeRequestId(from, draft);
  return { id, namespace: decodeNamespace(from), track: decodeTrackName(from) };
}
