/**
 * Everything that can stop a caller of this package: `code` is for programs, the sentence for people.
 *
 * No sentence ever carries a secret, an id, a key or a payload, so an error may be logged.
 */
export const POSTERN_ERRORS = {
  option_invalid: "An option is not possible.",
  secret_malformed: "A secret must be 32 bytes, or 43 characters of base64url.",
  code_malformed: "Not a code: expected the relay's URL, # and the secret.",
  sealed_malformed: "The message is not sealed as expected, or not with this secret.",
  content_type_malformed: "A content type must be at most 255 characters of visible ASCII.",
  timed_out: "Nothing came in time.",
  message_gone: "The message expired or was replaced before it was collected; send it again.",
  message_too_large: "The message is larger than the relay takes.",
  relay_refused: "The relay refused the request.",
  relay_unreachable: "The relay could not be reached in time.",
  aborted: "Aborted.",
  session_ended: "The live session is over.",
  track_unavailable: "The track is not there, or the relay will not give it.",
} as const;

export type PosternErrorCode = keyof typeof POSTERN_ERRORS;

/** What a program may want to know beyond the code. */
export interface PosternErrorDetails {
  /** The option at fault. */
  readonly option?: string;
  /** The last HTTP status the relay answered with; absent when it never answered. */
  readonly status?: number;
  /** When a mailbox relay that is busy or full wants to be asked again; absent where it refuses for good. */
  readonly retryAfterSeconds?: number;
  /** The code a live session was closed with. */
  readonly closeCode?: number;
  /** The code with which a live track was refused or given up. */
  readonly streamCode?: number;
}

export class PosternError extends Error {
  override readonly name = "PosternError";
  readonly code: PosternErrorCode;
  readonly details: PosternErrorDetails;

  constructor(
    code: PosternErrorCode,
    options: { message?: string; details?: PosternErrorDetails; cause?: unknown } = {},
  ) {
    super(
      options.message ?? POSTERN_ERRORS[code],
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** Whether `error` is ours, and of this code when one is given. */
export function isPosternError(error: unknown, code?: PosternErrorCode): error is PosternError {
  return error instanceof PosternError && (code === undefined || error.code === code);
}
