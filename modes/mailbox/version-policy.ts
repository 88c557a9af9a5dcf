import type { Instant } from "#core/clock.ts";

const dayMs = 86_400_000;

/** Which client versions are served, told to be old, or refused. */
export interface VersionPolicy {
  readonly min: number;
  readonly warn: number;
  readonly graceMs: number;
}

export type VersionVerdict =
  | { readonly kind: "served" }
  | { readonly kind: "in-grace"; readonly deadlineSeconds: number }
  | { readonly kind: "refused" };

/**
 * The policy that the options stand for. A `warn` below `min` cannot be meant: then nothing is enforced, as in the
 * original, and `contradictory` says so.
 */
export function versionPolicyOf(options: {
  versionMin: number;
  versionWarn: number;
  versionGraceMs: number;
}): VersionPolicy & { readonly contradictory: boolean } {
  const warn = options.versionWarn || options.versionMin;
  if (warn < options.versionMin) return { min: 0, warn: 0, graceMs: 14 * dayMs, contradictory: true };
  return { min: options.versionMin, warn, graceMs: options.versionGraceMs, contradictory: false };
}

/** What a client declares in `X-App-Compat-Version`: a number of 16 bits; anything else counts as 0. */
export function declaredVersion(header: string | null): number {
  if (header === null || !/^\d{1,5}$/.test(header)) return 0;
  const version = Number(header);
  return version <= 65_535 ? version : 0;
}

/** `changedAt` is when `min` was raised to what it is. */
export function judgeVersion(
  policy: VersionPolicy,
  changedAt: Instant,
  version: number,
  now: Instant,
): VersionVerdict {
  if (version >= policy.min) return { kind: "served" };
  const deadline = changedAt + policy.graceMs;
  if (now >= deadline) return { kind: "refused" };
  return { kind: "in-grace", deadlineSeconds: Math.floor(deadline / 1000) };
}
