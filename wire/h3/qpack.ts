import { Decoder, decodeText } from "#wire/live/decoder.ts";
import { Encoder } from "#wire/live/encoder.ts";
import { decodeError } from "#wire/live/error-code.ts";
import { decodeHuffman } from "./huffman.ts";

export type Field = readonly [name: string, value: string];

/** The static table (RFC 9204, appendix A): a line for each name, its values in order of their numbers. */
const table: Field[] = [];
const rows: readonly (readonly [first: number, name: string, ...values: string[]])[] = [
  [0, ":authority", ""],
  [1, ":path", "/"],
  [2, "age", "0"],
  [3, "content-disposition", ""],
  [4, "content-length", "0"],
  [5, "cookie", ""],
  [6, "date", ""],
  [7, "etag", ""],
  [8, "if-modified-since", ""],
  [9, "if-none-match", ""],
  [10, "last-modified", ""],
  [11, "link", ""],
  [12, "location", ""],
  [13, "referer", ""],
  [14, "set-cookie", ""],
  [15, ":method", "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"],
  [22, ":scheme", "http", "https"],
  [24, ":status", "103", "200", "304", "404", "503"],
  [29, "accept", "*/*", "application/dns-message"],
  [31, "accept-encoding", "gzip, deflate, br"],
  [32, "accept-ranges", "bytes"],
  [33, "access-control-allow-headers", "cache-control", "content-type"],
  [35, "access-control-allow-origin", "*"],
  [36, "cache-control", "max-age=0", "max-age=2592000", "max-age=604800", "no-cache", "no-store"],
  [41, "cache-control", "public, max-age=31536000"],
  [42, "content-encoding", "br", "gzip"],
  [44, "content-type", "application/dns-message", "application/javascript", "application/json"],
  [47, "content-type", "application/x-www-form-urlencoded", "image/gif", "image/jpeg", "image/png"],
  [51, "content-type", "text/css", "text/html; charset=utf-8", "text/plain", "text/plain;charset=utf-8"],
  [55, "range", "bytes=0-"],
  [56, "strict-transport-security", "max-age=31536000", "max-age=31536000; includesubdomains"],
  [58, "strict-transport-security", "max-age=31536000; includesubdomains; preload"],
  [59, "vary", "accept-encoding", "origin"],
  [61, "x-content-type-options", "nosniff"],
  [62, "x-xss-protection", "1; mode=block"],
  [63, ":status", "100", "204", "206", "302", "400", "403", "421", "425", "500"],
  [72, "accept-language", ""],
  [73, "access-control-allow-credentials", "FALSE", "TRUE"],
  [75, "access-control-allow-headers", "*"],
  [76, "access-control-allow-methods", "get", "get, post, options", "options"],
  [79, "access-control-expose-headers", "content-length"],
  [80, "access-control-request-headers", "content-type"],
  [81, "access-control-request-method", "get", "post"],
  [83, "alt-svc", "clear"],
  [84, "authorization", ""],
  [85, "content-security-policy", "script-src 'none'; object-src 'none'; base-uri 'none'"],
  [86, "early-data", "1"],
  [87, "expect-ct", ""],
  [88, "forwarded", ""],
  [89, "if-range", ""],
  [90, "origin", ""],
  [91, "purpose", "prefetch"],
  [92, "server", ""],
  [93, "timing-allow-origin", "*"],
  [94, "upgrade-insecure-requests", "1"],
  [95, "user-agent", ""],
  [96, "x-forwarded-for", ""],
  [97, "x-frame-options", "deny", "sameorigin"],
];
for (const [first, name, ...values] of rows) {
  for (const [at, value] of values.entries()) table[first + at] = [name, value];
}

/** A field section that uses the static table alone, as we tell the other side to. Throws `LiveProtocolError`. */
export function decodeFields(section: Uint8Array): Field[] {
  const from = new Decoder(section);
  if (prefixed(from, from.u8(), 8) !== 0) throw decodeError("a dynamic table that was not offered");
  prefixed(from, from.u8(), 7);
  const fields: Field[] = [];
  while (from.left > 0) fields.push(decodeField(from));
  return fields;
}

function decodeField(from: Decoder): Field {
  const first = from.u8();
  if (first & 0x80) {
    if (!(first & 0x40)) throw decodeError("a dynamic table that was not offered");
    return staticField(prefixed(from, first, 6));
  }
  if (first & 0x40) {
    if (!(first & 0x10)) throw decodeError("a dynamic table that was not offered");
    const [name] = staticField(prefixed(from, first, 4));
    return [name, literal(from, from.u8(), 7)];
  }
  if (first & 0x20) return [literal(from, first, 3), literal(from, from.u8(), 7)];
  throw decodeError("a dynamic table that was not offered");
}

function staticField(index: number): Field {
  const field = table[index];
  if (field === undefined) throw decodeError("a static field that does not exist");
  return field;
}

/** An integer with a prefix of `bits` (RFC 7541, 5.1), the first byte read already. */
function prefixed(from: Decoder, first: number, bits: number): number {
  const most = 2 ** bits - 1;
  let value = first & most;
  if (value < most) return value;
  for (let factor = 1; ; factor *= 128) {
    const byte = from.u8();
    value += (byte & 0x7f) * factor;
    if (value > 2 ** 32) throw decodeError("an integer that is too large");
    if (byte < 0x80) return value;
  }
}

/** A string whose length has a prefix of `bits`; the bit before it says that it is Huffman coded. */
function literal(from: Decoder, first: number, bits: number): string {
  const coded = (first & (1 << bits)) !== 0;
  const bytes = from.take(prefixed(from, first, bits));
  return decodeText(coded ? decodeHuffman(bytes) : bytes);
}

/** Fields with literal names and values, uncoded. */
export function encodeFields(fields: readonly Field[]): Uint8Array<ArrayBuffer> {
  const section = new Encoder().u8(0).u8(0);
  for (const [name, value] of fields) {
    writeLiteral(section, 0x20, 3, name);
    writeLiteral(section, 0x00, 7, value);
  }
  return section.finish();
}

function writeLiteral(to: Encoder, marks: number, bits: number, text: string): void {
  const bytes = new TextEncoder().encode(text);
  const most = 2 ** bits - 1;
  if (bytes.length < most) to.u8(marks | bytes.length);
  else {
    to.u8(marks | most);
    let rest = bytes.length - most;
    for (; rest >= 128; rest = Math.floor(rest / 128)) to.u8((rest % 128) | 0x80);
    to.u8(rest);
  }
  to.raw(bytes);
}
