import type { Bytes } from "./bytes.ts";
import { PubkyError } from "./errors.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const VALUE = new Map([...ALPHABET].map((letter, value) => [letter, value]));

/** RFC 4648, section 5, without padding. */
export function encodeBase64url(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 3) {
    const group = (bytes[at]! << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    const letters = Math.min(4, bytes.length - at + 1);
    for (let i = 0; i < letters; i++) text += ALPHABET[(group >> (18 - 6 * i)) & 63];
  }
  return text;
}

/**
 * The one text of some bytes and no other: padding, foreign letters and stray last bits are refused, so that
 * no two texts mean the same signature or key.
 *
 * @throws PubkyError `base64url_malformed`
 */
export function decodeBase64url(text: string): Bytes {
  const bytes = new Uint8Array(Math.floor((text.length * 6) / 8));
  let pending = 0;
  let bits = 0;
  let at = 0;
  for (const letter of text) {
    const value = VALUE.get(letter);
    if (value === undefined) throw new PubkyError("base64url_malformed");
    pending = ((pending << 6) | value) & 0xfff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = (pending >> bits) & 0xff;
    }
  }
  // Six spare bits would be a whole letter too many; fewer must be zero.
  if (bits >= 6 || (pending & ((1 << bits) - 1)) !== 0) throw new PubkyError("base64url_malformed");
  return bytes;
}
