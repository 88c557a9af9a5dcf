import { xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { blake3 } from "@noble/hashes/blake3.js";
import type { Entropy } from "../../../../core/clock.ts";
import { Encoder } from "../../../../wire/live/encoder.ts";
import { type Secret, secretBytes } from "../sealing.ts";

/** What sealing adds to a frame. */
export const SEALED_FRAME_OVERHEAD_BYTES = 41;

const version = 1;
const nonceBytes = 24;
// protocol/sealed-frames.md, "Key".
const keyContext = /* @__PURE__ */ new TextEncoder().encode("postern 2026-11-21 sealed live frame v1 key");

/** Where a frame stands. A relay that moves it elsewhere makes it unreadable. */
export interface FramePlace {
  readonly track: string;
  readonly group: number;
  /** Frames before it in its group. */
  readonly index: number;
}

/** Seals and opens the frames of one secret (protocol/sealed-frames.md). */
export class FrameSealer {
  readonly #key: Uint8Array;

  /** @throws PosternError `secret_malformed` */
  constructor(secret: Secret) {
    this.#key = blake3(secretBytes(secret), { context: keyContext });
  }

  seal(payload: Uint8Array, place: FramePlace, entropy: Entropy): Uint8Array<ArrayBuffer> {
    const nonce = entropy.bytes(nonceBytes);
    const box = xchacha20poly1305(this.#key, nonce, placeBytes(place)).encrypt(payload);
    const sealed = new Uint8Array(1 + nonceBytes + box.length);
    sealed[0] = version;
    sealed.set(nonce, 1);
    sealed.set(box, 1 + nonceBytes);
    return sealed;
  }

  /** `undefined`: not sealed with this secret, or not for this place. */
  open(sealed: Uint8Array, place: FramePlace): Uint8Array<ArrayBuffer> | undefined {
    if (sealed[0] !== version || sealed.length < SEALED_FRAME_OVERHEAD_BYTES) return undefined;
    const nonce = sealed.subarray(1, 1 + nonceBytes);
    try {
      const opened = xchacha20poly1305(this.#key, nonce, placeBytes(place)).decrypt(
        sealed.subarray(1 + nonceBytes),
      );
      return opened as Uint8Array<ArrayBuffer>;
    } catch {
      return undefined;
    }
  }
}

const placeBytes = ({ track, group, index }: FramePlace): Uint8Array =>
  new Encoder().u8(version).string(track).varint(group).varint(index).finish();
