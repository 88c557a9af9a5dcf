import { varintSize, writeVarint } from "./varint.ts";

const text = new TextEncoder();

/** Appends values to a byte array that grows. */
export class Encoder {
  #bytes = new Uint8Array(64);
  #end = 0;

  u8(value: number): this {
    this.#reserve(1);
    this.#bytes[this.#end++] = value;
    return this;
  }

  u16(value: number): this {
    return this.u8(value >>> 8).u8(value & 0xff);
  }

  bool(value: boolean): this {
    return this.u8(value ? 1 : 0);
  }

  /** A whole number up to 2^53-1. */
  varint(value: number): this {
    this.#reserve(8);
    this.#end = writeVarint(this.#bytes, this.#end, value);
    return this;
  }

  /** A whole number up to 2^62-1. */
  bigVarint(value: bigint): this {
    if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return this.varint(Number(value));
    for (let shift = 56n; shift >= 0n; shift -= 8n) {
      const byte = Number((value >> shift) & 0xffn);
      this.u8(shift === 56n ? byte | 0xc0 : byte);
    }
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
    return this;
  }

  /** Length and bytes. */
  bytes(bytes: Uint8Array): this {
    return this.varint(bytes.length).raw(bytes);
  }

  string(value: string): this {
    return this.bytes(text.encode(value));
  }

  /** What was written so far; the encoder is not used afterwards. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#end);
  }

  #reserve(more: number): void {
    if (this.#end + more <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#end + more));
    grown.set(this.#bytes.subarray(0, this.#end));
    this.#bytes = grown;
  }
}

/** A message of moq-lite: the length of its body, then the body. */
export function encodeMessage(write: (body: Encoder) => void): Uint8Array<ArrayBuffer> {
  const body = new Encoder();
  write(body);
  const bytes = body.finish();
  const message = new Uint8Array(varintSize(bytes.length) + bytes.length);
  message.set(bytes, writeVarint(message, 0, bytes.length));
  return message;
}

/** The type that opens a stream or stands before a message, as its own bytes. */
export const encodeType = (type: number): Uint8Array<ArrayBuffer> => new Encoder().varint(type).finish();
