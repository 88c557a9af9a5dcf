import { concatBytes } from "#core/bytes.ts";
import type { Entropy } from "#core/clock.ts";
import { bucketOf, pad, unpad } from "#wire/mailbox/padding.ts";

const lengthBytes = 4;
const brace = "{".charCodeAt(0);

/** A message between relays: its length and itself, padded like everything of the mailbox (mailbox protocol, "Federation"). */
export function encodeFrame(json: string, entropy: Entropy): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(json);
  const length = new Uint8Array(lengthBytes);
  new DataView(length.buffer).setUint32(0, text.byteLength);
  const message = concatBytes(length, text);
  return pad(message, bucketOf(message.byteLength), entropy);
}

/** The message in a frame, padded or, as the first relays sent it, not; undefined for anything else. */
export function decodeFrame(frame: Uint8Array): string | undefined {
  const message = frame[2 * lengthBytes] === brace ? unpad(frame) : frame;
  if (!message || message.byteLength <= lengthBytes || message[lengthBytes] !== brace) return undefined;
  const length = new DataView(message.buffer, message.byteOffset).getUint32(0);
  if (lengthBytes + length !== message.byteLength) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(message.subarray(lengthBytes));
  } catch {
    return undefined;
  }
}
