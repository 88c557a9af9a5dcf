import type { Decoder } from "../decoder.ts";
import type { Encoder } from "../encoder.ts";
import { IetfProtocolError } from "./error.ts";

/** What a publisher says of a track, for as long as it is subscribed. */
export interface TrackProperties {
  /** Ticks a second of the objects' timestamps; without it they mean nothing. */
  timescale?: number | undefined;
  /** Oldest group first, or newest. */
  ascending?: boolean | undefined;
  /** Lower goes first. */
  priority?: number;
  /** There were some that we do not know. */
  unknown?: boolean;
}

const propertyType = {
  deliveryTimeout: 0x02,
  cacheDuration: 0x04,
  subgroupDeliveryTimeout: 0x06,
  timescale: 0x08,
  priority: 0x0e,
  groupOrder: 0x22,
} as const;
const known: readonly number[] = Object.values(propertyType);

/** The same types with delta coding to the end of the message (16 and later). */
export function decodeTrackProperties(from: Decoder): TrackProperties {
  const properties: TrackProperties = {};
  const seen = new Set<number>();
  for (let type = 0; from.left > 0; ) {
    type += from.varint();
    if (seen.has(type)) throw new IetfProtocolError("a property is given twice");
    seen.add(type);
    if (!known.includes(type)) properties.unknown = true;
    if (type % 2 === 1) from.bytes();
    else takeProperty(type, from.bigVarint(), properties);
  }
  return properties;
}

function takeProperty(type: number, value: bigint, into: TrackProperties): void {
  if (type === propertyType.timescale && value > 0n) into.timescale = Number(value);
  if (type === propertyType.groupOrder) into.ascending = value === 1n;
  if (type === propertyType.priority && value <= 255n) into.priority = Number(value);
}

export function encodeTrackProperties(to: Encoder, { timescale, ascending }: TrackProperties): void {
  let before = 0;
  if (timescale !== undefined) {
    to.varint(propertyType.timescale).varint(timescale);
    before = propertyType.timescale;
  }
  if (ascending !== undefined) to.varint(propertyType.groupOrder - before).varint(ascending ? 1 : 2);
}
