import { ed25519, x25519 } from "@noble/curves/ed25519.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";

/** Who this relay is towards other relays, and towards clients that check what it says of them. */
export interface RelayIdentity {
  readonly relayId: string;
  /** X25519: what `/pubkey` tells. */
  readonly publicKey: Uint8Array;
  /** Ed25519, in hexadecimal. */
  readonly signingKey: string;
  sign(message: Uint8Array): Uint8Array;
}

/** The signing key is made of the X25519 key, so that one secret is all there is to keep. */
export function relayIdentity(relayId: string, privateKey: Uint8Array): RelayIdentity {
  const salt = utf8ToBytes("vauchi-relay-signing-v1");
  const seed = hkdf(sha256, privateKey, salt, utf8ToBytes("Ed25519 Signing Key"), 32);
  return {
    relayId,
    publicKey: x25519.getPublicKey(privateKey),
    signingKey: bytesToHex(ed25519.getPublicKey(seed)),
    sign: (message) => ed25519.sign(message, seed),
  };
}
