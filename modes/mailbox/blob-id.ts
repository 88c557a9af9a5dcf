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
  let hex = "";
  for (const byte of bytes) hex += byte.toString(16).padStart(2, "0");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
