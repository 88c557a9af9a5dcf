import { Decoder } from "../decoder.ts";
import { Encoder } from "../encoder.ts";
import { decodeError } from "../error-code.ts";
import { varintLength } from "../varint.ts";
import type { Draft } from "./draft.ts";

/** Bytes that an integer takes whose leading ones count its further bytes; its first byte is `first`. */
export const onesLength = (first: number): number => Math.clz32((~first & 0xff) << 24) + 1;

/** Bytes that the integer takes which starts with `first`. */
export const integerLength = (first: number, draft: Draft): number =>
  draft.onesVarint ? (first === 0xff ? 9 : onesLength(first)) : varintLength(first);

/** The same values as `Decoder` reads, with integers whose leading ones tell their length (draft 17, 1.4.1). */
class OnesDecoder extends Decoder {
  readonly #sevenBytes: boolean;

  constructor(bytes: Uint8Array, sevenBytes: boolean) {
    super(bytes);
    this.#sevenBytes = sevenBytes;
  }

  override varint(): number {
    const first = this.u8();
    if (first < 0x80) return first;
    const more = this.#more(first);
    let value = more >= 7 ? 0 : first & (0x7f >> more);
    for (const byte of this.take(more)) value = value * 256 + byte;
    if (!Number.isSafeInteger(value)) throw decodeError("an integer is beyond 2^53");
    return value;
  }

  override bigVarint(): bigint {
    const first = this.u8();
    const more = this.#more(first);
    let value = more >= 7 ? 0n : BigInt(first & (0x7f >> more));
    for (const byte of this.take(more)) value = (value << 8n) | BigInt(byte);
    return value;
  }

  #more(first: number): number {
    if (first === 0xff) return 8;
    const more = onesLength(first) - 1;
    if (more === 6 && !this.#sevenBytes) throw decodeError("an integer of seven bytes");
    return more;
  }
}

/** Writes `value`, a whole number, as exactly as a double has it, and answers the index behind it. */
export function writeOnes(to: Uint8Array, at: number, value: number): number {
  let more = 0;
  for (let below = 0x80; more < 6 && value >= below; below *= 0x80) more++;
  // Seven bytes are not everybody's: eight do as well, whose first holds nothing of the value.
  if (more === 6) more = value < 2 ** 56 ? 7 : 8;
  let left = value;
  for (let byte = more; byte > 0; byte--) {
    to[at + byte] = left % 256;
    left = Math.floor(left / 256);
  }
  to[at] = ((0xff00 >> more) & 0xff) | left;
  return at + more + 1;
}

class OnesEncoder extends Encoder {
  override varint(value: number): this {
    const bytes = new Uint8Array(9);
    return this.raw(bytes.subarray(0, writeOnes(bytes, 0, value)));
  }

  override bigVarint(value: bigint): this {
    if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return this.varint(Number(value));
    const more = value < 1n << 56n ? 7n : 8n;
    this.u8(more === 7n ? 0xfe : 0xff);
    for (let shift = 8n * (more - 1n); shift >= 0n; shift -= 8n) this.u8(Number((value >> shift) & 0xffn));
    return this;
  }
}

export const decoderOf = (bytes: Uint8Array, draft: Draft): Decoder =>
  draft.onesVarint ? new OnesDecoder(bytes, draft.sevenBytes) : new Decoder(bytes);

export const encoderOf = (draft: Draft): Encoder => (draft.onesVarint ? new OnesEncoder() : new Encoder());
