import {
  base64url,
  type CryptoKey,
  exportJWK,
  generateKeyPair,
  generateSecret,
  importJWK,
  type JWK,
} from "jose";
import { type Claims, ClaimsError, parseClaims } from "./claims.ts";

/** What a token may be signed with. */
export const algorithms = [
  "HS256",
  "HS384",
  "HS512",
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "EdDSA",
] as const;
export type Algorithm = (typeof algorithms)[number];

const hmacSecretMinBytes = 32;
const curves: Partial<Record<Algorithm, string>> = { ES256: "P-256", ES384: "P-384", EdDSA: "Ed25519" };
const privateMembers = ["d", "p", "q", "dp", "dq", "qi", "oth"] as const;

/** A key as its file holds it (RFC 7517), with upstream's `scope`. Secret where it can sign. */
export interface KeyFile extends JWK {
  alg: Algorithm;
  key_ops?: string[];
  scope?: { root?: string; put?: string | string[]; get?: string | string[]; cluster?: boolean };
}

/** What is wrong with a key file, in one sentence that holds nothing of the key. */
export class KeyError extends Error {
  override readonly name = "KeyError";
}

/** A key that verifies tokens. */
export interface VerifyingKey {
  readonly alg: Algorithm;
  readonly kid: string | undefined;
  /** No token of this key may allow more. */
  readonly scope: Claims | undefined;
  readonly key: CryptoKey | Uint8Array;
}

export interface SigningKey {
  readonly alg: Algorithm;
  readonly kid: string | undefined;
  readonly scope: Claims | undefined;
  readonly key: CryptoKey | Uint8Array;
}

export const kidPattern = /^[A-Za-z0-9_-]+$/;

/** Reads a key file: a JWK as JSON, or that JSON in base64url. Throws `KeyError`. */
export function parseKeyFile(text: string): KeyFile {
  const key = readJson(text.trim());
  // Keys of the oldest versions name no type: they are all shared secrets.
  if (key.kty === undefined && typeof key.k === "string") key.kty = "oct";
  const { alg, kid, key_ops } = key;
  if (!algorithms.includes(alg as Algorithm))
    throw new KeyError(`the key's alg is none of ${algorithms.join(", ")}`);
  if (kid !== undefined && !(typeof kid === "string" && kidPattern.test(kid)))
    throw new KeyError("the key's kid may hold only letters, digits, - and _");
  if (key_ops !== undefined && !(Array.isArray(key_ops) && key_ops.every((op) => typeof op === "string")))
    throw new KeyError("the key's key_ops is not a list of words");
  assertKindMatches(key, alg as Algorithm);
  scopeOf(key);
  return key as unknown as KeyFile;
}

function readJson(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    const json = text.startsWith("{")
      ? text
      : new TextDecoder().decode(base64url.decode(text.replaceAll("+", "-").replaceAll("/", "_")));
    value = JSON.parse(json);
  } catch {
    // The parser's message would quote the key.
    throw new KeyError("a key is a JWK as JSON, or that JSON in base64url");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new KeyError("a key is a JSON object");
  return value as Record<string, unknown>;
}

function assertKindMatches(key: Record<string, unknown>, alg: Algorithm): void {
  const wanted = { H: "oct", R: "RSA", P: "RSA", E: alg === "EdDSA" ? "OKP" : "EC" }[alg[0]!];
  if (key.kty !== wanted) throw new KeyError(`alg ${alg} needs a key with kty ${wanted}`);
  const curve = curves[alg];
  if (curve !== undefined && key.crv !== curve) throw new KeyError(`alg ${alg} needs crv ${curve}`);
  if (wanted === "oct" && secretBytes(key.k) < hmacSecretMinBytes)
    throw new KeyError(`a shared secret has at least ${hmacSecretMinBytes} bytes`);
}

function secretBytes(k: unknown): number {
  try {
    return base64url.decode(k as string).byteLength;
  } catch {
    return 0;
  }
}

function scopeOf(key: { readonly scope?: unknown }): Claims | undefined {
  if (key.scope === undefined) return undefined;
  if (typeof key.scope !== "object" || key.scope === null) throw new KeyError("the key's scope is no object");
  try {
    return parseClaims(key.scope as Record<string, unknown>);
  } catch (error) {
    if (!(error instanceof ClaimsError)) throw error;
    throw new KeyError(`the key's scope: ${error.message}`);
  }
}

/** The half that may be given away: it verifies and cannot sign. Throws `KeyError` for a shared secret. */
export function publicKeyFile(key: KeyFile): KeyFile {
  if (key.kty === "oct") throw new KeyError("a shared secret has no public half");
  const open = withoutPrivate(key) as KeyFile;
  if (key.key_ops) open.key_ops = key.key_ops.filter((op) => op !== "sign" && op !== "decrypt");
  return open;
}

function withoutPrivate(key: KeyFile): JWK {
  const open: JWK = { ...key };
  for (const member of privateMembers) delete open[member];
  return open;
}

/** Throws `KeyError` for a key that is not for verifying, or no key at all. */
export async function verifyingKey(file: KeyFile): Promise<VerifyingKey> {
  assertAllowed(file, "verify");
  return { alg: file.alg, kid: file.kid, scope: scopeOf(file), key: await importKey(withoutPrivate(file)) };
}

/** Throws `KeyError` for a key that is not for signing, or no key at all. */
export async function signingKey(file: KeyFile): Promise<SigningKey> {
  assertAllowed(file, "sign");
  if (file.kty !== "oct" && file.d === undefined)
    throw new KeyError("the key has no private part to sign with");
  return { alg: file.alg, kid: file.kid, scope: scopeOf(file), key: await importKey({ ...file }) };
}

function assertAllowed(file: KeyFile, operation: "sign" | "verify"): void {
  if (file.key_ops && !file.key_ops.includes(operation))
    throw new KeyError(`the key's key_ops do not allow ${operation}`);
}

async function importKey(jwk: JWK): Promise<CryptoKey | Uint8Array> {
  // WebCrypto holds sign and verify to be two keys' business; the file holds both words. Ours decided already.
  delete jwk.key_ops;
  delete jwk.use;
  try {
    return await importJWK(jwk, jwk.alg);
  } catch {
    throw new KeyError(`the key's members are no valid ${jwk.alg} key`);
  }
}

/** A fresh key, able to sign and to verify. */
export async function newKeyFile(alg: Algorithm, kid: string): Promise<KeyFile> {
  const key = alg.startsWith("HS")
    ? await generateSecret(alg, { extractable: true })
    : (await generateKeyPair(alg, { extractable: true, ...(alg === "EdDSA" ? { crv: "Ed25519" } : {}) }))
        .privateKey;
  return { ...(await exportJWK(key)), alg, kid, key_ops: ["sign", "verify"] } as KeyFile;
}
