import { LiveProtocolError, liveError } from "../error-code.ts";
import type { Draft } from "./draft.ts";

/** Codes that a session of moq-transport is closed with. */
export const sessionCode = {
  none: 0x0,
  internal: 0x1,
  unauthorized: 0x2,
  protocolViolation: 0x3,
  invalidRequestId: 0x4,
  duplicateTrackAlias: 0x5,
  tooManyRequests: 0x7,
  invalidPath: 0x8,
  controlMessageTimeout: 0x11,
  versionNegotiationFailed: 0x15,
  malformedAuthToken: 0x16,
  unknownAuthTokenAlias: 0x17,
} as const;

/** A remote breaks a rule of moq-transport; `code` is one of `sessionCode`. */
export class IetfProtocolError extends LiveProtocolError {
  constructor(message: string, code: number = sessionCode.protocolViolation) {
    super(message, code);
  }
}

const sessionCodes = new Map<number, number>([
  [liveError.cancel, sessionCode.none],
  // Nothing of ours ends a session as superseded: 2 asks for a private token, here as there.
  [liveError.old, sessionCode.unauthorized],
  [liveError.timeout, sessionCode.controlMessageTimeout],
  [liveError.unauthorized, sessionCode.unauthorized],
  [liveError.version, sessionCode.versionNegotiationFailed],
  [liveError.bounds, sessionCode.tooManyRequests],
  [liveError.transport, sessionCode.internal],
  [liveError.lagged, sessionCode.internal],
]);

/** What a session is closed with for one of our own codes; what has no code of its own is a violation. */
export const sessionCodeOf = (code: number): number =>
  sessionCodes.get(code) ?? sessionCode.protocolViolation;

/** Codes of stream resets; none of them changes its meaning between the drafts we speak. */
export const resetCode = { internal: 0x0, cancelled: 0x1, deliveryTimeout: 0x2, sessionClosed: 0x3 } as const;

const resetCodes = new Map<number, number>([
  [liveError.cancel, resetCode.cancelled],
  [liveError.old, resetCode.deliveryTimeout],
  [liveError.timeout, resetCode.deliveryTimeout],
  [liveError.closed, resetCode.sessionClosed],
]);

export const resetCodeOf = (code: number): number => resetCodes.get(code) ?? resetCode.internal;

/** What a reset by the remote means to us. */
export function codeOfReset(code: number): number {
  if (code === resetCode.cancelled) return liveError.cancel;
  if (code === resetCode.deliveryTimeout) return liveError.old;
  return liveError.dropped;
}

/** Why a request is refused, by name: the drafts number the reasons differently. */
export type RefusalReason =
  | "internal"
  | "unauthorized"
  | "timeout"
  | "not_supported"
  | "does_not_exist"
  | "invalid_range"
  | "uninterested"
  | "invalid_joining_request";

const refusals: Record<RefusalReason, { first: number; later: number; retries: boolean }> = {
  internal: { first: 0x0, later: 0x0, retries: true },
  unauthorized: { first: 0x1, later: 0x1, retries: false },
  timeout: { first: 0x2, later: 0x2, retries: true },
  not_supported: { first: 0x3, later: 0x3, retries: false },
  does_not_exist: { first: 0x4, later: 0x10, retries: true },
  invalid_range: { first: 0x5, later: 0x11, retries: false },
  uninterested: { first: 0x4, later: 0x20, retries: false },
  invalid_joining_request: { first: 0x7, later: 0x32, retries: false },
};

export const refusalCode = (reason: RefusalReason, draft: Draft): number =>
  draft.fixedFields ? refusals[reason].first : refusals[reason].later;

/** Whether asking again may help, later. */
export const mayRetry = (reason: RefusalReason): boolean => refusals[reason].retries;

/** What a refusal means to us. */
export function codeOfRefusal(code: number, draft: Draft): number {
  if (code === refusalCode("does_not_exist", draft)) return liveError.notFound;
  if (code === refusals.unauthorized.later) return liveError.unauthorized;
  if (code === refusals.timeout.later) return liveError.timeout;
  if (code === refusals.not_supported.later) return liveError.unsupported;
  return liveError.dropped;
}

/** The name of one of our own codes, to refuse a request with. */
export function reasonOf(code: number): RefusalReason {
  if (code === liveError.notFound) return "does_not_exist";
  if (code === liveError.unauthorized) return "unauthorized";
  if (code === liveError.timeout) return "timeout";
  if (code === liveError.unsupported) return "not_supported";
  return "internal";
}

/** How a subscription ended (PUBLISH_DONE). */
export const doneStatus = {
  internal: 0x0,
  unauthorized: 0x1,
  trackEnded: 0x2,
  subscriptionEnded: 0x3,
  goingAway: 0x4,
} as const;
