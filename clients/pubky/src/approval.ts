import type { Instant } from "../../../core/clock.ts";
import { TOKEN_WINDOW_MS, verifyAuthToken } from "./auth-token.ts";
import { type Bytes, fromUtf8 } from "./bytes.ts";
import { type Capability, compareCapabilities, formatCapability } from "./capabilities.ts";
import { PubkyError, type PubkyErrorCode } from "./errors.ts";
import { type Grant, verifyGrant } from "./grant.ts";
import type { Keypair, PublicKey } from "./keys.ts";
import { open } from "./sealed-box.ts";

interface ApprovalBase {
  /** Who approved. Show it and let the person confirm: anybody who saw the code could have answered it. */
  readonly publicKey: PublicKey;
  /** What was granted, entries in the normal form. */
  readonly capabilities: readonly string[];
  /** What was asked for and not granted. */
  readonly missing: readonly string[];
  /** What was granted unasked; empty unless `allowExtraCapabilities`. */
  readonly extra: readonly string[];
  readonly issuedAt: Instant;
}

/** A verified token. Send `tokenBytes` to your own server, which verifies it again and refuses replays. */
export interface TokenApproval extends ApprovalBase {
  readonly kind: "token";
  /** The bytes as received: a secret while their window lasts. */
  readonly tokenBytes: Bytes;
}

/** A verified grant, and the key pair that can use it. */
export interface GrantApproval extends ApprovalBase {
  readonly kind: "grant";
  readonly grant: Grant;
  readonly grantJws: string;
  readonly clientKeypair: Keypair;
}

export type Approval = TokenApproval | GrantApproval;

/** What an approval must fit to be taken. */
export interface ApprovalExpectation {
  readonly clientSecret: Uint8Array;
  readonly asked: readonly Capability[];
  readonly allowExtraCapabilities: boolean;
  readonly windowMs?: number | undefined;
  /** Present when a grant was asked for. */
  readonly client?: { readonly clientId: string; readonly clientKeypair: Keypair } | undefined;
}

export type Judgement =
  | { readonly verdict: "good"; readonly approval: Approval }
  /** Nothing that the holder of the secret and of a key can have meant for us: skip it. */
  | { readonly verdict: "junk" }
  /** Really approved by somebody, but not to be taken: tell the person why. */
  | { readonly verdict: "refused"; readonly error: PubkyError };

// What a key's owner cannot have made by approving.
const JUNK_CODES: ReadonlySet<PubkyErrorCode> = new Set<PubkyErrorCode>([
  "sealed_too_short",
  "sealed_undecryptable",
  "token_malformed",
  "token_namespace",
  "token_version",
  "token_signature",
  "jws_malformed",
  "jws_signature",
  "grant_malformed",
]);

/** Opens and checks a message from the channel. */
export function judgeMessage(body: Uint8Array, now: Instant, expectation: ApprovalExpectation): Judgement {
  try {
    const message = open(expectation.clientSecret, body);
    const approval = expectation.client
      ? grantApproval(message, now, expectation, expectation.client)
      : tokenApproval(message, now, expectation);
    if (approval.extra.length > 0 && !expectation.allowExtraCapabilities) {
      const capabilities = approval.extra;
      return {
        verdict: "refused",
        error: new PubkyError("capabilities_extra", { details: { capabilities } }),
      };
    }
    return { verdict: "good", approval };
  } catch (error) {
    if (!(error instanceof PubkyError)) throw error;
    return JUNK_CODES.has(error.code) ? { verdict: "junk" } : { verdict: "refused", error };
  }
}

function tokenApproval(message: Bytes, now: Instant, expectation: ApprovalExpectation): TokenApproval {
  const token = verifyAuthToken(message, { now, windowMs: expectation.windowMs ?? TOKEN_WINDOW_MS });
  return {
    kind: "token",
    publicKey: token.publicKey,
    ...compared(expectation.asked, token.capabilities),
    issuedAt: Number(token.issuedAtMicros / 1000n),
    tokenBytes: message,
  };
}

function grantApproval(
  message: Bytes,
  now: Instant,
  expectation: ApprovalExpectation,
  { clientId, clientKeypair }: NonNullable<ApprovalExpectation["client"]>,
): GrantApproval {
  const grantJws = textOf(message);
  const grant = verifyGrant(grantJws, { now, clientId, clientKey: clientKeypair.publicKey });
  return {
    kind: "grant",
    publicKey: grant.issuer,
    ...compared(expectation.asked, grant.capabilities),
    issuedAt: grant.issuedAt,
    grant,
    grantJws,
    clientKeypair,
  };
}

function textOf(message: Bytes): string {
  try {
    return fromUtf8(message);
  } catch (cause) {
    throw new PubkyError("jws_malformed", { cause });
  }
}

function compared(asked: readonly Capability[], granted: readonly Capability[]) {
  const { missing, extra } = compareCapabilities(asked, granted);
  return {
    capabilities: granted.map(formatCapability),
    missing: missing.map(formatCapability),
    extra: extra.map(formatCapability),
  };
}
