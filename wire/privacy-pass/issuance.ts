import { ByteReader } from "./byte-reader.ts";
import { blindRsa2048 } from "./codepoints.ts";
import { type IssuerKey, parseIssuerKey } from "./issuer-key.ts";

/** Where an issuer tells its keys (RFC 9578, 4). */
export const directoryPath = "/.well-known/private-token-issuer-directory";
export const directoryMediaType = "application/private-token-issuer-directory";
export const tokenRequestMediaType = "application/private-token-request";
export const tokenResponseMediaType = "application/private-token-response";

/** Bytes of a request, and of the answer to it, for type 0x0002 (RFC 9578, 6.1 and 6.2). */
export const tokenRequestLength = 259;
export const blindedLength = 256;

export interface TokenRequest {
  /** Last byte of the key id. */
  readonly truncatedKeyId: number;
  readonly blinded: Uint8Array;
}

/** Undefined for what is no request of type 0x0002. */
export function decodeTokenRequest(bytes: Uint8Array): TokenRequest | undefined {
  const from = new ByteReader(bytes);
  const tokenType = from.u16();
  const request = { truncatedKeyId: from.u8(), blinded: from.take(blindedLength) };
  return from.complete && tokenType === blindRsa2048 ? request : undefined;
}

/** A directory of keys of type 0x0002, each in base64url. */
export function encodeDirectory(requestUri: string, keys: readonly string[]): string {
  return JSON.stringify({
    "issuer-request-uri": requestUri,
    "token-keys": keys.map((key) => ({ "token-type": blindRsa2048, "token-key": key })),
  });
}

/**
 * The keys of type 0x0002 in a directory that are good at `nowSeconds`, in its order. Undefined for what is no directory;
 * entries that are no such key are passed over.
 */
export function decodeDirectory(text: string, nowSeconds: number): IssuerKey[] | undefined {
  let directory: unknown;
  try {
    directory = JSON.parse(text);
  } catch {
    return undefined;
  }
  const entries = (directory as { "token-keys"?: unknown } | null)?.["token-keys"];
  if (!Array.isArray(entries)) return undefined;
  return entries
    .filter((entry) => entry?.["token-type"] === blindRsa2048 && !(entry["not-before"] > nowSeconds))
    .map((entry) => parseIssuerKey(new TextEncoder().encode(String(entry["token-key"]))))
    .filter((key) => key !== undefined);
}
