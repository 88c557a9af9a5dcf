/** A moment, in milliseconds since 1970-01-01T00:00Z. */
export type Instant = number;

/** Stops what it was given for: a timer, a subscription. Calling it again does nothing. */
export type Cancel = () => void;

/**
 * The only source of time. Nothing in `core`, `wire` or `modes` looks at the wall.
 *
 * `now` never goes back while the process runs, so that a stepped system clock neither expires everything at
 * once nor keeps everything for ever.
 */
export interface Clock {
  now(): Instant;
  /** Calls `fire` once, no earlier than `delayMs` from now. */
  after(delayMs: number, fire: () => void): Cancel;
}

/** The only source of randomness; cryptographically secure outside tests. */
export interface Entropy {
  /** `length` fresh random bytes. */
  bytes(length: number): Uint8Array<ArrayBuffer>;
}

/** The machine's clock: wall time at start, then the monotonic clock. */
export function systemClock(): Clock {
  const origin = Date.now() - performance.now();
  return {
    now: () => Math.floor(origin + performance.now()),
    after(delayMs, fire) {
      // A delay beyond 2^31-1 ms would fire at once (HTML timers), so long waits are taken in steps.
      const longest = 0x7fffffff;
      let timer: ReturnType<typeof setTimeout>;
      const arm = (left: number) => {
        timer = setTimeout(() => (left > longest ? arm(left - longest) : fire()), Math.min(left, longest));
      };
      arm(Math.max(0, delayMs));
      return () => clearTimeout(timer);
    },
  };
}

/** Random bytes kept ready: a call to the platform costs the same for 16 bytes as for thousands. */
let ready = new Uint8Array(0);

function take(length: number): Uint8Array<ArrayBuffer> {
  if (ready.length < length) ready = crypto.getRandomValues(new Uint8Array(4096));
  const bytes = ready.slice(0, length);
  // What was given away is not kept: it may become a key.
  ready.fill(0, 0, length);
  ready = ready.subarray(length);
  return bytes;
}

export const systemEntropy: Entropy = {
  bytes(length) {
    if (length <= 64) return take(length);
    const bytes = new Uint8Array(length);
    // getRandomValues takes at most 65,536 bytes a call (Web Cryptography, 10.1.1).
    for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
    return bytes;
  },
};
