import type { Clock, Instant } from "../../../core/clock.ts";
import { TOKEN_WINDOW_MS, verifyAuthToken } from "./auth-token.ts";
import { encodeBase64url } from "./base64url.ts";
import {
  type CapabilitiesInput,
  type Capability,
  compareCapabilities,
  formatCapability,
  parseCapabilities,
} from "./capabilities.ts";
import { PubkyError } from "./errors.ts";
import type { PublicKey } from "./keys.ts";
import { memoryReplayStore, type ReplayStore } from "./replay-store.ts";
import { wallClock } from "./wall-clock.ts";

export interface VerifierOptions {
  /**
   * What every token must grant, no less and no more. A token names no audience, so a capability that names your
   * application (`"/pub/your.app/:rw"`) is what tells a token that was given to you from one that was given to
   * somebody else. Without it every fresh token of anybody, for any application, is accepted.
   */
  readonly capabilities?: CapabilitiesInput;
  /** How far a token's time may lie from the clock, each way. Default: 180,000 (three minutes). */
  readonly windowMs?: number;
  /** Default: this process's memory. Servers that accept the same tokens must share a store. */
  readonly replayStore?: ReplayStore;
  readonly clock?: Pick<Clock, "now">;
}

/** Who signed the token and what it says. */
export interface VerifiedToken {
  readonly publicKey: PublicKey;
  /** Entries in the normal form, as `"/pub/app/:rw"`. */
  readonly capabilities: readonly string[];
  readonly issuedAt: Instant;
}

export interface Verifier {
  /**
   * Accepts each token once.
   *
   * A token names no audience: whoever received it can present it elsewhere while its window lasts. Set
   * `capabilities`, and accept only tokens of requests that your own application started.
   *
   * @throws PubkyError `token_malformed`, `token_version`, `token_namespace`, `token_signature`,
   *   `capabilities_invalid`, `token_too_old`, `token_from_future`, `capabilities_missing`, `capabilities_extra`,
   *   `token_replayed`, `replay_store_full`
   */
  verify(tokenBytes: Uint8Array): Promise<VerifiedToken>;
}

/**
 * The server's side: tells who a token is from, and refuses to see it twice.
 *
 * @throws PubkyError `capabilities_invalid` when the option is malformed
 */
export function createVerifier(options: VerifierOptions = {}): Verifier {
  const { windowMs = TOKEN_WINDOW_MS, clock = wallClock } = options;
  const replayStore = options.replayStore ?? memoryReplayStore({ clock });
  const demanded = options.capabilities === undefined ? undefined : parseCapabilities(options.capabilities);
  return {
    async verify(tokenBytes) {
      const now = clock.now();
      const token = verifyAuthToken(tokenBytes, { now, windowMs });
      if (demanded) assertGrants(demanded, token.capabilities);
      const issuedAt = Number(token.issuedAtMicros / 1000n);
      // Two windows after the later of both moments no server's clock takes the token any more.
      const forgetAt = Math.max(now, issuedAt) + 2 * windowMs;
      const isNew = await replayStore.insertIfAbsent(encodeBase64url(token.replayId), forgetAt);
      if (!isNew) throw new PubkyError("token_replayed");
      return { publicKey: token.publicKey, capabilities: token.capabilities.map(formatCapability), issuedAt };
    },
  };
}

function assertGrants(demanded: readonly Capability[], granted: readonly Capability[]): void {
  const { missing, extra } = compareCapabilities(demanded, granted);
  const fault = missing.length > 0 ? missing : extra;
  if (fault.length === 0) return;
  throw new PubkyError(fault === missing ? "capabilities_missing" : "capabilities_extra", {
    details: { capabilities: fault.map(formatCapability) },
  });
}
