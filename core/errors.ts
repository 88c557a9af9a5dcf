/**
 * Everything that can stop a caller, once. A row says what a remote may learn: the HTTP status and one sentence, which
 * is the original relay's where it has one (`protocol/rendezvous.md`), and `advice`: what to do about it.
 */
export const errorTable = {
  bad_request: { status: 400, text: "Bad request", advice: "Correct the request; repeating it cannot help." },
  id_not_utf8: {
    status: 400,
    text: "Invalid URL: Invalid UTF-8 in `id`",
    advice: "Percent-encode the id as UTF-8.",
  },
  inbox_id_too_long: {
    status: 400,
    text: "Inbox ID too long",
    advice: "Use an id of at most 256 bytes after percent-decoding.",
  },
  channel_id_too_long: {
    status: 400,
    text: "Channel ID too long",
    advice: "Use an id of at most 256 bytes after percent-decoding.",
  },
  empty_message: {
    status: 400,
    text: "Empty message",
    advice: "Send at least one byte; this relay refuses none.",
  },
  unauthorized: { status: 401, text: "Unauthorized", advice: "Send valid credentials." },
  forbidden: { status: 403, text: "Forbidden", advice: "These credentials do not allow this." },
  not_found: {
    status: 404,
    text: "Not found",
    advice: "Nothing is stored under this id, or it has expired.",
  },
  entry_expired: {
    status: 404,
    text: "Entry expired",
    advice: "The message expired or was replaced before it was collected; send it again.",
  },
  method_not_allowed: { status: 405, text: "Method not allowed", advice: "Use a method named in Allow." },
  timed_out: { status: 408, text: "Request timed out", advice: "Nothing happened while waiting; ask again." },
  version_mismatch: {
    status: 412,
    text: "Precondition failed",
    advice: "The stored message is not the one named in If-Match; read it again before acknowledging.",
  },
  body_too_large: {
    status: 413,
    text: "Failed to buffer the request body: length limit exceeded",
    advice: "Send a smaller body.",
  },
  unsupported_media_type: {
    status: 415,
    text: "Unsupported media type",
    advice: "Use the documented content type.",
  },
  unprocessable: {
    status: 422,
    text: "Unprocessable content",
    advice: "The request is well formed and cannot be served; see the documentation of this endpoint.",
  },
  rate_limited: { status: 429, text: "Too many requests", advice: "Wait as long as Retry-After says." },
  issuer_unavailable: {
    status: 502,
    text: "The token issuer's key is not known yet",
    advice: "The relay keeps trying to reach the issuer; try again.",
  },
  auth_unavailable: {
    status: 502,
    text: "The authorization service did not answer",
    advice: "Who decides about this session cannot be asked now; try again.",
  },
  not_enabled: {
    status: 501,
    text: "Not enabled",
    advice: "The operator of this relay has not switched this on.",
  },
  quota_exceeded: {
    status: 429,
    text: "quota exceeded for recipient",
    advice: "The mailbox is full until its owner collects; try again after Retry-After.",
  },
  storage_quota_exceeded: {
    status: 429,
    text: "storage quota exceeded",
    advice: "The relay is full and drops nobody's message for a new one; try again after Retry-After.",
  },
  upgrade_required: {
    status: 426,
    text: "upgrade_required",
    advice: "This client is too old for the relay; install a newer one.",
  },
  too_many_waiters: {
    status: 503,
    text: "Too many concurrent requests",
    advice: "As many requests as are allowed already wait; try again after Retry-After.",
  },
  at_capacity: {
    status: 503,
    text: "Server at capacity",
    advice: "The relay is full and drops nobody's message for a new one; try again after Retry-After.",
  },
  storage_unavailable: {
    status: 503,
    text: "Storage unavailable",
    advice: "The message was not stored; try again after Retry-After.",
  },
  internal: { status: 500, text: "Internal error", advice: "Try again; if it stays, tell the operator." },
} as const satisfies Record<string, { status: number; text: string; advice: string }>;

export type ErrorCode = keyof typeof errorTable;

export interface RelayErrorOptions extends ErrorOptions {
  /** When a retry can help: whole seconds, at least 1. */
  retryAfterSeconds?: number;
  /** A sentence for the remote, more exact than the row's. Never holds an id, address, key or payload. */
  text?: string;
  /** The value of `WWW-Authenticate`: how the remote gets what it lacks. */
  authenticate?: string | undefined;
}

/** What stops a caller. Its `cause`, if any, is for the log alone and never goes over the wire. */
export class RelayError extends Error {
  override readonly name = "RelayError";
  readonly code: ErrorCode;
  readonly status: number;
  readonly retryAfterSeconds: number | undefined;
  readonly authenticate: string | undefined;

  constructor(code: ErrorCode, options: RelayErrorOptions = {}) {
    super(options.text ?? errorTable[code].text, options);
    this.code = code;
    this.status = errorTable[code].status;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.authenticate = options.authenticate;
  }
}
