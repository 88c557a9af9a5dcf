import type { Clock, Entropy, Instant } from "#core/clock.ts";

/** A clock that moves only when told to. */
export interface SimClock extends Clock {
  /** Moves time forward, firing every timer on its way in order, and lets promises settle in between. */
  advance(ms: number): Promise<void>;
  /** How many timers are armed: what still waits. */
  readonly armed: number;
}

/** Lets everything that is already decided run: promise jobs and what they queue. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}

export function simClock(startAt: Instant = 1_700_000_000_000): SimClock {
  let now = startAt;
  let sequence = 0;
  const timers = new Map<number, { at: Instant; fire: () => void }>();
  const nextUntil = (end: Instant) => {
    let found: [number, { at: Instant; fire: () => void }] | undefined;
    for (const entry of timers)
      if (entry[1].at <= end && (!found || entry[1].at < found[1].at)) found = entry;
    return found;
  };
  return {
    now: () => now,
    after(delayMs, fire) {
      const id = sequence++;
      timers.set(id, { at: now + Math.max(0, delayMs), fire });
      return () => void timers.delete(id);
    },
    async advance(ms) {
      const end = now + ms;
      await settle();
      for (let next = nextUntil(end); next; next = nextUntil(end)) {
        timers.delete(next[0]);
        now = Math.max(now, next[1].at);
        next[1].fire();
        await settle();
      }
      now = end;
      await settle();
    },
    get armed() {
      return timers.size;
    },
  };
}

/** Repeatable bytes from a seed (xorshift32): for tests only. */
export function simEntropy(seed = 1): Entropy {
  let state = seed >>> 0 || 1;
  return {
    bytes(length) {
      const bytes = new Uint8Array(length);
      for (let i = 0; i < length; i++) {
        state ^= state << 13;
        state >>>= 0;
        state ^= state >>> 17;
        state ^= state << 5;
        state >>>= 0;
        bytes[i] = state & 0xff;
      }
      return bytes;
    },
  };
}
