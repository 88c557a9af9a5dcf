import {
  type BinaryBody,
  BinaryHttpError,
  type BinaryMessage,
  type FieldLines,
  framing,
  isField,
  latin1Bytes,
} from "./message.ts";
import { pushVarint } from "./varint.ts";

/** Collects small pieces as numbers and large ones as they are. */
class Writer {
  readonly #parts: Uint8Array[] = [];
  #small: number[] = [];

  varint(value: number): void {
    pushVarint(this.#small, value);
  }

  bytes(bytes: Uint8Array): void {
    if (bytes.byteLength < 64) {
      for (const byte of bytes) this.#small.push(byte);
      return;
    }
    this.#flush();
    this.#parts.push(bytes);
  }

  prefixed(text: string): void {
    this.varint(text.length);
    this.bytes(latin1Bytes(text));
  }

  finish(padTo: (length: number) => number): Uint8Array<ArrayBuffer> {
    this.#flush();
    const length = this.#parts.reduce((sum, part) => sum + part.byteLength, 0);
    // Bytes after the message that are all zero are padding (RFC 9292, 3.8).
    const whole = new Uint8Array(Math.max(length, padTo(length)));
    let at = 0;
    for (const part of this.#parts) {
      whole.set(part, at);
      at += part.byteLength;
    }
    return whole;
  }

  #flush(): void {
    if (this.#small.length > 0) this.#parts.push(Uint8Array.from(this.#small));
    this.#small = [];
  }
}

export interface EncodeOptions {
  /** `indeterminate` marks the end of each part instead of telling its length ahead. Default: known. */
  readonly length?: "known" | "indeterminate";
  /** Given the message's length, the length to fill it to with zeros. */
  readonly padTo?: (length: number) => number;
}

/** A whole message. Throws `BinaryHttpError` for fields or control data that HTTP does not allow. */
export function encodeBinaryHttp(
  message: BinaryMessage,
  { length = "known", padTo = (unpadded) => unpadded }: EncodeOptions = {},
): Uint8Array<ArrayBuffer> {
  const writer = new Writer();
  const known = length === "known";
  if (message.kind === "request") {
    writer.varint(known ? framing.knownRequest : framing.indeterminateRequest);
    for (const part of [message.method, message.scheme, message.authority, message.path]) {
      assertLatin1(part);
      writer.prefixed(part);
    }
  } else {
    writer.varint(known ? framing.knownResponse : framing.indeterminateResponse);
    for (const { status, headers } of message.informational ?? []) {
      if (!(status >= 100 && status <= 199)) throw new BinaryHttpError("not an informational status");
      writer.varint(status);
      writeFields(writer, headers, known);
    }
    if (!(message.status >= 200 && message.status <= 599)) throw new BinaryHttpError("not a final status");
    writer.varint(message.status);
  }
  writeBody(writer, message, known);
  return writer.finish(padTo);
}

function writeBody(writer: Writer, { headers, content, trailers = [] }: BinaryBody, known: boolean): void {
  writeFields(writer, headers, known);
  if (known || content.byteLength > 0) {
    writer.varint(content.byteLength);
    writer.bytes(content);
  }
  if (!known) writer.varint(0);
  writeFields(writer, trailers, known);
}

function writeFields(writer: Writer, fields: FieldLines, known: boolean): void {
  if (known) {
    const section: number[] = [];
    for (const [name, value] of fields) {
      assertField(name, value);
      for (const text of [name, value]) {
        pushVarint(section, text.length);
        for (let at = 0; at < text.length; at++) section.push(text.charCodeAt(at));
      }
    }
    writer.varint(section.length);
    writer.bytes(Uint8Array.from(section));
    return;
  }
  for (const [name, value] of fields) {
    assertField(name, value);
    writer.prefixed(name);
    writer.prefixed(value);
  }
  writer.varint(0);
}

function assertField(name: string, value: string): void {
  if (!isField(name, value)) throw new BinaryHttpError("not a field that HTTP allows");
}

function assertLatin1(text: string): void {
  for (let at = 0; at < text.length; at++)
    if (text.charCodeAt(at) > 0xff) throw new BinaryHttpError("control data is made of bytes");
}
