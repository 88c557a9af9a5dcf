import { Decoder } from "./decoder.ts";
import { varintSize, writeVarint } from "./varint.ts";

/** Largest body of a datagram: what fits into one packet on nearly every path. */
export const datagramMaxBytes = 1_200;

/** A group of one frame that goes by itself, once, and is never sent again (moq-lite 05). */
export interface Datagram {
  /** Groups and datagrams of a track are numbered together. */
  readonly sequence: number;
  /** Sequence, timestamp and payload as they came: the same for every subscriber, and never changed. */
  readonly content: Uint8Array;
  readonly payloadBytes: number;
}

/**
 * Reads a body: id of the subscription, sequence, timestamp, and payload up to its end. Copies what it keeps. Throws
 * `LiveProtocolError` where there is no more than a part of it.
 */
export function decodeDatagram(body: Uint8Array): { subscribeId: number; datagram: Datagram } {
  const from = new Decoder(body);
  const subscribeId = from.varint();
  const content = body.slice(body.length - from.left);
  const sequence = from.varint();
  from.bigVarint();
  return { subscribeId, datagram: { sequence, content, payloadBytes: from.left } };
}

/** The body for one subscriber. */
export function encodeDatagram(subscribeId: number, content: Uint8Array): Uint8Array {
  const body = new Uint8Array(varintSize(subscribeId) + content.length);
  body.set(content, writeVarint(body, 0, subscribeId));
  return body;
}

/** Sequence, timestamp in the track's unit, and payload. */
export function encodeDatagramContent(sequence: number, timestamp: number, payload: Uint8Array): Uint8Array {
  const content = new Uint8Array(varintSize(sequence) + varintSize(timestamp) + payload.length);
  content.set(payload, writeVarint(content, writeVarint(content, 0, sequence), timestamp));
  return content;
}
