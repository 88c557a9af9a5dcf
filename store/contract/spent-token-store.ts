import type { Instant } from "#core/clock.ts";

export interface SpentTokenLimits {
  /** Nonces held at once. */
  readonly maxSpentTokens: number;
}

/**
 * Remembers single-use tokens by their nonce for as long as they would be accepted.
 *
 * - Of any number of `spend`s of one nonce, at the same time or not, exactly one resolves to true while it is kept.
 * - True is as durable as the engine: a token does not become good again by a restart.
 * - A nonce may be forgotten from its `expiresAt` on, and never before to make room: `spend` rejects with `at_capacity`
 *   (`RelayError`) instead, and with `storage_unavailable` when the engine could not keep it. Then the token is not spent.
 */
export interface SpentTokenStore extends AsyncDisposable {
  /** Resolves to false for a nonce that was spent before. `expiresAt`: when the token is refused for its age anyway. */
  spend(nonce: Uint8Array, expiresAt: Instant, now: Instant): Promise<boolean>;
  /** Forgets what expired. Resolves to how many went. */
  sweep(now: Instant): Promise<number>;
  /** Nonces held, expired but unswept ones included. */
  readonly size: number;
}
