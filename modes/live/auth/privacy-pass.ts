import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes } from "#core/bytes.ts";
import type { Clock, Instant } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import type { SpentTokenStore } from "#store/contract/spent-token-store.ts";
import { encodeBase64url } from "#wire/base64url.ts";
import { liveError } from "#wire/live/error-code.ts";
import { challengeHeader } from "#wire/privacy-pass/authorization.ts";
import { encodeChallenge } from "#wire/privacy-pass/challenge.ts";
import { blindRsa2048, challengeCloseCode } from "#wire/privacy-pass/codepoints.ts";
import { equal, type IssuerKey } from "#wire/privacy-pass/issuer-key.ts";
import {
  encodeScope,
  type Operation,
  operations,
  type Scope,
  type ScopeForm,
} from "#wire/privacy-pass/scope.ts";
import { decodeSetupToken, decodeToken, type PrivateToken, signedPart } from "#wire/privacy-pass/token.ts";
import type { AdmitAtSetup, Grant } from "../grant.ts";
import { prefixesOf } from "../path.ts";

export interface PrivacyPassSettings {
  /** Host name of the issuer, as it stands in every challenge. */
  readonly issuerName: string;
  /** The issuer's keys that are good now; the first is named in challenges. Empty while none is known. */
  readonly keys: () => readonly IssuerKey[];
  /** Binds challenges to this relay, or to all that share it and their spent tokens. 32 bytes. */
  readonly secret: Uint8Array;
  /** A challenge is good in the window it was made in and in the next. Milliseconds. */
  readonly windowMs: number;
  /** False: challenges hold no redemption context, for issuers that hand out tokens in advance. */
  readonly bound: boolean;
  /** How long a token without a context stays spent. Milliseconds. */
  readonly unboundKeepMs: number;
  /** How long a session may last that a token let in. Milliseconds. */
  readonly sessionMaxMs: number;
}

/** What may be asked of a challenge that a relay issues. */
interface Expected {
  readonly scope: Scope;
  /** When a token for it is refused for its age. */
  readonly expiresAt: Instant;
  readonly digest: Uint8Array;
}

const forms: readonly ScopeForm[] = ["text", "binary"];
/** Sessions give at most this many tokens: one for each operation. */
export const tokensMax = operations.length;

function refuse(text: string): never {
  throw new RelayError("unauthorized", { text });
}

/** Asks for Privacy Pass tokens and redeems them (`protocol/live-auth.md`). */
export class PrivacyPass {
  readonly #settings: PrivacyPassSettings;
  readonly #spent: SpentTokenStore;
  readonly #verifiers = new WeakMap<IssuerKey, Promise<CryptoKey>>();

  constructor(settings: PrivacyPassSettings, spent: SpentTokenStore) {
    this.#settings = settings;
    this.#spent = spent;
  }

  get issuerName(): string {
    return this.#settings.issuerName;
  }

  /** The issuer's public key, as its directory has it; undefined while that has not been read. */
  get tokenKey(): Uint8Array | undefined {
    return this.#settings.keys()[0]?.spki;
  }

  /** What a token must answer to be good for `scope` from now on. Throws `bad_request` for a path too long. */
  challenge(scope: Scope, now: Instant, form: ScopeForm = "text"): Uint8Array<ArrayBuffer> {
    try {
      return this.#challengeOf(encodeScope(scope, form), this.#windowAt(now));
    } catch (error) {
      if (error instanceof RangeError) throw new RelayError("bad_request", { text: "The path is too long" });
      throw error;
    }
  }

  /** The reason a session is closed with (code `challengeCloseCode`), so that the remote can come back with a token. */
  closeReason(path: string, operation: Operation, now: Instant): string {
    return `pp:${encodeBase64url(this.challenge({ operation, path, match: "exact" }, now))}`;
  }

  /**
   * The value of `WWW-Authenticate` in a 401 for `path`: a challenge for each right. Undefined while the issuer's key is
   * not known.
   */
  authenticateHeader(path: string, now: Instant): string | undefined {
    const { tokenKey } = this;
    return (
      tokenKey &&
      (["subscribe", "publish"] as const)
        .map((operation) =>
          challengeHeader(this.challenge({ operation, path, match: "exact" }, now), tokenKey),
        )
        .join(", ")
    );
  }

