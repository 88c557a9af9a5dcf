import type { Entropy } from "../../core/clock.ts";

/** Sizes that hide a small message's own; above the last, multiples of 256 (mailbox protocol, "Padding"). */
const buckets: readonly number[] = [256, 512, 1024, 4096];
/** Sizes for answers to fetch: what a mailbox holds shows in three steps only. */
const fetchRungs: readonly number[] = [4096, 32_768, 98_304];

const lengthBytes = 4;

/** The size that a message of `length` bytes is filled to, its length prefix included. */
export function bucketOf(length: number): number {
  const size = lengthBytes + length;
  return buckets.find((bucket) => size <= bucket) ?? Math.ceil(size / 256) * 256;
}

/** As `bucketOf`, for answers to fetch. */
export function fetchRungOf(length: number): number {
  return fetchRungs.find((rung) => lengthBytes + length <= rung) ?? bucketOf(length);
}

/** The length, the message, then random bytes up to `size`. */
export function pad(message: Uint8Array, size: number, entropy: Entropy): Uint8Array<ArrayBuffer> {
  const padded = new Uint8Array(size);
  new DataView(padded.buffer).setUint32(0, message.byteLength);
  padded.set(message, lengthBytes);
  const used = lengthBytes + message.byteLength;
  padded.set(entropy.bytes(size - used), used);
  return padded;
}

/** The message in `padded`, whatever its size; undefined where the length does not fit. */
export function unpad(padded: Uint8Array): Uint8Array | undefined {
  if (padded.byteLength < lengthBytes) return undefined;
  const length = new DataView(padded.buffer, padded.byteOffset).getUint32(0);
  if (lengthBytes + length > padded.byteLength) return undefined;
  return padded.subarray(lengthBytes, lengthBytes + length);
}
