import { ed25519 } from "@noble/curves/ed25519.js";
import type { Entropy } from "../../../core/clock.ts";
import { systemEntropy } from "../../../core/clock.ts";
import { type Bytes, equalBytes } from "./bytes.ts";
import { PubkyError } from "./errors.ts";
import { decodeZbase32, encodeZbase32 } from "./zbase32.ts";

const DISPLAY_PREFIX = "pubky";
const Z32_LENGTH = 52;

/** Who can sign for a public key: a key pair here, or a key elsewhere that never leaves its device. */
export interface Signer {
  readonly publicKey: PublicKey;
  /** A plain Ed25519 signature (RFC 8032), 64 bytes. */
  sign(message: Uint8Array): Uint8Array | Promise<Uint8Array>;
}

/** A person's or an app's identity: an Ed25519 public key. */
export class PublicKey {
  /** The bare text form, 52 letters: for host names, headers, storage and the protocol. */
  readonly z32: string;
  readonly #bytes: Bytes;

  private constructor(bytes: Bytes, z32: string) {
    this.#bytes = bytes;
    this.z32 = z32;
  }

  /** @throws PubkyError `key_malformed` unless `bytes` are 32 and name a point on the curve. */
  static fromBytes(bytes: Uint8Array): PublicKey {
    if (bytes.length !== 32 || !isCurvePoint(bytes)) throw new PubkyError("key_malformed");
    return new PublicKey(Uint8Array.from(bytes), encodeZbase32(bytes));
  }

  /**
   * Takes the bare form and the display form (`pubky…`).
   *
   * @throws PubkyError `key_malformed`
   */
  static parse(text: string): PublicKey {
    const bare =
      text.length === DISPLAY_PREFIX.length + Z32_LENGTH && text.startsWith(DISPLAY_PREFIX)
        ? text.slice(DISPLAY_PREFIX.length)
        : text;
    return PublicKey.parseZ32(bare);
  }

  /**
   * Takes the bare form alone, as the protocol does in host names, links and claims.
   *
   * @throws PubkyError `key_malformed`
   */
  static parseZ32(text: string): PublicKey {
    const bytes = text.length === Z32_LENGTH ? decodeZbase32(text) : undefined;
    if (bytes === undefined) throw new PubkyError("key_malformed");
    return PublicKey.fromBytes(bytes);
  }

  toBytes(): Bytes {
    return this.#bytes.slice();
  }

  equals(other: PublicKey): boolean {
    return equalBytes(this.#bytes, other.#bytes);
  }

  /** Whether `signature` is this key's over `message`; false, never an exception, for anything malformed. */
  verify(signature: Uint8Array, message: Uint8Array): boolean {
    if (signature.length !== 64) return false;
    // The strict rules of RFC 8032: no small-order key, no second encoding of a signature.
    return ed25519.verify(signature, message, this.#bytes, { zip215: false });
  }

  /** The form to show to people: `pubky` and the 52 letters. */
  toString(): string {
    return DISPLAY_PREFIX + this.z32;
  }

  toJSON(): string {
    return this.z32;
  }
}

function isCurvePoint(bytes: Uint8Array): boolean {
  try {
    ed25519.Point.fromBytes(bytes, false);
    return true;
  } catch {
    return false;
  }
}

/** An Ed25519 key pair. Its secret shows in no log, no JSON and no inspection. */
export class Keypair implements Signer {
  readonly publicKey: PublicKey;
  readonly #secret: Bytes;

  private constructor(secret: Bytes) {
    this.#secret = secret;
    this.publicKey = PublicKey.fromBytes(ed25519.getPublicKey(secret));
  }

  static random(entropy: Entropy = systemEntropy): Keypair {
    return new Keypair(entropy.bytes(32));
  }

  /** @throws PubkyError `secret_malformed` unless `secret` is 32 bytes: the Ed25519 seed. */
  static fromSecret(secret: Uint8Array): Keypair {
    if (secret.length !== 32) throw new PubkyError("secret_malformed");
    return new Keypair(Uint8Array.from(secret));
  }

  /** A copy of the seed. Whoever has it is this person. */
  secretBytes(): Bytes {
    return this.#secret.slice();
  }

  sign(message: Uint8Array): Bytes {
    return Uint8Array.from(ed25519.sign(message, this.#secret));
  }

  /** Only the public half. */
  toJSON(): { publicKey: string } {
    return { publicKey: this.publicKey.z32 };
  }
}
