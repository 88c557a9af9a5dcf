import { type CryptoKey, importJWK, type JWK, type JWTPayload, jwtVerify, SignJWT } from "jose";
import type { Instant } from "#core/clock.ts";
import { hasPrefix, joinPath, normalizePath } from "./path.ts";

/** What a token says. Prefixes are relative to `root`. */
export interface Claims {
  root: string;
  put: readonly string[];
  get: readonly string[];
  cluster: boolean;
  /** In ms since 1970. */
  expiresAt: Instant | undefined;
}

/** A token that counts for nothing: forged, expired, malformed, or beyond what its key may grant. */
export class TokenRefusedError extends Error {
  override readonly name = "TokenRefusedError";
}

/** A key file that cannot be used; the message is for the operator and holds nothing of the key. */
export class KeyUnusableError extends Error {
  override readonly name = "KeyUnusableError";
}

const algorithmsOf: Readonly<Record<string, readonly string[]>> = {
  oct: ["HS256", "HS384", "HS512"],
  RSA: ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  EC: ["ES256", "ES384"],
  OKP: ["EdDSA"],
};

/** RFC 7518, 3.2: a key of the size of the hash; half of it is guessable by nobody, less is refused. */
const secretMinBytes = 32;

/** The highest a key may grant: members that key tools of this family add to a JWK. */
interface Scope {
  root: string;
  put: readonly string[];
  get: readonly string[];
}

/** Checks tokens with one key, and makes them where the key can sign. */
export class TokenKey {
  readonly #jwk: JWK;
  readonly #algorithm: string;
  readonly #verifier: CryptoKey | Uint8Array;
  readonly #scope: Scope | undefined;

  private constructor(
    jwk: JWK,
    algorithm: string,
    verifier: CryptoKey | Uint8Array,
    scope: Scope | undefined,
  ) {
    this.#jwk = jwk;
    this.#algorithm = algorithm;
    this.#verifier = verifier;
    this.#scope = scope;
  }

  /** `text`: a JWK as JSON, or that JSON in base64url. Rejects with `KeyUnusableError`. */
  static async read(text: string): Promise<TokenKey> {
    const jwk = parseJwk(text.trim());
    const allowed = algorithmsOf[jwk.kty ?? ""];
    if (allowed === undefined)
      throw new KeyUnusableError("the key has a type (kty) that no token is signed with");
    const algorithm = jwk.alg;
    if (algorithm === undefined || !allowed.includes(algorithm)) {
      throw new KeyUnusableError(`the key needs an algorithm (alg), one of ${allowed.join(", ")}`);
    }
    const { key_ops } = jwk;
    if (key_ops !== undefined && !key_ops.includes("verify") && !key_ops.includes("sign")) {
      throw new KeyUnusableError("the key's operations (key_ops) allow neither verify nor sign");
    }
    try {
      const verifier = await importJWK(publicPartOf(jwk), algorithm);
      if (verifier instanceof Uint8Array && verifier.length < secretMinBytes) {
        throw new KeyUnusableError(`the secret is shorter than ${secretMinBytes} bytes`);
      }
      return new TokenKey(jwk, algorithm, verifier, scopeOf(jwk));
    } catch (error) {
      if (error instanceof KeyUnusableError) throw error;
      throw new KeyUnusableError("the key is not a well-formed JWK", { cause: error });
    }
  }

