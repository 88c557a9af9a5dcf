import { decodeError } from "./error-code.ts";
import { varintLength } from "./varint.ts";

const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads values off a byte array that is all there. Every method throws `LiveProtocolError` where the bytes end too
 * early or break a rule; nothing is allocated for a length before the bytes behind it are seen to exist.
 */
export class Decoder {
  #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#at = 0;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** Starts over on other bytes, so that a hot path needs no new decoder a message. */
  reset(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#at = 0;
  }

  u8(): number {
    const value = this.#bytes[this.#at];
    if (value === undefined) throw decodeError("the message ends too early");
    this.#at++;
    return value;
  }

  u16(): number {
    return this.u8() * 256 + this.u8();
  }

  bool(): boolean {
    const value = this.u8();
    if (value > 1) throw decodeError("a boolean is neither 0 nor 1");
    return value === 1;
  }

  /** A variable-length integer up to 2^53-1; non-minimal forms are accepted (RFC 9000, 16). */
  varint(): number {
    const bytes = this.#bytes;
    const at = this.#at;
    const first = this.u8();
    const length = varintLength(first);
    if (length === 1) return first;
    if (at + length > bytes.length) throw decodeError("an integer ends too early");
    this.#at = at + length;
    if (length === 2) return ((first & 0x3f) << 8) | bytes[at + 1]!;
    const high =
      (((first & 0x3f) << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
    if (length === 4) return high;
    const low =
      ((bytes[at + 4]! << 24) | (bytes[at + 5]! << 16) | (bytes[at + 6]! << 8) | bytes[at + 7]!) >>> 0;
    if (high > 0x1f_ffff) throw decodeError("an integer is beyond 2^53");
    return high * 0x1_0000_0000 + low;
  }

  /** A variable-length integer up to 2^62-1: origin ids and qmux constants. */
  bigVarint(): bigint {
    const length = varintLength(this.#bytes[this.#at] ?? 0);
    if (this.left < length) throw decodeError("an integer ends too early");
    let value = BigInt(this.u8() & 0x3f);
    for (let i = 1; i < length; i++) value = (value << 8n) | BigInt(this.u8());
    return value;
  }

  /** The next `length` bytes, not copied. */
  take(length: number): Uint8Array {
    if (length > this.left) throw decodeError("the message ends too early");
    const taken = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return taken;
  }

  rest(): Uint8Array {
    return this.take(this.left);
  }

  /** Length and bytes, not copied. */
  bytes(): Uint8Array {
    return this.take(this.varint());
  }

  string(): string {
    return decodeText(this.bytes());
  }

  end(): void {
    if (this.left > 0) throw decodeError("the message is longer than its fields");
  }
}

/** UTF-8, or a `LiveProtocolError`. */
export function decodeText(bytes: Uint8Array): string {
  try {
    return text.decode(bytes);
  } catch {
    throw decodeError("a string is not UTF-8");
  }
}
