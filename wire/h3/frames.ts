import { concatBytes } from "#core/bytes.ts";
import { Decoder } from "#wire/live/decoder.ts";
import { Encoder } from "#wire/live/encoder.ts";
import { encodeFields, type Field } from "./qpack.ts";

/** Types of frames, and of what begins a stream (RFC 9114; WebTransport over HTTP/3). */
export const h3Frame = { data: 0x00, headers: 0x01, settings: 0x04, webTransportBidi: 0x41 } as const;
export const h3UniStream = {
  control: 0x00,
  qpackEncoder: 0x02,
  qpackDecoder: 0x03,
  webTransport: 0x54,
} as const;

/** Capsule by which either side ends a session with a code and a reason. */
const closeCapsule = 0x2843;

/**
 * What we tell every client: no dynamic table, extended CONNECT, datagrams, and WebTransport in the draft that browsers
 * and in the one that quinn's clients look for.
 */
export const serverSettings: readonly (readonly [id: number, value: number])[] = [
  [0x01, 0],
  [0x07, 0],
  [0x08, 1],
  [0x33, 1],
  [0x2b603742, 1],
  [0xc671706a, 16],
  [0xffd277, 1],
];

const frame = (type: number, body: Uint8Array): Uint8Array<ArrayBuffer> =>
  new Encoder().varint(type).bytes(body).finish();

/** The first bytes of our control stream. */
export function encodeControlStart(): Uint8Array {
  const settings = new Encoder();
  for (const [id, value] of serverSettings) settings.varint(id).varint(value);
  return concatBytes(
    new Encoder().varint(h3UniStream.control).finish(),
    frame(h3Frame.settings, settings.finish()),
  );
}

export const encodeHeaders = (fields: readonly Field[]): Uint8Array =>
  frame(h3Frame.headers, encodeFields(fields));

/** The first bytes of a stream of ours in a session. */
export const encodeStreamStart = (uni: boolean, sessionId: number): Uint8Array<ArrayBuffer> =>
  new Encoder()
    .varint(uni ? h3UniStream.webTransport : h3Frame.webTransportBidi)
    .varint(sessionId)
    .finish();

/** What each datagram of a session begins with: a quarter of its number (RFC 9297, 2.1). */
export const encodeDatagramStart = (sessionId: number): Uint8Array =>
  new Encoder().varint(sessionId / 4).finish();

/** The session that a datagram is for, and what follows. Throws `LiveProtocolError`. */
export function decodeDatagramStart(datagram: Uint8Array): { sessionId: number; body: Uint8Array } {
  const from = new Decoder(datagram);
  return { sessionId: from.varint() * 4, body: from.rest() };
}

const reasonMaxBytes = 1024;

/** The end of a session, for its CONNECT stream. */
export function encodeSessionClose(code: number, reason: string): Uint8Array {
  const text = new Uint8Array(reasonMaxBytes);
  const { written } = new TextEncoder().encodeInto(reason, text);
  const body = new Encoder().u16(Math.floor(code / 65_536) & 0xffff).u16(code & 0xffff);
  const capsule = new Encoder()
    .varint(closeCapsule)
    .bytes(body.raw(text.subarray(0, written)).finish())
    .finish();
  return frame(h3Frame.data, capsule);
}

/** The code and reason of a capsule that ends the session; `undefined` for any other. */
export function decodeSessionClose(
  type: number,
  body: Uint8Array,
): { code: number; reason: string } | undefined {
  if (type !== closeCapsule) return undefined;
  const from = new Decoder(body);
  return { code: from.u16() * 65_536 + from.u16(), reason: new TextDecoder().decode(from.rest()) };
}

const firstApplicationError = 0x52e4a40fa8db;

/** A session's stream error as HTTP/3 carries it: reserved code points are left out. */
export const toH3Error = (code: number): number => firstApplicationError + code + Math.floor(code / 0x1e);

/** The other way; 0 for what is no session's. */
export function fromH3Error(h3: number): number {
  const shifted = h3 - firstApplicationError;
  return shifted < 0 ? 0 : shifted - Math.floor(shifted / 0x1f);
}
