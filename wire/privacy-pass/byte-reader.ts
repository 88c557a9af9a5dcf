import { concatBytes } from "#core/bytes.ts";

/** Reads fixed fields and vectors with a length before them; any reading past the end makes `failed` true for good. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;
  failed = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Everything was read and nothing was missing. */
  get complete(): boolean {
    return !this.failed && this.#at === this.#bytes.length;
  }

  take(length: number): Uint8Array {
    if (this.failed || this.#at + length > this.#bytes.length) {
      this.failed = true;
      return new Uint8Array();
    }
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  u8(): number {
    return this.take(1)[0] ?? 0;
  }

  u16(): number {
    const [high = 0, low = 0] = this.take(2);
    return (high << 8) | low;
  }
}

export function u16Bytes(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}

/** A vector behind its length in one byte. Throws `RangeError` where it does not fit. */
export function vector8(bytes: Uint8Array): Uint8Array {
  if (bytes.length > 0xff) throw new RangeError("more than 255 bytes");
  return concatBytes(Uint8Array.of(bytes.length), bytes);
}

/** A vector behind its length in two bytes. Throws `RangeError` where it does not fit. */
export function vector16(bytes: Uint8Array): Uint8Array {
  if (bytes.length > 0xffff) throw new RangeError("more than 65,535 bytes");
  return concatBytes(u16Bytes(bytes.length), bytes);
}
