import type { Instant } from "#core/clock.ts";

/** How far a signed request's time may be from ours, either way. */
export const signedWindowMs = 60_000;

/** Seconds, as a signer writes them, within a minute of `now`; exactly a minute passes. */
export function isTimely(timestampSeconds: number, now: Instant): boolean {
  return Math.abs(Math.floor(now / 1000) - timestampSeconds) * 1000 <= signedWindowMs;
}

/** `timestamp` as eight bytes, most significant first. */
export function u64(timestamp: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(timestamp));
  return bytes;
}

/** Ed25519 (RFC 8032). False for a key that is none, too. */
export async function isSignedBy(
  publicKey: Uint8Array,
  signature: Uint8Array,
  message: Uint8Array,
): Promise<boolean> {
  try {
    const key = await crypto.subtle.importKey("raw", publicKey.slice(), "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", key, signature.slice(), message.slice());
  } catch {
    return false;
  }
}
