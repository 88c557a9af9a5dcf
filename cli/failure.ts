import {
  isPosternError,
  POSTERN_ERRORS,
  type PosternError,
  type PosternErrorCode,
} from "#clients/client/src/index.ts";
import { isPubkyError, type PubkyErrorCode } from "#clients/pubky/src/index.ts";
import { OptionError } from "#core/flags.ts";
import { exitCodes } from "./exit-codes.ts";

const byPosternCode: { readonly [Code in PosternErrorCode]?: number } = {
  option_invalid: exitCodes.usage,
  secret_malformed: exitCodes.usage,
  code_malformed: exitCodes.usage,
  content_type_malformed: exitCodes.usage,
  timed_out: exitCodes.timedOut,
  message_gone: exitCodes.timedOut,
  message_too_large: exitCodes.refused,
  relay_refused: exitCodes.refused,
  aborted: exitCodes.interrupted,
};

const byPubkyCode: { readonly [Code in PubkyErrorCode]?: number } = {
  link_scheme: exitCodes.usage,
  link_intent: exitCodes.usage,
  link_parameter_missing: exitCodes.usage,
  link_parameter_invalid: exitCodes.usage,
  base64url_malformed: exitCodes.usage,
  flow_expired: exitCodes.timedOut,
  delivery_expired: exitCodes.timedOut,
  token_too_old: exitCodes.timedOut,
  flow_cancelled: exitCodes.interrupted,
  capabilities_extra: exitCodes.refused,
  request_declined: exitCodes.refused,
  request_not_approvable: exitCodes.refused,
  request_needs_signup: exitCodes.refused,
  relay_refused: exitCodes.refused,
  token_malformed: exitCodes.refused,
  token_namespace: exitCodes.refused,
  token_version: exitCodes.refused,
  token_signature: exitCodes.refused,
  token_from_future: exitCodes.refused,
};

export interface Failure {
  readonly exitCode: number;
  /** Stable, for programs. */
  readonly code: string;
  /** For people: what went wrong and, where there is something, what to do. */
  readonly message: string;
}

/** What to tell and to end with when a verb threw. Never quotes a secret, as no error of ours does. */
export function failureOf(error: unknown): Failure {
  if (error instanceof OptionError)
    return { exitCode: exitCodes.usage, code: "usage", message: error.message };
  if (isPosternError(error)) {
    const { code, details } = error;
    const isForGood = details.retryAfterSeconds === undefined;
    const exitCode = (isForGood && byPosternCode[code]) || exitCodes.failed;
    return { exitCode, code, message: withAdvice(code, sentenceOf(error)) };
  }
  if (isPubkyError(error)) {
    const { code, message, details } = error;
    const which = details.capabilities?.length ? ` (${details.capabilities.join(", ")})` : "";
    const exitCode = byPubkyCode[code] ?? exitCodes.failed;
    return { exitCode, code, message: withAdvice(code, `${message}${which}`) };
  }
  const { code, message } = error as NodeJS.ErrnoException;
  return { exitCode: exitCodes.failed, code: code ?? "failed", message };
}

/** What the client says, and what it knows beside it. */
function sentenceOf({ code, message, details: { status, retryAfterSeconds } }: PosternError): string {
  const sentence = message.replace(/\.$/, "");
  if (retryAfterSeconds !== undefined) return `${sentence}. Try again in ${retryAfterSeconds} s.`;
  // Without words of the relay's the status is all there is.
  return code === "relay_refused" && message === POSTERN_ERRORS.relay_refused && status !== undefined
    ? `${sentence} (status ${status}).`
    : message;
}

const advice: Readonly<Record<string, string>> = {
  relay_unreachable: "`postern doctor URL` tells what is wrong with it.",
  message_too_large:
    "A relay takes 2048 bytes unless its operator set --max-body-size; sealing adds at least 42.",
  capabilities_invalid: "Write them as /pub/my.app/:rw, with commas between.",
};

function withAdvice(code: string, message: string): string {
  return advice[code] ? `${message} ${advice[code]}` : message;
}
