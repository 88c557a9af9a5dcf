import { type Entropy, type Instant, systemEntropy } from "../../../core/clock.ts";
import { encodeBase64url } from "./base64url.ts";
import {
  type Capability,
  formatCapability,
  normalizeCapabilities,
  parseCapabilities,
} from "./capabilities.ts";
import { PubkyError } from "./errors.ts";
import { assertJwsSignedBy, type DecodedJws, decodeJws, signJws } from "./jws.ts";
import { type Keypair, PublicKey, type Signer } from "./keys.ts";
import { isClientId } from "./link.ts";

const GRANT_TYP = "pubky-grant";
const POP_TYP = "pubky-pop";
const ID_MAX_LENGTH = 22;
const ID_BYTES = 16;

/** Two years of 365 days. */
export const GRANT_LIFE_MS = 2 * 365 * 24 * 3_600_000;
/** How far a proof's time may lie from the verifier's clock, and a grant's ahead of it. */
export const POP_WINDOW_MS = 180_000;

/** What a person grants to the holder of one client key. */
export interface Grant {
  /** The person. */
  readonly issuer: PublicKey;
  readonly clientId: string;
  readonly capabilities: readonly Capability[];
  /** Only who proves to hold this key may use the grant. */
  readonly clientKey: PublicKey;
  readonly grantId: string;
  /** Milliseconds; the protocol counts whole seconds. */
  readonly issuedAt: Instant;
  readonly expiresAt: Instant;
}

/** That the holder of the client key wants to use one grant at one homeserver, now. */
export interface ProofOfPossession {
  readonly homeserver: PublicKey;
  readonly grantId: string;
  readonly nonce: string;
  readonly issuedAt: Instant;
}

/** A fresh id for a grant or a proof: 16 random bytes in 22 letters. */
export function randomGrantId(entropy: Entropy = systemEntropy): string {
  return encodeBase64url(entropy.bytes(ID_BYTES));
}

/** The grant as a compact JWS, signed by its issuer. */
export function signGrant(signer: Signer, grant: Omit<Grant, "issuer">): Promise<string> {
  return signJws(signer, GRANT_TYP, {
    iss: signer.publicKey.z32,
    client_id: grant.clientId,
    caps: normalizeCapabilities(grant.capabilities).map(formatCapability),
    cnf: grant.clientKey.z32,
    jti: grant.grantId,
    iat: Math.floor(grant.issuedAt / 1000),
    exp: Math.floor(grant.expiresAt / 1000),
  });
}

/**
 * Reads a grant without checking who signed it.
 *
 * @throws PubkyError `jws_malformed`, `grant_malformed`, `capabilities_invalid`
 */
export function decodeGrant(jws: string): Grant {
  return grantOf(decodeJws(jws, GRANT_TYP));
}

/** Reads a grant and checks that its issuer signed it, and nothing else. Throws as {@link verifyGrant}. */
export function readSignedGrant(jws: string): Grant {
  const decoded = decodeJws(jws, GRANT_TYP);
  const grant = grantOf(decoded);
  assertJwsSignedBy(decoded, grant.issuer);
  return grant;
}

/**
 * Checks a grant in every way but its capabilities, which only the asker can judge.
 *
 * @throws PubkyError as {@link decodeGrant}, and `jws_signature`, `grant_client_key`, `grant_client_id`,
 *   `grant_expired`, `grant_from_future`
 */
export function verifyGrant(
  jws: string,
  expected: { now: Instant; clientKey: PublicKey; clientId: string },
): Grant {
  const grant = readSignedGrant(jws);
  if (!grant.clientKey.equals(expected.clientKey)) throw new PubkyError("grant_client_key");
  if (grant.clientId !== expected.clientId) throw new PubkyError("grant_client_id");
  if (grant.expiresAt <= expected.now) throw new PubkyError("grant_expired");
  if (grant.issuedAt > expected.now + POP_WINDOW_MS) throw new PubkyError("grant_from_future");
  return grant;
}

/** The proof as a compact JWS, signed by the client key. */
export function signPop(signer: Signer | Keypair, pop: ProofOfPossession): Promise<string> {
  return signJws(signer, POP_TYP, {
    aud: pop.homeserver.z32,
    gid: pop.grantId,
    nonce: pop.nonce,
    iat: Math.floor(pop.issuedAt / 1000),
  });
}

/**
 * Checks that the proof was made by the grant's client key, for this homeserver and grant, within the window.
 * Whether its nonce was seen before is the caller's to remember, for two windows.
 *
 * @throws PubkyError `jws_malformed`, `pop_malformed`, `jws_signature`, `pop_audience`, `pop_grant`, `pop_time`
 */
export function verifyPop(
  jws: string,
  expected: { now: Instant; grant: Grant; homeserver: PublicKey; windowMs?: number },
): ProofOfPossession {
  const decoded = decodeJws(jws, POP_TYP);
  assertJwsSignedBy(decoded, expected.grant.clientKey);
  const pop = popOf(decoded);
  if (!pop.homeserver.equals(expected.homeserver)) throw new PubkyError("pop_audience");
  if (pop.grantId !== expected.grant.grantId) throw new PubkyError("pop_grant");
  if (Math.abs(expected.now - pop.issuedAt) > (expected.windowMs ?? POP_WINDOW_MS))
    throw new PubkyError("pop_time");
  return pop;
}

function grantOf({ claims }: DecodedJws): Grant {
  const read = claimReader(claims, "grant_malformed");
  const clientId = read.string("client_id", isClientId);
  const caps = claims.caps;
  if (!Array.isArray(caps) || !caps.every((cap) => typeof cap === "string")) throw read.fault("caps");
  return {
    issuer: read.key("iss"),
    clientId,
    capabilities: normalizeCapabilities(parseCapabilities(caps)),
    clientKey: read.key("cnf"),
    grantId: read.string("jti", isId),
    issuedAt: read.moment("iat"),
    expiresAt: read.moment("exp"),
  };
}

function popOf({ claims }: DecodedJws): ProofOfPossession {
  const read = claimReader(claims, "pop_malformed");
  return {
    homeserver: read.key("aud"),
    grantId: read.string("gid", isId),
    nonce: read.string("nonce", isId),
    issuedAt: read.moment("iat"),
  };
}

const isId = (text: string) => text.length >= 1 && text.length <= ID_MAX_LENGTH;

function claimReader(claims: DecodedJws["claims"], code: "grant_malformed" | "pop_malformed") {
  const fault = (parameter: string) => new PubkyError(code, { details: { parameter } });
  const string = (name: string, isFit: (text: string) => boolean): string => {
    const value = claims[name];
    if (typeof value !== "string" || !isFit(value)) throw fault(name);
    return value;
  };
  return {
    fault,
    string,
    key(name: string): PublicKey {
      const text = string(name, (value) => value.length === 52);
      try {
        return PublicKey.parseZ32(text);
      } catch {
        throw fault(name);
      }
    },
    /** Whole seconds in the claim, milliseconds here. */
    moment(name: string): Instant {
      const value = claims[name];
      if (
        !Number.isSafeInteger(value) ||
        !Number.isSafeInteger((value as number) * 1000) ||
        (value as number) < 0
      ) {
        throw fault(name);
      }
      return (value as number) * 1000;
    },
  };
}
