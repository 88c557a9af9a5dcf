import type { Instant } from "#core/clock.ts";

let cached = { second: -1, text: "" };

/** A moment as HTTP writes it (RFC 9110, 5.6.7), to the second below. */
export function httpDate(at: Instant): string {
  const second = Math.floor(at / 1000);
  // Messages stored within a second expire within a second: most calls ask for the same text.
  if (cached.second !== second) cached = { second, text: new Date(second * 1000).toUTCString() };
  return cached.text;
}
