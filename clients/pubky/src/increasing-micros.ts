import type { Clock, Entropy } from "../../../core/clock.ts";

const lastMicros = new WeakMap<Clock, bigint>();

/**
 * The time in microseconds, later than every answer before it for the same clock: two tokens of one moment
 * must differ, or replay protection takes the second for the first again. The microseconds that a clock of
 * milliseconds lacks are drawn, so that two devices with one key seldom meet.
 */
export function increasingMicros(clock: Clock, entropy: Entropy): bigint {
  const [high, low] = entropy.bytes(2);
  const drawn = BigInt(Math.floor(clock.now()) * 1000 + (((high! << 8) | low!) % 1000));
  const last = lastMicros.get(clock) ?? 0n;
  const micros = drawn > last ? drawn : last + 1n;
  lastMicros.set(clock, micros);
  return micros;
}
