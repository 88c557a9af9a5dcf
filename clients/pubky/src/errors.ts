/**
 * Everything that can stop a caller of this package: `code` is for programs, the sentence for people.
 *
 * No sentence and no detail ever carries a secret, a token, a key or a channel id, so an error may be logged.
 */
export const PUBKY_ERRORS = {
  key_malformed:
    "Not a Pubky key: expected 52 characters of z-base-32 that name a point on the Ed25519 curve.",
  secret_malformed: "A secret must be exactly 32 bytes.",
  base64url_malformed: "Not base64url without padding.",

  recovery_spec_line:
    "Recovery file should start with a spec line, followed by a new line character, and be no longer than 1 KiB.",
  recovery_empty: "Recovery file should contain an encrypted secret key after the new line character.",
  recovery_undecryptable: "The recovery file does not open with this passphrase, or it is damaged.",

  link_scheme: "Invalid schema. Expected pubkyauth or pubkyring.",
  link_intent: "Invalid intent. Expected one of the Pubky Auth intents.",
  link_parameter_missing: "Missing query parameter.",
  link_parameter_invalid: "Invalid query parameter.",

  sealed_too_short: "Encrypted message too small: expected at least 24 bytes of nonce.",
  sealed_undecryptable: "The message does not open with this secret.",

  capabilities_invalid: "Invalid capability entries.",
  capabilities_missing: "The token does not grant what is demanded here.",
  capabilities_extra: "More is granted than was asked for.",

  token_malformed: "Not a Pubky Auth token.",
  token_namespace: "The token does not begin with the Pubky Auth namespace.",
  token_version: "Unknown version of the Pubky Auth token.",
  token_signature: "Invalid signature.",
  token_too_old: "The token is too old: ask the person to approve again.",
  token_from_future: "The token is from the future: one of the two clocks is wrong.",
  token_replayed: "The token was used before.",

  replay_store_full: "Too many tokens are remembered; nothing new can be accepted safely for now.",

  jws_malformed: "Not a compact JWS of the expected kind.",
  jws_signature: "Invalid signature.",
  grant_malformed: "The grant lacks a claim, or a claim is out of its bounds.",
  grant_expired: "The grant has expired.",
  grant_from_future: "The grant is from the future: one of the two clocks is wrong.",
  grant_client_key: "The grant was made for another client key.",
  grant_client_id: "The grant was made for another client id.",
  pop_malformed: "The proof of possession lacks a claim, or a claim is out of its bounds.",
  pop_audience: "The proof of possession was made for another homeserver.",
  pop_grant: "The proof of possession was made for another grant.",
  pop_time: "The proof of possession was made outside the accepted window of time.",
  credential_malformed: "Not a stored grant credential.",
  credential_version: "Unsupported grant credential token version.",

  flow_expired: "Nobody approved in time. Start a new request and show its new code.",
  flow_cancelled: "The request was cancelled.",
  flow_exchange_failed: "The approval arrived, but using it failed.",
  flow_wrong_link: "This link does not ask for an approval that can be awaited.",
  flow_client_key: "The saved client key does not match the client public key of the link.",
  flow_state_malformed: "Not a saved sign-in request.",

  request_declined: "The request was declined.",
  request_not_approvable: "This kind of link cannot be approved.",
  request_needs_signup: "The link asks for a new account first: pass `signUp`.",
  relay_refused: "The relay refused the message.",
  relay_unreachable: "The relay could not be reached in time.",
  delivery_expired: "The app did not fetch the approval in time.",
} as const;

export type PubkyErrorCode = keyof typeof PUBKY_ERRORS;

/** What a program may want to know beyond the code. Fields are present where they make sense. */
export interface PubkyErrorDetails {
  /** The query parameter or the claim at fault. */
  readonly parameter?: string;
  /** Capability entries that are malformed, missing, or were not asked for. */
  readonly capabilities?: readonly string[];
  /** How long ago the token was signed, in milliseconds; negative when it is from the future. */
  readonly ageMs?: number;
  /** The last HTTP status the relay answered with. */
  readonly status?: number;
  /** Messages on the channel that did not open or verify. */
  readonly ignoredMessages?: number;
}

export class PubkyError extends Error {
  override readonly name = "PubkyError";
  readonly code: PubkyErrorCode;
  readonly details: PubkyErrorDetails;

  constructor(
    code: PubkyErrorCode,
    options: { message?: string; details?: PubkyErrorDetails; cause?: unknown } = {},
  ) {
    super(
      options.message ?? PUBKY_ERRORS[code],
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** Whether `error` is ours, and of this code when one is given. */
export function isPubkyError(error: unknown, code?: PubkyErrorCode): error is PubkyError {
  return error instanceof PubkyError && (code === undefined || error.code === code);
}
