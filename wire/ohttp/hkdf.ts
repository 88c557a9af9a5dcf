import { DhkemX25519HkdfSha256, HkdfSha256 } from "@hpke/core";
import { expand, extract } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";

type Bytes = ArrayBufferLike | ArrayBufferView;

/**
 * HKDF-SHA256 (RFC 5869) for HPKE, computed where it is called.
 *
 * HPKE takes some dozen of them for a message, and as a job of Web Cryptography each costs several times the hash.
 */
export class LocalHkdfSha256 extends HkdfSha256 {
  override async extract(salt: Bytes, ikm: Bytes): Promise<ArrayBuffer> {
    return extract(sha256, viewOf(ikm), viewOf(salt)).slice().buffer;
  }

  override async expand(prk: Bytes, info: Bytes, length: number): Promise<ArrayBuffer> {
    return expand(sha256, viewOf(prk), viewOf(info), length).slice().buffer;
  }

  override async extractAndExpand(
    salt: Bytes,
    ikm: Bytes,
    info: Bytes,
    length: number,
  ): Promise<ArrayBuffer> {
    return expand(sha256, extract(sha256, viewOf(ikm), viewOf(salt)), viewOf(info), length).slice().buffer;
  }
}

/** DHKEM(X25519, HKDF-SHA256) over it (RFC 9180, 4.1). */
export class LocalDhkemX25519 extends DhkemX25519HkdfSha256 {
  constructor() {
    super();
    this._kdf = new LocalHkdfSha256();
    this._kdf.init(new Uint8Array([...new TextEncoder().encode("KEM"), this.id >> 8, this.id & 0xff]));
  }
}

function viewOf(bytes: Bytes): Uint8Array {
  return ArrayBuffer.isView(bytes)
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes);
}
