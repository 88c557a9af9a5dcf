import { joinBytes } from "#core/bytes.ts";
import { BinaryHttpError, type BinaryMessage, type FieldLines, framing, isField } from "./message.ts";

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at === this.#bytes.byteLength;
  }

  varint(): number {
    const first = this.take(1)[0]!;
    const size = 1 << (first >> 6);
    let value = first & 0x3f;
    for (const byte of this.take(size - 1)) value = value * 256 + byte;
    if (!Number.isSafeInteger(value)) throw new BinaryHttpError("a length beyond 2^53");
    return value;
  }

  take(length: number): Uint8Array {
    if (length > this.#bytes.byteLength - this.#at) throw new BinaryHttpError("cut short");
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  text(length = this.varint()): string {
    let text = "";
    for (const byte of this.take(length)) text += String.fromCharCode(byte);
    return text;
  }

  /** All that is left must be padding (RFC 9292, 3.8). */
  assertPadding(): void {
    for (const byte of this.#bytes.subarray(this.#at))
      if (byte !== 0) throw new BinaryHttpError("padding that is not zero");
    this.#at = this.#bytes.byteLength;
  }
}

/**
 * Reads a whole message of either length form; a known-length message may end early where the rest is empty (RFC 9292,
 * 3.8). `content` shares memory with `bytes`. Throws `BinaryHttpError`.
 */
export function decodeBinaryHttp(bytes: Uint8Array): BinaryMessage {
  const reader = new Reader(bytes);
  const form = reader.varint();
  if (form > framing.indeterminateResponse) throw new BinaryHttpError("no such framing");
  const known = form === framing.knownRequest || form === framing.knownResponse;
  if (form === framing.knownRequest || form === framing.indeterminateRequest) {
    const control = {
      method: reader.text(),
      scheme: reader.text(),
      authority: reader.text(),
      path: reader.text(),
    };
    if (!token.test(control.method)) throw new BinaryHttpError("not a method");
    return { kind: "request", ...control, ...readBody(reader, known) };
  }
  const informational: { status: number; headers: FieldLines }[] = [];
  for (;;) {
    const status = reader.varint();
    if (status >= 200 && status <= 599) {
      const body = readBody(reader, known);
      return { kind: "response", status, ...(informational.length > 0 ? { informational } : {}), ...body };
    }
    if (status < 100 || status > 199) throw new BinaryHttpError("not a status");
    informational.push({ status, headers: readFields(reader, known) });
  }
}

function readBody(reader: Reader, known: boolean) {
  const headers = reader.done ? [] : readFields(reader, known);
  const content = reader.done ? new Uint8Array() : readContent(reader, known);
  const trailers = reader.done ? [] : readFields(reader, known);
  reader.assertPadding();
  return { headers, content, ...(trailers.length > 0 ? { trailers } : {}) };
}

function readContent(reader: Reader, known: boolean): Uint8Array {
  if (known) return reader.take(reader.varint());
  const chunks: Uint8Array[] = [];
  for (let size = reader.varint(); size > 0; size = reader.varint()) chunks.push(reader.take(size));
  if (chunks.length === 1) return chunks[0]!;
  return joinBytes(chunks);
}

function readFields(reader: Reader, known: boolean): FieldLines {
  const fields: [string, string][] = [];
  if (known) {
    const section = new Reader(reader.take(reader.varint()));
    while (!section.done) fields.push(readField(section, section.varint()));
    return fields;
  }
  // An indeterminate-length section may be missing altogether, but once begun it ends with a zero.
  for (let length = reader.varint(); length > 0; length = reader.varint())
    fields.push(readField(reader, length));
  return fields;
}

function readField(reader: Reader, nameLength: number): [string, string] {
  const name = reader.text(nameLength);
  const value = reader.text();
  if (!isField(name, value)) throw new BinaryHttpError("not a field that HTTP allows");
  return [name, value];
}
