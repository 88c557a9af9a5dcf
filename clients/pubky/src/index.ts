/** Pubky Auth and identity: keys, capabilities, tokens, grants, links and flows. */

export type { Cancel, Clock, Entropy, Instant } from "../../../core/clock.ts";
export {
  type AuthFlow,
  type AuthFlowOptions,
  type AuthFlowStatus,
  type GrantFlowOptions,
  resumeAuthFlow,
  type SavedAuthFlow,
  startAuthFlow,
  type TokenFlowOptions,
} from "./app-flow.ts";
export type { FlowState } from "./app-flow-state.ts";
export type { Approval, GrantApproval, TokenApproval } from "./approval.ts";
export {
  type AuthTokenFields,
  decodeAuthToken,
  signAuthToken,
  TOKEN_WINDOW_MS,
  verifyAuthToken,
} from "./auth-token.ts";
export {
  type ApproveOptions,
  type AuthRequest,
  type AuthRequestWarning,
  type Delivery,
  parseAuthRequest,
} from "./authenticator.ts";
export { decodeBase64url, encodeBase64url } from "./base64url.ts";
export type { Bytes } from "./bytes.ts";
export {
  allows,
  type CapabilitiesInput,
  type Capability,
  type CapabilityAction,
  compareCapabilities,
  formatCapabilities,
  formatCapability,
  normalizeCapabilities,
  parseCapabilities,
  parseCapability,
  readCapabilities,
} from "./capabilities.ts";
export { type ChannelBinding, channelBinding, channelId, channelUrl } from "./channel.ts";
export {
  isPubkyError,
  PUBKY_ERRORS,
  PubkyError,
  type PubkyErrorCode,
  type PubkyErrorDetails,
} from "./errors.ts";
export {
  decodeGrant,
  GRANT_LIFE_MS,
  type Grant,
  POP_WINDOW_MS,
  type ProofOfPossession,
  randomGrantId,
  signGrant,
  signPop,
  verifyGrant,
  verifyPop,
} from "./grant.ts";
export { formatGrantCredential, type GrantCredential, parseGrantCredential } from "./grant-credential.ts";
export { increasingMicros } from "./increasing-micros.ts";
export { Keypair, PublicKey, type Signer } from "./keys.ts";
export {
  type ChannelLink,
  type DirectSignupLink,
  formatLink,
  type GrantLink,
  type LinkKind,
  type LinkScheme,
  type PubkyLink,
  parseLink,
  type SecretExportLink,
  type SigninGrantLink,
  type SigninLink,
  type SignupGrantLink,
  type SignupLink,
  type TokenLink,
} from "./link.ts";
export {
  createRecoveryFile,
  openRecoveryFile,
  openRecoveryFileWithKey,
  recoveryKey,
} from "./recovery-file.ts";
export type { Fetch } from "./relay-channel.ts";
export { type MemoryReplayStoreOptions, memoryReplayStore, type ReplayStore } from "./replay-store.ts";
export { open, SEAL_NONCE_BYTES, SEAL_OVERHEAD_BYTES, seal } from "./sealed-box.ts";
export { createVerifier, type VerifiedToken, type Verifier, type VerifierOptions } from "./verifier.ts";
export { pageWake, type WakeSource } from "./wake-source.ts";
export { wallClock } from "./wall-clock.ts";
export { decodeZbase32, encodeZbase32 } from "./zbase32.ts";
