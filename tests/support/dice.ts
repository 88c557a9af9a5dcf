import { simEntropy } from "./sim-clock.ts";

/** Repeatable random choices from a seed. */
export interface Dice {
  /** An integer from 0 up to, and without, `limit`. */
  below(limit: number): number;
}

export function dice(seed: number): Dice {
  const entropy = simEntropy(seed);
  // The first outputs of neighbouring seeds resemble each other.
  entropy.bytes(64);
  return {
    below(limit) {
      const [a = 0, b = 0, c = 0, d = 0] = entropy.bytes(4);
      return (((a << 24) | (b << 16) | (c << 8) | d) >>> 0) % limit;
    },
  };
}
