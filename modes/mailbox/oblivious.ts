import { RelayError } from "#core/errors.ts";
import { errorObject, wordsOf } from "./answers.ts";
import type { Mailbox } from "./mailbox.ts";
import { type Members, parseMembers, ShapeError } from "./members.ts";

const innerVersion = 2;

/** What goes back into the capsule: an object, and whether it has the sizes of an answer to fetch. */
export interface InnerAnswer {
  readonly body: Readonly<Record<string, unknown>>;
  readonly isFetch: boolean;
}

/** The request in a capsule, read as far as the outside may know: `version` and `action`. Throws `ShapeError`. */
export function parseInner(json: Uint8Array): { action: string; version: number; members: Members } {
  const members = parseMembers(json);
  const { version, action } = members;
  if (typeof version !== "number" || !Number.isInteger(version) || version < 0 || version > 255) {
    throw new ShapeError("`version` must be a number from 0 to 255");
  }
  if (typeof action !== "string") throw new ShapeError("`action` must be a string");
  return { action, version, members };
}

/** Does what a capsule asks for. Whatever stops it is told inside; nothing of it shows outside. */
export function performInner(
  inner: ReturnType<typeof parseInner>,
  mailbox: Mailbox,
  signal: AbortSignal,
): Promise<InnerAnswer> {
  return mailbox.traffic.count(
    () => perform(inner, mailbox, signal),
    ({ body }) => body.error === undefined,
  );
}

async function perform(
  { action, version, members }: ReturnType<typeof parseInner>,
  mailbox: Mailbox,
  signal: AbortSignal,
): Promise<InnerAnswer> {
  const told = (text: string, more: object = {}) => ({
    body: { ...errorObject(text), ...more },
    isFetch: false,
  });
  if (version !== innerVersion) return told(`unsupported protocol version: ${version}`);
  if (!mailbox.has(action)) return told(`unknown action: ${action.slice(0, 64)}`);
  // The OHTTP relay strips headers, so the version of a client that tells it is a member here; one that does not is
  // served, or every client behind OHTTP would be cut off.
  const compat = members.app_compat_version;
  if (typeof compat === "number" && mailbox.judgeVersion(compat).kind === "refused") {
    return { body: { error: "upgrade_required", min_version: mailbox.config.versionMin }, isFetch: false };
  }
  try {
    const caller = { source: undefined, oblivious: true, waitMs: 0, signal };
    return { body: await mailbox.perform(action, members, caller), isFetch: action === "fetch" };
  } catch (error) {
    if (error instanceof ShapeError) return told(`bad ${action} payload: ${error.message}`);
    if (!(error instanceof RelayError)) throw error;
    const { retryAfterSeconds } = error;
    return told(wordsOf(error), retryAfterSeconds === undefined ? {} : { retry_after: retryAfterSeconds });
  }
}
