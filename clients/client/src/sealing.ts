import { xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { blake3 } from "@noble/hashes/blake3.js";
import { type Entropy, systemEntropy } from "../../../core/clock.ts";
import { decodeBase64url, encodeBase64url } from "../../../wire/base64url.ts";
import { PosternError } from "./errors.ts";

/** Bytes of a secret. */
export const SECRET_BYTES = 32;
/** What sealing adds to a body, besides the letters of its content type. */
export const SEALED_OVERHEAD_BYTES = 42;

const VERSION = 1;
const NONCE_BYTES = 24;
const TAG_BYTES = 16;
// protocol/sealed-messages.md, "Keys".
const KEY_CONTEXT = /* @__PURE__ */ new TextEncoder().encode("postern 2026-11-21 sealed message v1 key");

/** What two sides share: its 32 bytes, or their base64url. Whoever has it can read, send and acknowledge. */
export type Secret = Uint8Array | string;

/** A fresh secret, as base64url. */
export function createSecret(entropy: Entropy = systemEntropy): string {
  return encodeBase64url(entropy.bytes(SECRET_BYTES));
}

/** @throws PosternError `secret_malformed` */
export function secretBytes(secret: Secret): Uint8Array {
  const bytes = typeof secret === "string" ? decodeBase64url(secret) : secret;
  if (bytes?.length !== SECRET_BYTES) throw new PosternError("secret_malformed");
  return bytes;
}

/**
 * The id of the secret's channel: base64url of its BLAKE3 hash, as Pubky has it. The relay learns it, and nothing of
 * the secret.
 *
 * @throws PosternError `secret_malformed`
 */
export function channelIdOf(secret: Secret): string {
  return encodeBase64url(blake3(secretBytes(secret)));
}

export interface OpenedMessage {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly contentType: string;
}

/** Seals and opens the messages of one secret (protocol/sealed-messages.md). */
export class Sealer {
  readonly #key: Uint8Array;

  /** @throws PosternError `secret_malformed` */
  constructor(secret: Secret) {
    this.#key = blake3(secretBytes(secret), { context: KEY_CONTEXT });
  }

  /** @throws PosternError `content_type_malformed` */
  seal(body: Uint8Array, contentType: string, entropy: Entropy): Uint8Array<ArrayBuffer> {
    if (!/^[ -~]{0,255}$/.test(contentType)) throw new PosternError("content_type_malformed");
    const plain = new Uint8Array(1 + contentType.length + body.length);
    plain[0] = contentType.length;
    plain.set(new TextEncoder().encode(contentType), 1);
    plain.set(body, 1 + contentType.length);

    const head = Uint8Array.of(VERSION);
    const nonce = entropy.bytes(NONCE_BYTES);
    const box = xchacha20poly1305(this.#key, nonce, head).encrypt(plain);
    const sealed = new Uint8Array(1 + NONCE_BYTES + box.length);
    sealed.set(head);
    sealed.set(nonce, 1);
    sealed.set(box, 1 + NONCE_BYTES);
    return sealed;
  }

  /** @throws PosternError `sealed_malformed`, which tells no more than that */
  open(sealed: Uint8Array): OpenedMessage {
    const head = sealed.subarray(0, 1);
    if (head[0] !== VERSION || sealed.length < 1 + NONCE_BYTES + TAG_BYTES + 1)
      throw new PosternError("sealed_malformed");
    let plain: Uint8Array;
    try {
      const nonce = sealed.subarray(1, 1 + NONCE_BYTES);
      plain = xchacha20poly1305(this.#key, nonce, head).decrypt(sealed.subarray(1 + NONCE_BYTES));
    } catch {
      throw new PosternError("sealed_malformed");
    }
    const bodyAt = 1 + plain[0]!;
    if (bodyAt > plain.length) throw new PosternError("sealed_malformed");
    const contentType = new TextDecoder().decode(plain.subarray(1, bodyAt));
    if (!/^[ -~]*$/.test(contentType)) throw new PosternError("sealed_malformed");
    return { body: plain.slice(bodyAt), contentType };
  }
}
