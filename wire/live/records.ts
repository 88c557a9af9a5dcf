import { joinBytes } from "#core/bytes.ts";
import { Decoder } from "./decoder.ts";
import { LiveProtocolError, liveError } from "./error-code.ts";
import { varintLength, writeVarint } from "./varint.ts";

/** Room for the length of a record of ours, which is below 2^14 bytes. */
export const recordHeadroom = 2;

/** Puts its length before the record in `start` to `end`, of which `recordHeadroom` bytes are free; answers the end. */
export function sealRecord(buffer: Uint8Array, start: number, end: number): number {
  const from = start - recordHeadroom;
  const body = writeVarint(buffer, from, end - start);
  if (body === start) return end;
  buffer.copyWithin(body, start, end);
  return body + end - start;
}

/** Cuts a byte stream into the records of qmux over TCP and Unix sockets: a length, then that many bytes. */
export class RecordReader {
  readonly #maxBytes: number;
  readonly #onRecord: (record: Uint8Array) => void;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  /** Bytes the record that is still to come takes with its length; 0: not known yet. */
  #wanted = 0;

  /** A record beyond `maxBytes` is an error. */
  constructor(maxBytes: number, onRecord: (record: Uint8Array) => void) {
    this.#maxBytes = maxBytes;
    this.#onRecord = onRecord;
  }

  /** Hands over the records that are whole now; throws `LiveProtocolError`. The bytes are the reader's from now on. */
  push(chunk: Uint8Array): void {
    if (this.#waitingBytes + chunk.length < this.#wanted) {
      this.#waiting.push(chunk);
      this.#waitingBytes += chunk.length;
      return;
    }
    let bytes = chunk;
    if (this.#waiting.length > 0) {
      this.#waiting.push(chunk);
      bytes = joinBytes(this.#waiting);
      this.#waiting = [];
    }
    let at = 0;
    for (;;) {
      const first = bytes[at];
      this.#wanted = 0;
      if (first === undefined) break;
      const body = at + varintLength(first);
      if (body > bytes.length) break;
      const length = new Decoder(bytes.subarray(at, body)).varint();
      if (length > this.#maxBytes)
        throw new LiveProtocolError("a record is too large", liveError.frameTooLarge);
      if (body + length > bytes.length) {
        this.#wanted = body + length - at;
        break;
      }
      at = body + length;
      this.#onRecord(bytes.subarray(body, at));
    }
    this.#waitingBytes = bytes.length - at;
    if (this.#waitingBytes > 0) this.#waiting.push(bytes.subarray(at));
  }
}