  /** What the token says, if it counts at `now`. Rejects with `TokenRefusedError`. */
  async verify(token: string, now: Instant): Promise<Claims> {
    let payload: JWTPayload;
    try {
      const options = { algorithms: [this.#algorithm], currentDate: new Date(now) };
      payload = (await jwtVerify(token, this.#verifier, options)).payload;
    } catch (error) {
      throw new TokenRefusedError("the token does not count", { cause: error });
    }
    const claims = claimsOf(payload);
    if (this.#scope !== undefined && !within(claims, this.#scope)) {
      throw new TokenRefusedError("the token asks for more than its key may grant");
    }
    return claims;
  }

  /** A token with these claims. Rejects with `KeyUnusableError` where the key can only check. */
  async sign(claims: Claims, now: Instant): Promise<string> {
    const { root, put, get, cluster, expiresAt } = claims;
    const signer = await importJWK(this.#jwk, this.#algorithm).catch(() => undefined);
    if (signer === undefined || (this.#jwk.kty !== "oct" && this.#jwk.d === undefined)) {
      throw new KeyUnusableError("the key has no private part to sign with");
    }
    const jwt = new SignJWT({ root, put: [...put], get: [...get], ...(cluster ? { cluster } : {}) })
      .setProtectedHeader({
        alg: this.#algorithm,
        typ: "JWT",
        ...(this.#jwk.kid === undefined ? {} : { kid: this.#jwk.kid }),
      })
      .setIssuedAt(Math.floor(now / 1000));
    if (expiresAt !== undefined) jwt.setExpirationTime(Math.floor(expiresAt / 1000));
    return jwt.sign(signer);
  }
}

function parseJwk(text: string): JWK {
  const json = text.startsWith("{") ? text : decodeBase64Url(text);
  try {
    const jwk: unknown = JSON.parse(json);
    if (typeof jwk === "object" && jwk !== null) return jwk as JWK;
  } catch {
    // Told below: the parser's own message would quote the key.
  }
  throw new KeyUnusableError("the key file holds no JWK, neither as JSON nor as base64url of it");
}

function decodeBase64Url(text: string): string {
  try {
    const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return new TextDecoder().decode(Uint8Array.from(binary, (char) => char.charCodeAt(0)));
  } catch {
    return "";
  }
}

/** What a token is checked with; a private key stays out of it. */
function publicPartOf(jwk: JWK): JWK {
  if (jwk.kty === "oct") return { ...jwk, key_ops: ["verify"] };
  const { d: _d, p: _p, q: _q, dp: _dp, dq: _dq, qi: _qi, ...rest } = jwk;
  return { ...rest, key_ops: ["verify"] };
}

function claimsOf(payload: JWTPayload): Claims {
  const root = payload.root === undefined ? "" : payload.root;
  const claims: Claims = {
    root: (typeof root === "string" ? normalizePath(root) : undefined) ?? refuse("its root is no path"),
    put: prefixesIn(payload.put),
    get: prefixesIn(payload.get),
    cluster: payload.cluster === true,
    expiresAt: payload.exp === undefined ? undefined : payload.exp * 1000,
  };
  if (claims.put.length === 0 && claims.get.length === 0) refuse("it allows nothing");
  return claims;
}

/** One prefix or several; none where there is nothing. */
function prefixesIn(value: unknown): string[] {
  if (value === undefined) return [];
  const list: unknown[] = Array.isArray(value) ? value : [value];
  return list.map(
    (prefix) =>
      (typeof prefix === "string" ? normalizePath(prefix) : undefined) ?? refuse("a prefix is no path"),
  );
}

function refuse(why: string): never {
  throw new TokenRefusedError(`the token does not count: ${why}`);
}

function scopeOf(jwk: JWK): Scope | undefined {
  const scope = (jwk as { scope?: unknown }).scope;
  if (scope === undefined) return undefined;
  const { root, put, get } = scope as { root?: unknown; put?: unknown; get?: unknown };
  try {
    return {
      root: (typeof root === "string" ? normalizePath(root) : "") ?? "",
      put: prefixesIn(put),
      get: prefixesIn(get),
    };
  } catch {
    throw new KeyUnusableError("the key's scope holds something that is no path");
  }
}

/** Whether everything the claims allow, the scope allows. */
function within(claims: Claims, scope: Scope): boolean {
  const all = (asked: readonly string[], granted: readonly string[]) =>
    asked.every((prefix) =>
      granted.some((grant) => hasPrefix(joinPath(scope.root, grant), joinPath(claims.root, prefix))),
    );
  return all(claims.put, scope.put) && all(claims.get, scope.get);
}
