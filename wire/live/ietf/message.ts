import { concatBytes } from "#core/bytes.ts";
import type { Encoder } from "../encoder.ts";
import type { Draft } from "./draft.ts";
import { IetfProtocolError, sessionCode } from "./error.ts";
import { decoderOf, encoderOf, integerLength } from "./integers.ts";

/** Types of control messages. One number means different things in different drafts: the draft's table says which. */
export const messageType = {
  requestUpdate: 0x02,
  subscribe: 0x03,
  subscribeOk: 0x04,
  /** SUBSCRIBE_ERROR in 14. */
  requestError: 0x05,
  publishNamespace: 0x06,
  /** PUBLISH_NAMESPACE_OK in 14. */
  requestOk: 0x07,
  /** PUBLISH_NAMESPACE_ERROR in 14. */
  namespace: 0x08,
  publishNamespaceDone: 0x09,
  unsubscribe: 0x0a,
  publishDone: 0x0b,
  publishNamespaceCancel: 0x0c,
  trackStatus: 0x0d,
  /** TRACK_STATUS_OK in 14. */
  namespaceDone: 0x0e,
  /** TRACK_STATUS_ERROR in 14, PUBLISH_BLOCKED from 17 on. */
  publishBlocked: 0x0f,
  goaway: 0x10,
  subscribeNamespaceOld: 0x11,
  subscribeNamespaceOk: 0x12,
  subscribeNamespaceError: 0x13,
  unsubscribeNamespace: 0x14,
  maxRequestId: 0x15,
  fetch: 0x16,
  fetchCancel: 0x17,
  fetchOk: 0x18,
  fetchError: 0x19,
  requestsBlocked: 0x1a,
  publish: 0x1d,
  publishOk: 0x1e,
  publishError: 0x1f,
  clientSetup: 0x20,
  serverSetup: 0x21,
  subscribeNamespace: 0x50,
  subscribeTracks: 0x51,
  setup: 0x2f00,
} as const;

export interface Message {
  type: number;
  body: Uint8Array;
}

/** A control message: its type, a length of 16 bits, its body. */
export function encodeControl(draft: Draft, type: number, write: (body: Encoder) => void): Uint8Array {
  const body = encoderOf(draft);
  write(body);
  const bytes = body.finish();
  // Names are bounded far below this: a longer message is ours alone to prevent.
  if (bytes.length > 0xffff)
    throw new IetfProtocolError("a message is too long to be sent", sessionCode.internal);
  return concatBytes(encoderOf(draft).varint(type).u16(bytes.length).finish(), bytes);
}

const nothing = new Uint8Array(0);

/**
 * The bytes of a stream of control messages that no message was made of yet. Each `take` answers `undefined` until more
 * bytes came. A message of more than `maxBytes` is a `LiveProtocolError`.
 */
export class ControlBuffer {
  readonly #draft: Draft;
  readonly #maxBytes: number;
  #bytes: Uint8Array = nothing;

  constructor(draft: Draft, maxBytes: number) {
    this.#draft = draft;
    this.#maxBytes = maxBytes;
  }

  /** Bytes that nothing was taken of yet. */
  get bytes(): number {
    return this.#bytes.length;
  }

  push(chunk: Uint8Array): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : concatBytes(this.#bytes, chunk);
  }

  /** The type that opens a stream. One beyond 2^53 is nobody's, and stands for any such. */
  takeType(): number | undefined {
    const type = this.#type();
    if (type === undefined) return undefined;
    this.#bytes = this.#bytes.subarray(type.length);
    return type.value;
  }

  /** The same, which stays where it is. */
  peekType(): number | undefined {
    return this.#type()?.value;
  }

  takeMessage(): Message | undefined {
    const type = this.#type();
    if (type === undefined || this.#bytes.length < type.length + 2) return undefined;
    const length = this.#bytes[type.length]! * 256 + this.#bytes[type.length + 1]!;
    if (length > this.#maxBytes) throw new IetfProtocolError("a message is too large");
    const start = type.length + 2;
    if (this.#bytes.length < start + length) return undefined;
    const body = this.#bytes.subarray(start, start + length);
    this.#bytes = this.#bytes.subarray(start + length);
    return { type: type.value, body };
  }

  takeRest(): Uint8Array {
    const rest = this.#bytes;
    this.#bytes = nothing;
    return rest;
  }

  #type(): { value: number; length: number } | undefined {
    const first = this.#bytes[0];
    if (first === undefined) return undefined;
    const length = integerLength(first, this.#draft);
    if (this.#bytes.length < length) return undefined;
    const value = decoderOf(this.#bytes.subarray(0, length), this.#draft).bigVarint();
    return { value: Number(value < maxSafe ? value : maxSafe), length };
  }
}

const maxSafe = BigInt(Number.MAX_SAFE_INTEGER);
