import { Decoder } from "./decoder.ts";
import { Encoder, encodeMessage } from "./encoder.ts";
import { uniType } from "./stream-type.ts";
import { varintSize, writeVarint } from "./varint.ts";

export interface GroupHeader {
  subscribeId: number;
  sequence: number;
}

/** The start of a Group stream: its type, then the header. */
export function encodeGroupStart(subscribeId: number, sequence: number): Uint8Array<ArrayBuffer> {
  const length = varintSize(subscribeId) + varintSize(sequence);
  const bytes = new Uint8Array(2 + length);
  bytes[0] = uniType.group;
  bytes[1] = length;
  writeVarint(bytes, writeVarint(bytes, 2, subscribeId), sequence);
  return bytes;
}

export function decodeGroupHeader(body: Uint8Array): GroupHeader {
  const from = new Decoder(body);
  const header = { subscribeId: from.varint(), sequence: from.varint() };
  from.end();
  return header;
}

/** Where a session's publisher asks its subscribers to go (04 and later). */
export const encodeGoaway = (uri: string): Uint8Array => encodeMessage((body) => body.string(uri));

export function decodeGoaway(body: Uint8Array): string {
  const from = new Decoder(body);
  const uri = from.string();
  from.end();
  return uri;
}

/** A signed number as an unsigned one, small for small magnitudes. */
export const zigzag = (value: number): number => (value >= 0 ? value * 2 : -value * 2 - 1);
export const unzigzag = (value: number): number => (value % 2 === 0 ? value / 2 : -(value + 1) / 2);

/** Size and payload, with the change of the timestamp before them in class B. */
export function encodeFrameHeader(size: number, timestampDelta: number | undefined): Uint8Array<ArrayBuffer> {
  const header = new Encoder();
  if (timestampDelta !== undefined) header.varint(zigzag(timestampDelta));
  return header.varint(size).finish();
}
