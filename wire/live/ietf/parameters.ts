import type { Decoder } from "../decoder.ts";
import type { Encoder } from "../encoder.ts";
import type { Draft } from "./draft.ts";
import { IetfProtocolError } from "./error.ts";
import { decoderOf, encoderOf } from "./integers.ts";
import { decodeNamespace } from "./namespace.ts";

/** Where an object stands in its track. */
export interface Location {
  group: number;
  object: number;
}

export const decodeLocation = (from: Decoder): Location => ({ group: from.varint(), object: from.varint() });

export const encodeLocation = (to: Encoder, { group, object }: Location): Encoder =>
  to.varint(group).varint(object);

/** What parameters of a message tell us; there may be others, which are read over. */
export interface Parameters {
  /** Lower goes first; 0 to 255. */
  subscriberPriority?: number;
  groupOrder?: number;
  forward?: boolean;
  /** A filter, to be read with `decodeFilter`. */
  filter?: Uint8Array;
  largest?: Location;
  /** Relays the announcement passed, the publisher first (HOP_PATH). */
  hopPath?: bigint[];
}

/** The value's form, by the type of the parameter (17 and later). */
type Form = "integer" | "byte" | "bytes" | "location" | "namespace";

export const parameterType = {
  largestObject: 0x09,
  forward: 0x10,
  subscriberPriority: 0x20,
  filter: 0x21,
  groupOrder: 0x22,
  hopPath: 0x40b57,
} as const;

const forms = new Map<number, Form>([
  [0x02, "integer"], // delivery timeout
  [0x03, "bytes"], // authorization token
  [0x04, "integer"], // cache duration, rendezvous timeout
  [0x06, "integer"], // subgroup delivery timeout
  [0x08, "integer"], // expires
  [parameterType.largestObject, "location"],
  [0x0a, "integer"], // fill timeout
  [0x0e, "byte"], // publisher priority
  [parameterType.forward, "byte"],
  [parameterType.subscriberPriority, "byte"],
  [parameterType.filter, "bytes"],
  [parameterType.groupOrder, "byte"],
  [0x23, "bytes"], // fill parameters
  [0x25, "bytes"], // filters by subgroup, object id, priority, object property, track property
  [0x26, "bytes"],
  [0x27, "bytes"],
  [0x28, "bytes"],
  [0x29, "bytes"],
  [0x32, "integer"], // new group request
  [0x34, "namespace"], // namespace prefix
  [0x35, "byte"], // include properties
  [parameterType.hopPath, "bytes"],
  [0x40b58, "integer"], // route cost
]);

/** The one parameter that may come more than once. */
const authorizationToken = 0x03;
const countMax = 64;
const hopsMax = 32;

/** Reads a count and as many parameters. `lengthBeforeLocation`: as some write a location in typed parameters. */
export function decodeParameters(from: Decoder, draft: Draft, lengthBeforeLocation = false): Parameters {
  const count = from.varint();
  if (count > countMax) throw new IetfProtocolError("too many parameters");
  const parameters: Parameters = {};
  const seen = new Set<number>();
  let type = 0;
  for (let left = count; left > 0; left--) {
    type = draft.deltaTypes ? type + from.varint() : from.varint();
    if (seen.has(type) && type !== authorizationToken) {
      throw new IetfProtocolError("a parameter is given twice");
    }
    seen.add(type);
    takeParameter(type, formOf(type, draft, lengthBeforeLocation), from, draft, parameters);
  }
  return parameters;
}

function formOf(type: number, draft: Draft, lengthBeforeLocation: boolean): Form {
  if (!draft.typedParameters) return type % 2 === 0 ? "integer" : "bytes";
  const form = forms.get(type);
  // Without its form there is no telling where it ends.
  if (form === undefined) throw new IetfProtocolError("an unknown parameter");
  return form === "location" && lengthBeforeLocation ? "bytes" : form;
}

function takeParameter(type: number, form: Form, from: Decoder, draft: Draft, into: Parameters): void {
  if (form === "integer" || form === "byte") {
    const value = form === "byte" ? from.u8() : from.bigVarint();
    if (type === parameterType.subscriberPriority) into.subscriberPriority = byteOf(value);
    if (type === parameterType.groupOrder) into.groupOrder = orderOf(value);
    if (type === parameterType.forward) into.forward = booleanOf(value);
    return;
  }
  if (form === "namespace") {
    decodeNamespace(from);
    return;
  }
  if (form === "location") {
    into.largest = decodeLocation(from);
    return;
  }
  const value = from.bytes();
  if (type === parameterType.filter) into.filter = value;
  if (type === parameterType.largestObject) into.largest = decodeWhole(value, draft, decodeLocation);
  if (type === parameterType.hopPath) into.hopPath = decodeWhole(value, draft, decodeHops);
}

function decodeWhole<T>(value: Uint8Array, draft: Draft, decode: (from: Decoder) => T): T {
  const from = decoderOf(value, draft);
  const decoded = decode(from);
  from.end();
  return decoded;
}

function decodeHops(from: Decoder): bigint[] {
  const hops: bigint[] = [];
  while (from.left > 0) {
    const hop = from.bigVarint();
    if (hop !== 0n && hops.includes(hop)) throw new IetfProtocolError("a hop is named twice");
    if (hops.push(hop) > hopsMax) throw new IetfProtocolError("too many hops");
  }
  if (hops.length === 0) throw new IetfProtocolError("no hops");
  return hops;
}

function byteOf(value: number | bigint): number {
  if (value > 255) throw new IetfProtocolError("a priority is beyond 255");
  return Number(value);
}

/** 0 leaves it to the publisher, 1 is oldest first, 2 newest first. */
export function orderOf(value: number | bigint): number {
  if (value > 2) throw new IetfProtocolError("an unknown group order");
  return Number(value);
}

export function booleanOf(value: number | bigint): boolean {
  if (value > 1) throw new IetfProtocolError("a boolean is neither 0 nor 1");
  return Number(value) === 1;
}

/** Writes the count, and the parameters in the order of their types. */
export function encodeParameters(to: Encoder, parameters: Parameters, draft: Draft): void {
  const { largest, forward, subscriberPriority, filter, groupOrder, hopPath } = parameters;
  const all: [type: number, value: number | Uint8Array | undefined][] = [
    [parameterType.largestObject, largest && encodeLocation(encoderOf(draft), largest).finish()],
    [parameterType.forward, forward === undefined ? undefined : Number(forward)],
    [parameterType.subscriberPriority, subscriberPriority],
    [parameterType.filter, filter],
    [parameterType.groupOrder, groupOrder],
    [parameterType.hopPath, hopPath && encodeHops(hopPath, draft)],
  ];
  const given = all.filter(([, value]) => value !== undefined);
  to.varint(given.length);
  let before = 0;
  for (const [type, value] of given) {
    to.varint(draft.deltaTypes ? type - before : type);
    before = type;
    const form = formOf(type, draft, false);
    if (form === "byte") to.u8(value as number);
    else if (form === "integer") to.varint(value as number);
    else if (form === "bytes") to.bytes(value as Uint8Array);
    else to.raw(value as Uint8Array);
  }
}

function encodeHops(hops: readonly bigint[], draft: Draft): Uint8Array {
  const value = encoderOf(draft);
  for (const hop of hops) value.bigVarint(hop);
  return value.finish();
}
