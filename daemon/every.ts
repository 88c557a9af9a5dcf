import type { Cancel, Clock } from "#core/clock.ts";

/** Calls `run` again and again, `ms` from each other. */
export function every(ms: number, clock: Clock, run: () => void): Cancel {
  let cancel = clock.after(ms, function again() {
    run();
    cancel = clock.after(ms, again);
  });
  return () => cancel();
}
