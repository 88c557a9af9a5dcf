import { expand, extract } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { aeadById, OhttpError } from "./suite.ts";

const text = new TextEncoder();

/** What both ends export from the request's HPKE context to protect the response (RFC 9458, 4.4). */
export const responseLabel = text.encode("message/bhttp response");

/** `message/bhttp request`, a zero byte and the header: what the request's HPKE context is bound to (RFC 9458, 4.3). */
export function requestInfo(header: Uint8Array): Uint8Array<ArrayBuffer> {
  const label = text.encode("message/bhttp request");
  const info = new Uint8Array(label.byteLength + 1 + header.byteLength);
  info.set(label);
  info.set(header, label.byteLength + 1);
  return info;
}

/** max(Nn, Nk): bytes of the exported secret and of the response's nonce. */
export function responseNonceBytes(aeadId: number): number {
  const { keyBytes, nonceBytes } = aeadById(aeadId)!;
  return Math.max(keyBytes, nonceBytes);
}

function responseCipher(aeadId: number, secret: Uint8Array, enc: Uint8Array, responseNonce: Uint8Array) {
  const { keyBytes, nonceBytes, cipher } = aeadById(aeadId)!;
  const salt = new Uint8Array(enc.byteLength + responseNonce.byteLength);
  salt.set(enc);
  salt.set(responseNonce, enc.byteLength);
  const prk = extract(sha256, secret, salt);
  const key = expand(sha256, prk, text.encode("key"), keyBytes);
  return cipher(key, expand(sha256, prk, text.encode("nonce"), nonceBytes));
}

/** The encapsulated response: the nonce, then the sealed bytes. `responseNonce` must be fresh. */
export function sealResponse(
  aeadId: number,
  secret: Uint8Array,
  enc: Uint8Array,
  responseNonce: Uint8Array,
  response: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const sealed = responseCipher(aeadId, secret, enc, responseNonce).encrypt(response);
  const whole = new Uint8Array(responseNonce.byteLength + sealed.byteLength);
  whole.set(responseNonce);
  whole.set(sealed, responseNonce.byteLength);
  return whole;
}

/** Throws `OhttpError`. */
export function openResponse(
  aeadId: number,
  secret: Uint8Array,
  enc: Uint8Array,
  encapsulated: Uint8Array,
): Uint8Array {
  const nonceBytes = responseNonceBytes(aeadId);
  if (encapsulated.byteLength < nonceBytes) throw new OhttpError("response is too short");
  try {
    const cipher = responseCipher(aeadId, secret, enc, encapsulated.subarray(0, nonceBytes));
    return cipher.decrypt(encapsulated.subarray(nonceBytes));
  } catch (cause) {
    throw new OhttpError("response cannot be opened", { cause });
  }
}
