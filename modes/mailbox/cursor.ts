import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import type { Entropy } from "#core/clock.ts";

/**
 * Hands out positions in the store without telling them: they would show how much the whole relay takes in. A cursor
 * is good until the relay restarts; afterwards it is unknown, and an unknown cursor starts from the beginning.
 */
export class Cursors {
  readonly #key: Uint8Array;
  readonly #entropy: Entropy;

  constructor(entropy: Entropy) {
    this.#key = entropy.bytes(32);
    this.#entropy = entropy;
  }

  seal(position: number): string {
    const nonce = this.#entropy.bytes(8);
    const hidden = new Uint8Array(8);
    new DataView(hidden.buffer).setBigUint64(0, BigInt(position));
    const mask = this.#mac(nonce, 1);
    for (let at = 0; at < 8; at++) hidden[at]! ^= mask[at]!;
    const body = Uint8Array.of(...nonce, ...hidden);
    return bytesToHex(Uint8Array.of(...body, ...this.#mac(body, 2)));
  }

  open(cursor: string): number {
    if (!/^[0-9a-f]{48}$/.test(cursor)) return 0;
    const bytes = hexToBytes(cursor);
    const body = bytes.subarray(0, 16);
    if (bytesToHex(this.#mac(body, 2)) !== cursor.slice(32)) return 0;
    const mask = this.#mac(bytes.subarray(0, 8), 1);
    const position = bytes.slice(8, 16).map((byte, at) => byte ^ mask[at]!);
    return Number(new DataView(position.buffer).getBigUint64(0));
  }

  #mac(bytes: Uint8Array, use: number): Uint8Array {
    return hmac(sha256, this.#key, Uint8Array.of(use, ...bytes)).slice(0, 8);
  }
}
