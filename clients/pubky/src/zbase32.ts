import type { Bytes } from "./bytes.ts";

const ALPHABET = "ybndrfg8ejkmcpqxot1uwisza345h769";
const VALUE = new Map([...ALPHABET].map((letter, value) => [letter, value]));

/** z-base-32, most significant bit first, without padding: 32 bytes become 52 letters. */
export function encodeZbase32(bytes: Uint8Array): string {
  let text = "";
  let pending = 0;
  let bits = 0;
  for (const byte of bytes) {
    pending = ((pending << 8) | byte) & 0xfff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(pending >> bits) & 31];
    }
  }
  return bits > 0 ? text + ALPHABET[(pending << (5 - bits)) & 31] : text;
}

/** The bytes of a canonical text, `undefined` for any other: a foreign letter, a letter too many, stray last bits. */
export function decodeZbase32(text: string): Bytes | undefined {
  const bytes = new Uint8Array(Math.floor((text.length * 5) / 8));
  let pending = 0;
  let bits = 0;
  let at = 0;
  for (const letter of text) {
    const value = VALUE.get(letter);
    if (value === undefined) return undefined;
    pending = ((pending << 5) | value) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = (pending >> bits) & 0xff;
    }
  }
  if (bits >= 5 || (pending & ((1 << bits) - 1)) !== 0) return undefined;
  return bytes;
}
