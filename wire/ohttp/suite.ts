import { Chacha20Poly1305 } from "@hpke/chacha20poly1305";
import { Aes128Gcm, Aes256Gcm, CipherSuite } from "@hpke/core";
import { gcm } from "@noble/ciphers/aes.js";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { LocalDhkemX25519, LocalHkdfSha256 } from "./hkdf.ts";

/** Something about an Oblivious HTTP message is wrong; what exactly is nobody's business (RFC 9458, 6.4). */
export class OhttpError extends Error {
  override readonly name = "OhttpError";
}

/** DHKEM(X25519, HKDF-SHA256), the one key encapsulation we speak (RFC 9180, 7.1). */
export const kemId = 0x0020;
export const kemPublicKeyBytes = 32;
export const kdfId = 0x0001;

interface Aead {
  /** Nk: bytes of a key. */
  readonly keyBytes: number;
  /** Nn: bytes of a nonce. */
  readonly nonceBytes: number;
  readonly suite: CipherSuite;
  /** Seals and opens outside HPKE: an encapsulated response is keyed by an exported secret (RFC 9458, 4.4). */
  readonly cipher: (
    key: Uint8Array,
    nonce: Uint8Array,
  ) => { encrypt(bytes: Uint8Array): Uint8Array; decrypt(bytes: Uint8Array): Uint8Array };
}

const kem = new LocalDhkemX25519();
const suiteWith = (aead: Aes128Gcm | Aes256Gcm | Chacha20Poly1305) =>
  new CipherSuite({ kem, kdf: new LocalHkdfSha256(), aead });

const aeads: ReadonlyMap<number, Aead> = new Map([
  [0x0001, { keyBytes: 16, nonceBytes: 12, suite: suiteWith(new Aes128Gcm()), cipher: gcm }],
  [0x0002, { keyBytes: 32, nonceBytes: 12, suite: suiteWith(new Aes256Gcm()), cipher: gcm }],
  [
    0x0003,
    { keyBytes: 32, nonceBytes: 12, suite: suiteWith(new Chacha20Poly1305()), cipher: chacha20poly1305 },
  ],
]);

/** AES-128-GCM, AES-256-GCM or ChaCha20-Poly1305; undefined for any other (RFC 9180, 7.3). */
export function aeadById(aeadId: number): Aead | undefined {
  return aeads.get(aeadId);
}

export const chacha20Poly1305Id = 0x0003;

/** A gateway's key pair. */
export interface GatewayKey {
  /** 0 to 255: tells the gateway which of its keys a request was sealed to. */
  readonly id: number;
  readonly publicKey: Uint8Array;
  readonly keyPair: CryptoKeyPair;
}

/** The key pair that a 32-byte seed stands for: DeriveKeyPair (RFC 9180, 7.1.3). */
export async function deriveGatewayKey(id: number, seed: Uint8Array): Promise<GatewayKey> {
  const keyPair = await kem.deriveKeyPair(seed);
  return { id, publicKey: new Uint8Array(await kem.serializePublicKey(keyPair.publicKey)), keyPair };
}

export async function importPublicKey(bytes: Uint8Array): Promise<CryptoKey> {
  try {
    return await kem.deserializePublicKey(bytes);
  } catch (cause) {
    throw new OhttpError("not a public key", { cause });
  }
}
