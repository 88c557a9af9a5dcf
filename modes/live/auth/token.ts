import { sha256 } from "@noble/hashes/sha2.js";
import { decodeProtectedHeader, errors, type JWTPayload, jwtVerify, SignJWT } from "jose";
import type { Instant } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import { encodeBase64url } from "#wire/base64url.ts";
import { type Claims, ClaimsError, isWithin, parseClaims } from "./claims.ts";
import { KeyError, type SigningKey, type VerifyingKey } from "./key.ts";
import type { KeySource } from "./key-source.ts";

/** A longer token is refused unread. */
export const jwtMaxLength = 8192;

/** A token that was verified. */
export interface VerifiedToken extends Claims {
  /** From this moment on its sessions end; undefined for a token without `exp`. */
  readonly expiresAt: Instant | undefined;
}

function refuse(text: string, cause?: unknown): never {
  throw new RelayError("unauthorized", { text, cause });
}

/** Checks signature, time, claims and the key's ceiling. Throws `unauthorized` with a sentence that is safe to send. */
export async function verifyToken(jwt: string, keys: KeySource, now: Instant): Promise<VerifiedToken> {
  if (jwt.length > jwtMaxLength) refuse("The token is too long");
  const key = await keys(kidOf(jwt));
  if (!key) refuse("The token's key is unknown");
  const payload = await verifySignature(jwt, key, now);
  const claims = readClaims(payload);
  if (key.scope && !isWithin(key.scope, claims)) refuse("The token allows more than its key may");
  return { ...claims, expiresAt: payload.exp === undefined ? undefined : payload.exp * 1000 };
}

/**
 * Names a token in a list of revoked ones without giving it away: SHA-256 of what is signed, in base64url. The signature
 * is left out because it can be written in more than one way.
 */
export function tokenId(jwt: string): string {
  return encodeBase64url(sha256(new TextEncoder().encode(jwt.slice(0, jwt.lastIndexOf(".")))));
}

/** Names the key that a token is signed with. Throws `unauthorized` for what is no token. */
export function kidOf(jwt: string): string | undefined {
  try {
    return decodeProtectedHeader(jwt).kid;
  } catch (error) {
    return refuse("The token is malformed", error);
  }
}

async function verifySignature(jwt: string, key: VerifyingKey, now: Instant): Promise<JWTPayload> {
  try {
    const options = { algorithms: [key.alg], currentDate: new Date(now) };
    return (await jwtVerify(jwt, key.key, options)).payload;
  } catch (error) {
    if (error instanceof errors.JWTExpired) return refuse("The token has expired", error);
    if (error instanceof errors.JWTClaimValidationFailed) return refuse("The token is not valid now", error);
    return refuse("The token's signature does not verify", error);
  }
}

function readClaims(payload: JWTPayload): Claims {
  try {
    return parseClaims(payload);
  } catch (error) {
    return refuse(
      error instanceof ClaimsError ? `The token's ${error.message}` : "The token is malformed",
      error,
    );
  }
}

export interface TokenWish {
  readonly root: string;
  readonly put: readonly string[];
  readonly get: readonly string[];
  readonly cluster: boolean;
  /** Undefined: it never expires. */
  readonly expiresAt: Instant | undefined;
}

/** Signs a token. Throws `ClaimsError` for one that would be useless, `KeyError` for one beyond the key's scope. */
export async function mintToken(key: SigningKey, wish: TokenWish, now: Instant): Promise<string> {
  const { root, put, get, cluster } = parseClaims({ ...wish });
  if (key.scope && !isWithin(key.scope, { root, put, get, cluster }))
    throw new KeyError("the key's scope does not reach this far");
  const token = new SignJWT({ root, put, get, ...(cluster ? { cluster } : {}) })
    .setProtectedHeader({ alg: key.alg, typ: "JWT", ...(key.kid === undefined ? {} : { kid: key.kid }) })
    .setIssuedAt(Math.floor(now / 1000));
  if (wish.expiresAt !== undefined) token.setExpirationTime(Math.floor(wish.expiresAt / 1000));
  return token.sign(key.key);
}
