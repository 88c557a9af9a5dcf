import { hexOf } from "#core/bytes.ts";

/** What `Key-Fingerprint` says of a key configuration: its SHA-256 in hexadecimal. */
export async function keyFingerprint(config: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", config));
  return hexOf(digest);
}
