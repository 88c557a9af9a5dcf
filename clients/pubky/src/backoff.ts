import type { Cancel, Clock, Entropy } from "../../../core/clock.ts";

const FIRST_MS = 250;
const LONGEST_MS = 5_000;
const RETRY_AFTER_MAX_MS = 60_000;

/**
 * How long to pause after `failures` in a row (1 or more): doubling from 0.25 s to 5 s, of which a random half is
 * taken away so that clients who failed together do not come back together. A relay's `Retry-After` is the least
 * to wait, up to a minute.
 */
export function backoffMs(failures: number, entropy: Entropy, retryAfterMs = 0): number {
  const [high, low] = entropy.bytes(2);
  const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures - 1, 16));
  const jittered = ceiling / 2 + (ceiling / 2) * (((high! << 8) | low!) / 0xffff);
  return Math.round(jittered + Math.min(retryAfterMs, RETRY_AFTER_MAX_MS));
}

/** Resolves after `ms`, or at once when `signal` aborts. */
export function pause(clock: Pick<Clock, "after">, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const stop: Cancel = clock.after(ms, finish);
    signal.addEventListener("abort", finish, { once: true });
    function finish() {
      stop();
      signal.removeEventListener("abort", finish);
      resolve();
    }
  });
}
