import { Decoder } from "./decoder.ts";
import { LiveProtocolError, liveError } from "./error-code.ts";
import { varintLength } from "./varint.ts";

/**
 * The bytes of a control stream that no message was made of yet.
 *
 * Clients write field by field, so a message arrives in as many chunks as it pleases. Each `take` answers a whole
 * value, or `undefined` until more bytes came. Holds at most `maxBytes`; more is a `LiveProtocolError`.
 */
export class StreamBuffer {
  readonly #maxBytes: number;
  #bytes: Uint8Array = new Uint8Array(0);
  /** Memory of our own that `#bytes` lies in, with room behind it; `undefined` while it lies in a chunk. */
  #own: Uint8Array | undefined;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(chunk: Uint8Array): void {
    const held = this.#bytes;
    if (held.length === 0) {
      this.#bytes = chunk;
      this.#own = undefined;
      return;
    }
    const length = held.length + chunk.length;
    let own = this.#own;
    let start = held.byteOffset - (own?.byteOffset ?? 0);
    // Room for twice as much, so that a message that comes byte by byte is not copied whole for each.
    if (own === undefined || start + length > own.length) {
      own = new Uint8Array(2 * length);
      own.set(held);
      start = 0;
    }
    own.set(chunk, start + held.length);
    this.#own = own;
    this.#bytes = own.subarray(start, start + length);
  }

  /** The type that opens a stream or a message. One beyond 2^53 is nobody's, and stands for any such. */
  takeType(): number | undefined {
    const first = this.#bytes[0];
    if (first === undefined) return undefined;
    const length = varintLength(first);
    if (this.#bytes.length < length) return undefined;
    const type = new Decoder(this.#bytes.subarray(0, length)).bigVarint();
    this.#bytes = this.#bytes.subarray(length);
    return type > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(type);
  }

  /** The body of the next message: a length, then that many bytes. */
  takeMessage(): Uint8Array | undefined {
    const first = this.#bytes[0];
    if (first === undefined) return undefined;
    const prefix = varintLength(first);
    if (this.#bytes.length < prefix) return undefined;
    const length = new Decoder(this.#bytes.subarray(0, prefix)).varint();
    if (length > this.#maxBytes) throw this.#tooLarge();
    if (this.#bytes.length < prefix + length) return undefined;
    const body = this.#bytes.subarray(prefix, prefix + length);
    this.#bytes = this.#bytes.subarray(prefix + length);
    return body;
  }

  /** A body with a 16-bit length before it, as the first SETUP of moq-lite 01 and 02 has. */
  takeMessage16(): Uint8Array | undefined {
    if (this.#bytes.length < 2) return undefined;
    const length = this.#bytes[0]! * 256 + this.#bytes[1]!;
    if (length > this.#maxBytes) throw this.#tooLarge();
    if (this.#bytes.length < 2 + length) return undefined;
    const body = this.#bytes.subarray(2, 2 + length);
    this.#bytes = this.#bytes.subarray(2 + length);
    return body;
  }

  /** Everything that is left. */
  takeRest(): Uint8Array {
    const rest = this.#bytes;
    this.#bytes = new Uint8Array(0);
    return rest;
  }

  #tooLarge(): LiveProtocolError {
    return new LiveProtocolError("a message is too large", liveError.frameTooLarge);
  }
}
