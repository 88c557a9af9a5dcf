import { decodeBase64url, encodeBase64url } from "../base64url.ts";

/** Tokens of one header that are looked at. */
export const headerTokensMax = 4;

/** Bytes in a header: base64url with padding (RFC 9577, 2.1). */
function quoted(bytes: Uint8Array): string {
  const text = encodeBase64url(bytes);
  return `"${text}${"=".repeat(-text.length & 3)}"`;
}

/** Bytes that a remote wrote as base64url, padded or not; undefined for anything else. */
export function decodePadded(text: string): Uint8Array<ArrayBuffer> | undefined {
  return decodeBase64url(text.replace(/={1,2}$/, ""));
}

/** The value of `WWW-Authenticate` that asks for a token. `tokenKey` is the issuer's key as its directory has it. */
export function challengeHeader(challenge: Uint8Array, tokenKey: Uint8Array): string {
  return `PrivateToken challenge=${quoted(challenge)}, token-key=${quoted(tokenKey)}`;
}

/** The value of `Authorization` that gives a token. */
export function tokenHeader(token: Uint8Array): string {
  return `PrivateToken token=${quoted(token)}`;
}

/**
 * The tokens of an `Authorization` header, at most `headerTokensMax`; quotes are optional. Other schemes and what cannot
 * be decoded are passed over.
 */
export function parseTokenHeader(value: string | undefined): Uint8Array[] {
  const found = (value ?? "").matchAll(
    /(?:^|,)\s*PrivateToken\s+token\s*=\s*"?([A-Za-z0-9_-]+={0,2})"?\s*(?=,|$)/gi,
  );
  return found
    .take(headerTokensMax)
    .map(([, text]) => decodePadded(text!))
    .filter((token) => token !== undefined)
    .toArray();
}