  /**
   * What the tokens allow at a session's path, which is in normal form. Each is verified and then spent. Throws
   * `unauthorized`, for the first that is not good, with a sentence that is safe to send.
   */
  async redeem(path: string, tokens: readonly Uint8Array[], now: Instant): Promise<Grant> {
    if (tokens.length > tokensMax) refuse("Too many private tokens");
    const good = await Promise.all(tokens.map((bytes) => this.#verify(path, bytes, now)));
    for (const { token, expected } of good) {
      if (!(await this.#spent.spend(token.nonce, expected.expiresAt, now)))
        refuse("The private token was used before");
    }
    const allows = (...wanted: readonly Operation[]) =>
      good.some(({ expected }) => wanted.includes(expected.scope.operation)) ? [""] : [];
    return {
      root: path,
      put: allows("publish", "announce"),
      get: allows("subscribe", "fetch"),
      cluster: false,
      expiresAt: now + this.#settings.sessionMaxMs,
    };
  }

  /**
   * Lets a session in by the tokens of its SETUP, as the original relay's clients send them, or turns it away with a
   * challenge for the path, which is in normal form.
   */
  atSetup(path: string, clock: Clock): AdmitAtSetup {
    return async ({ tokens: shown }) => {
      const now = clock.now();
      const tokens = shown.map(decodeSetupToken).filter((token) => token !== undefined);
      try {
        if (tokens.length > 0) return await this.redeem(path, tokens, now);
      } catch (error) {
        if (!(error instanceof RelayError)) return { code: liveError.transport, reason: "internal error" };
        if (error.code !== "unauthorized") return { code: liveError.bounds, reason: error.message };
      }
      return { code: challengeCloseCode, reason: this.closeReason(path, "subscribe", now) };
    };
  }

  async #verify(
    path: string,
    bytes: Uint8Array,
    now: Instant,
  ): Promise<{ token: PrivateToken; expected: Expected }> {
    const token = decodeToken(bytes) ?? refuse("The private token is malformed");
    const key =
      this.#settings.keys().find(({ id }) => equal(id, token.keyId)) ??
      refuse("The private token is of another issuer");
    // The signature first: only who holds a real token makes us look for its challenge.
    if (!(await this.#isSigned(token, key))) refuse("The private token's signature does not verify");
    const expected =
      this.#expectedAt(path, now).find(({ digest }) => equal(digest, token.challengeDigest)) ??
      refuse("The private token is for another path or time");
    return { token, expected };
  }

  async #isSigned(token: PrivateToken, key: IssuerKey): Promise<boolean> {
    let verifier = this.#verifiers.get(key);
    if (!verifier) {
      const algorithm = { name: "RSA-PSS", hash: "SHA-384" };
      verifier = crypto.subtle.importKey("spki", key.webCryptoSpki, algorithm, false, ["verify"]);
      this.#verifiers.set(key, verifier);
    }
    const signature = token.signature.slice();
    return crypto.subtle.verify(
      { name: "RSA-PSS", saltLength: 48 },
      await verifier,
      signature,
      signedPart(token),
    );
  }

  /** Every challenge this relay would issue, or would have issued lately, to a session at `path`; likely ones first. */
  *#expectedAt(path: string, now: Instant): Generator<Expected> {
    const { bound, windowMs, unboundKeepMs } = this.#settings;
    const current = this.#windowAt(now);
    for (const scope of scopesAt(path)) {
      for (const form of forms) {
        const originInfo = tryEncode(scope, form);
        if (!originInfo) continue;
        for (const window of bound ? [current, current - 1] : [current]) {
          const expiresAt = bound ? (window + 2) * windowMs : now + unboundKeepMs;
          yield { scope, expiresAt, digest: sha256(this.#challengeOf(originInfo, window)) };
        }
      }
    }
  }

  #windowAt(now: Instant): number {
    return Math.floor(now / this.#settings.windowMs);
  }

  #challengeOf(originInfo: Uint8Array, window: number): Uint8Array<ArrayBuffer> {
    const { secret, bound, issuerName } = this.#settings;
    // A zero byte and digits: no two of origin info and window give the same bytes.
    const bindTo = concatBytes(originInfo, Uint8Array.of(0), new TextEncoder().encode(String(window)));
    const redemptionContext = bound ? hmac(sha256, secret, bindTo) : new Uint8Array();
    return encodeChallenge({ tokenType: blindRsa2048, issuerName, redemptionContext, originInfo });
  }
}

/** A path may be too long for one form and not for the other. */
function tryEncode(scope: Scope, form: ScopeForm): Uint8Array | undefined {
  try {
    return encodeScope(scope, form);
  } catch {
    return undefined;
  }
}

/** The scopes that cover a session at `path`: itself, and what begins with each of its prefixes, the longest first. */
function* scopesAt(path: string): Generator<Scope> {
  for (const operation of operations) yield { operation, path, match: "exact" };
  for (const prefix of [...prefixesOf(path)].reverse())
    for (const operation of operations) yield { operation, path: prefix, match: "prefix" };
}
