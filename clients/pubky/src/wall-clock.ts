import { type Clock, systemClock } from "../../../core/clock.ts";

/**
 * The default clock of this package: the wall's time, with the system's timers.
 *
 * `systemClock` counts on from when the process began, and in some browsers that count stops while the device
 * sleeps. A token's window is about the real time of two devices, so here the wall is asked each time.
 */
export const wallClock: Clock = /* @__PURE__ */ createWallClock();

function createWallClock(): Clock {
  const { after } = systemClock();
  return { now: () => Date.now(), after };
}
