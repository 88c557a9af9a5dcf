/** Name and value, in order; names lower case. */
export type FieldLines = readonly (readonly [name: string, value: string])[];

/** What requests and responses share. */
export interface BinaryBody {
  readonly headers: FieldLines;
  readonly content: Uint8Array;
  readonly trailers?: FieldLines;
}

export interface BinaryRequest extends BinaryBody {
  readonly kind: "request";
  readonly method: string;
  readonly scheme: string;
  /** Empty where `headers` hold a Host field instead. */
  readonly authority: string;
  readonly path: string;
}

export interface BinaryResponse extends BinaryBody {
  readonly kind: "response";
  /** 200 to 599. */
  readonly status: number;
  /** The 1xx answers that came before, in order. */
  readonly informational?: readonly { readonly status: number; readonly headers: FieldLines }[];
}

/** An HTTP message as Binary HTTP (RFC 9292) carries it. */
export type BinaryMessage = BinaryRequest | BinaryResponse;

/** Not a Binary HTTP message, or one that is cut short where it may not be (RFC 9292, 4). */
export class BinaryHttpError extends Error {
  override readonly name = "BinaryHttpError";
}

/** The first number of a message (RFC 9292, 3.3). */
export const framing = {
  knownRequest: 0,
  knownResponse: 1,
  indeterminateRequest: 2,
  indeterminateResponse: 3,
} as const;

const fieldName = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
// RFC 9110, 5.5: visible bytes, with spaces and tabs between them only.
const fieldValue = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/;

/** Fields that no HTTP message may hold make the whole message invalid (RFC 9292, 3.6 and 4). */
export function isField(name: string, value: string): boolean {
  return fieldName.test(name) && fieldValue.test(value);
}

/** One character a byte: what field values and control data are made of. */
export function latin1Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}
