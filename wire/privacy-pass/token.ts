import { concatBytes } from "#core/bytes.ts";
import { ByteReader, u16Bytes } from "./byte-reader.ts";
import { bareTokenTag, blindRsa2048 } from "./codepoints.ts";

/** A token of type 0x0002 (RFC 9577, 2.2; RFC 9578, 6). */
export interface PrivateToken {
  /** 32 bytes the client chose: what makes a token spent. */
  readonly nonce: Uint8Array;
  /** SHA-256 of the challenge it answers. */
  readonly challengeDigest: Uint8Array;
  /** SHA-256 of the issuer's public key. */
  readonly keyId: Uint8Array;
  /** 256 bytes, over everything before them. */
  readonly signature: Uint8Array;
}

/** Bytes of a whole token, and of the part that is signed. */
export const tokenLength = 354;
export const signedLength = 98;

export function signedPart(token: PrivateToken): Uint8Array<ArrayBuffer> {
  return concatBytes(u16Bytes(blindRsa2048), token.nonce, token.challengeDigest, token.keyId);
}

export function encodeToken(token: PrivateToken): Uint8Array<ArrayBuffer> {
  return concatBytes(signedPart(token), token.signature);
}

/** Undefined for what is no token of type 0x0002. */
export function decodeToken(bytes: Uint8Array): PrivateToken | undefined {
  const from = new ByteReader(bytes);
  const tokenType = from.u16();
  const token = {
    nonce: from.take(32),
    challengeDigest: from.take(32),
    keyId: from.take(32),
    signature: from.take(256),
  };
  return from.complete && tokenType === blindRsa2048 ? token : undefined;
}

/**
 * The token in the value of SETUP parameter 0x03 as the original relay's clients send it: `01`, its length in two bytes,
 * the token. Undefined for anything else, such as moq-transport's own structure, which begins with an alias type.
 */
export function decodeSetupToken(value: Uint8Array): Uint8Array | undefined {
  const from = new ByteReader(value);
  const tag = from.u8();
  const token = from.take(from.u16());
  if (!from.complete || tag !== bareTokenTag || token.length !== tokenLength) return undefined;
  return token[0] === 0 && token[1] === blindRsa2048 ? token : undefined;
}

export function encodeSetupToken(token: Uint8Array): Uint8Array<ArrayBuffer> {
  return concatBytes(Uint8Array.of(bareTokenTag), u16Bytes(token.length), token);
}
