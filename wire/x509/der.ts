import { concatBytes, joinBytes } from "#core/bytes.ts";

// Writes what a certificate is made of (X.690, Distinguished Encoding Rules). Nothing here reads.

const tag = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

const ascii = new TextEncoder();

/** Any element: its tag, the length of its content, the content. */
export function element(tagByte: number, content: Uint8Array): Uint8Array {
  return concatBytes(new Uint8Array([tagByte, ...lengthOf(content.length)]), content);
}

function lengthOf(length: number): number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let left = length; left > 0; left = Math.floor(left / 256)) bytes.unshift(left % 256);
  return [0x80 | bytes.length, ...bytes];
}

export const sequence = (...parts: readonly Uint8Array[]): Uint8Array =>
  element(tag.sequence, joinBytes(parts));
export const setOf = (part: Uint8Array): Uint8Array => element(tag.set, part);
export const octetString = (content: Uint8Array): Uint8Array => element(tag.octetString, content);
export const utf8String = (text: string): Uint8Array => element(tag.utf8String, ascii.encode(text));
export const trueValue = new Uint8Array([0x01, 0x01, 0xff]);

/** `unusedBits` at the end of the last byte do not count. */
export const bitString = (content: Uint8Array, unusedBits = 0): Uint8Array =>
  element(tag.bitString, concatBytes(new Uint8Array([unusedBits]), content));

/** `[number]` around whole elements, or instead of the tag of a simple one. */
export const explicit = (number: number, content: Uint8Array): Uint8Array => element(0xa0 | number, content);
export const implicit = (number: number, content: Uint8Array): Uint8Array => element(0x80 | number, content);

/** A number of zero or more, given as its bytes, the highest first: as short as may be, and never negative. */
export function unsigned(bytes: Uint8Array): Uint8Array {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const shortest = bytes.subarray(start);
  const sign = shortest.length === 0 || shortest[0]! >= 0x80 ? [0] : [];
  return element(tag.integer, concatBytes(new Uint8Array(sign), shortest));
}

/** `1.2.840…` */
export function objectIdentifier(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...arcs] = dotted.split(".").map(Number);
  return element(tag.objectIdentifier, new Uint8Array([first * 40 + second, ...arcs.flatMap(base128)]));
}

function base128(arc: number): number[] {
  const bytes = [arc % 128];
  for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) {
    bytes.unshift(0x80 | (left % 128));
  }
  return bytes;
}

/** A moment, in whole seconds; with two digits of the year up to 2049 (RFC 5280, 4.1.2.5). */
export function time(at: number): Uint8Array {
  const digits = new Date(at).toISOString().replaceAll(/[-:T]|\.\d+/g, "");
  return Number(digits.slice(0, 4)) < 2050
    ? element(tag.utcTime, ascii.encode(digits.slice(2)))
    : element(tag.generalizedTime, ascii.encode(digits));
}
