import { xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import { concatBytes } from "../../../core/bytes.ts";
import type { Bytes } from "./bytes.ts";
import { PubkyError } from "./errors.ts";

export const SEAL_NONCE_BYTES = 24;
const TAG_BYTES = 16;

/** What sealing adds to a message that is not empty. */
export const SEAL_OVERHEAD_BYTES = SEAL_NONCE_BYTES + TAG_BYTES;

/**
 * NaCl secretbox under a 32-byte key: `nonce (24) | tag (16) | ciphertext`. Nothing seals to nothing.
 *
 * The nonce must be fresh random bytes; it is an argument so that vectors can be tests.
 */
export function seal(key: Uint8Array, nonce: Uint8Array, message: Uint8Array): Bytes {
  if (key.length !== 32) throw new PubkyError("secret_malformed");
  if (message.length === 0) return new Uint8Array(0);
  return concatBytes(nonce, xsalsa20poly1305(key, nonce).encrypt(message));
}

/** @throws PubkyError `sealed_too_short`, `sealed_undecryptable` */
export function open(key: Uint8Array, box: Uint8Array): Bytes {
  if (key.length !== 32) throw new PubkyError("secret_malformed");
  if (box.length < SEAL_NONCE_BYTES) {
    throw new PubkyError("sealed_too_short", {
      message: `Encrypted message too small, expected at least 24 bytes nonce, received ${box.length} bytes`,
    });
  }
  try {
    const cipher = xsalsa20poly1305(key, box.subarray(0, SEAL_NONCE_BYTES));
    return Uint8Array.from(cipher.decrypt(box.subarray(SEAL_NONCE_BYTES)));
  } catch {
    // A failed decryption says that it failed and nothing else.
    throw new PubkyError("sealed_undecryptable");
  }
}
