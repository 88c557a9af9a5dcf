import { decodeBase64url, encodeBase64url } from "./base64url.ts";
import { type Bytes, fromUtf8, utf8 } from "./bytes.ts";
import { PubkyError } from "./errors.ts";
import type { PublicKey, Signer } from "./keys.ts";

const JWS_MAX_LENGTH = 16_384;

/** A compact JWS (RFC 7515) taken apart; nothing about it is checked but its form and its type. */
export interface DecodedJws {
  readonly claims: Readonly<Record<string, unknown>>;
  readonly signedText: string;
  readonly signature: Bytes;
}

/** Signs `claims` with Ed25519 (RFC 8037); the claims keep their order. */
export async function signJws(signer: Signer, typ: string, claims: object): Promise<string> {
  const header = encodeBase64url(utf8(JSON.stringify({ alg: "EdDSA", typ })));
  const signedText = `${header}.${encodeBase64url(utf8(JSON.stringify(claims)))}`;
  return `${signedText}.${encodeBase64url(await signer.sign(utf8(signedText)))}`;
}

/** @throws PubkyError `jws_malformed` for anything but three parts whose header says EdDSA and `typ` */
export function decodeJws(jws: string, typ: string): DecodedJws {
  const parts = jws.length <= JWS_MAX_LENGTH ? jws.split(".") : [];
  if (parts.length !== 3) throw new PubkyError("jws_malformed");
  try {
    const header = jsonObject(parts[0]!);
    // An extension we do not know must not be ignored (RFC 7515, 4.1.11), and we know none.
    if (header.alg !== "EdDSA" || header.typ !== typ || "crit" in header)
      throw new PubkyError("jws_malformed");
    const signature = decodeBase64url(parts[2]!);
    return { claims: jsonObject(parts[1]!), signature, signedText: `${parts[0]}.${parts[1]}` };
  } catch {
    // Without the cause: a JSON parser's message repeats what it read.
    throw new PubkyError("jws_malformed");
  }
}

/** @throws PubkyError `jws_signature` */
export function assertJwsSignedBy(jws: DecodedJws, key: PublicKey): void {
  if (!key.verify(jws.signature, utf8(jws.signedText))) throw new PubkyError("jws_signature");
}

function jsonObject(part: string): Record<string, unknown> {
  const value: unknown = JSON.parse(fromUtf8(decodeBase64url(part)));
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new PubkyError("jws_malformed");
  return value as Record<string, unknown>;
}
