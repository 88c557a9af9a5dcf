import { hexOf } from "#core/bytes.ts";
import type { Entropy } from "#core/clock.ts";

/** A random UUID (RFC 9562, 5.4). */
export function newBlobId(entropy: Entropy): string {
  return uuid(entropy, 4);
}

/**
 * The id of a message that another relay gave us: random too, with version 8 (RFC 9562, 5.8). So it is told from our own
 * without a note about each, and is never given on.
 */
export function receivedBlobId(entropy: Entropy): string {
  return uuid(entropy, 8);
}

export function isReceivedBlobId(blobId: string): boolean {
  return blobId[14] === "8";
}

function uuid(entropy: Entropy, version: number): string {
  const bytes = entropy.bytes(16);
  bytes[6] = (bytes[6]! & 0x0f) | (version << 4);
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = hexOf(bytes);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
