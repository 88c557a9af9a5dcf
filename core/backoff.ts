import type { Clock, Entropy } from "./clock.ts";

/** How long pauses between attempts are, in milliseconds. */
export interface BackoffLimits {
  /** The longest first pause; each further one is twice as long. */
  readonly firstPauseMs: number;
  /** No pause is longer, unless the other side asks for it. */
  readonly longestPauseMs: number;
  /** The longest `Retry-After` that is honoured. */
  readonly retryAfterMaxMs: number;
}

/** What clients of a relay keep to. */
export const clientBackoff: BackoffLimits = {
  firstPauseMs: 250,
  longestPauseMs: 5_000,
  retryAfterMaxMs: 60_000,
};

/**
 * The pause after `failures` attempts in a row (1 or more): doubling, of which a random half is taken away so that those
 * who failed together do not come back together. `Retry-After` comes on top: it is the least to wait.
 */
export function pauseMs(failures: number, limits: BackoffLimits, entropy: Entropy, retryAfterMs = 0): number {
  const [high, low] = entropy.bytes(2);
  const ceiling = Math.min(limits.longestPauseMs, limits.firstPauseMs * 2 ** Math.min(failures - 1, 16));
  const jittered = ceiling / 2 + (ceiling / 2) * (((high! << 8) | low!) / 0xffff);
  return Math.round(jittered + Math.min(retryAfterMs, limits.retryAfterMaxMs));
}

/** Resolves after `ms`, or at once when `signal` aborts. */
export function pause(clock: Pick<Clock, "after">, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const finish = () => {
      stop();
      signal.removeEventListener("abort", finish);
      resolve();
    };
    const stop = clock.after(ms, finish);
    signal.addEventListener("abort", finish, { once: true });
  });
}
