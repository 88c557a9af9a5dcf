import type { Clock, Instant } from "../../../core/clock.ts";
import { PubkyError } from "./errors.ts";
import { wallClock } from "./wall-clock.ts";

/**
 * Remembers which tokens were used. Several servers that accept the same tokens must share one.
 *
 * With SQL, `insertIfAbsent` is `INSERT … ON CONFLICT DO NOTHING` and a look at the number of rows; with Redis,
 * `SET id 1 NX PXAT expiresAt`.
 */
export interface ReplayStore {
  /**
   * Remembers `id` until `expiresAt` at least, in one atomic step.
   *
   * Answers true when it was not there before, false when it was. Must throw, not answer, when it cannot tell:
   * the token is refused then.
   */
  insertIfAbsent(id: string, expiresAt: Instant): boolean | Promise<boolean>;
}

export interface MemoryReplayStoreOptions {
  /** How many tokens are remembered at once; beyond it new ones are refused, none is forgotten. */
  readonly maxEntries?: number;
  readonly clock?: Pick<Clock, "now">;
}

const SWEEP_STEP = 8;

/** For one process. Forgets what expired, and everything at a restart: accept no token older than the process. */
export function memoryReplayStore({
  maxEntries = 100_000,
  clock = wallClock,
}: MemoryReplayStoreOptions = {}): ReplayStore & { readonly size: number } {
  const expiryById = new Map<string, Instant>();

  // Entries lie in the order they came, which is nearly the order they expire in: looking at the oldest few on
  // each insertion frees more than is added, and no insertion pays for a walk over all of them.
  const sweepOldest = (now: Instant) => {
    let looked = 0;
    for (const [id, expiresAt] of expiryById) {
      if (expiresAt > now || looked++ === SWEEP_STEP) return;
      expiryById.delete(id);
    }
  };

  return {
    insertIfAbsent(id, expiresAt) {
      const now = clock.now();
      sweepOldest(now);
      const known = expiryById.get(id);
      if (known !== undefined && known > now) return false;
      if (expiryById.size >= maxEntries) throw new PubkyError("replay_store_full");
      expiryById.set(id, expiresAt);
      return true;
    },
    get size() {
      return expiryById.size;
    },
  };
}
