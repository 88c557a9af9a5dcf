import { decodeError } from "#wire/live/error-code.ts";

/** Bits of each symbol's code (RFC 7541, appendix B); the code is canonical, so lengths are all there is to know. */
const lengths = (
  "13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28 28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28 " +
  "6 10 10 12 13 6 8 11 10 10 8 11 8 6 6 6 5 5 5 6 6 6 6 6 6 6 7 8 15 6 12 10 " +
  "13 6 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 8 7 8 13 19 13 14 6 " +
  "15 5 6 5 6 5 6 6 6 5 7 7 6 6 6 5 6 7 6 5 5 6 7 7 7 7 7 15 11 14 13 28 " +
  "20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23 24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24 " +
  "22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23 21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23 " +
  "26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25 19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27 " +
  "20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23 26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26 " +
  "30"
)
  .split(" ")
  .map(Number);

const endOfString = 256;

/** Symbols by the length of their code and its number: `length * 2^30 + code` would not fit a 32-bit key. */
const symbols: Map<number, number>[] = Array.from({ length: 31 }, () => new Map());
{
  let code = 0;
  for (let length = 1; length <= 30; length++) {
    for (const [symbol, bits] of lengths.entries()) if (bits === length) symbols[length]!.set(code++, symbol);
    code *= 2;
  }
}

/** Undoes the Huffman coding of a string literal (RFC 7541, 5.2). Throws `LiveProtocolError`. */
export function decodeHuffman(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const out: number[] = [];
  let code = 0;
  let length = 0;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      code = code * 2 + ((byte >> bit) & 1);
      length++;
      if (length > 30) throw decodeError("a Huffman code that is none");
      const symbol = symbols[length]!.get(code);
      if (symbol === undefined) continue;
      if (symbol === endOfString) throw decodeError("a Huffman string with its end inside");
      out.push(symbol);
      code = 0;
      length = 0;
    }
  }
  // What is left pads the last byte: the first bits of the end, which are ones.
  if (length > 7 || code !== 2 ** length - 1) throw decodeError("a Huffman string with wrong padding");
  return Uint8Array.from(out);
}
