import { hexToBytes } from "@noble/hashes/utils.js";
import { concatBytes } from "#core/bytes.ts";
import type { Instant } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import { type Members, stringMember, unsignedMember } from "./members.ts";
import { isSignedBy, isTimely, signedWindowMs, u64 } from "./signature.ts";

export interface PurgeRequest {
  readonly mailbox: string;
  /** Lower-case hex, 32 bytes: spent by the purge. */
  readonly purgeToken: string;
  /** From then on the time alone refuses the request: the token need not be remembered longer. */
  readonly replayableUntil: Instant;
}

const refuse = (text: string) => new RelayError("unauthorized", { text });

/** What a purge is signed with, and how many bytes of it: in the order in which faults are told. */
const fields = [
  ["public_key", 32],
  ["signature", 64],
  ["purge_token", 32],
] as const;

/** The fields' bytes. All are read before any is measured, as the original does. */
function parseFields(members: Members): Uint8Array[] {
  const texts = fields.map(([name]) => stringMember(members, name));
  const parsed = texts.map((text, at) => {
    try {
      return hexToBytes(text);
    } catch {
      throw refuse(`invalid ${fields[at]![0]} hex: not hexadecimal`);
    }
  });
  for (const [at, [name, length]] of fields.entries()) {
    const got = parsed[at]!.byteLength;
    if (got !== length) throw refuse(`${name} must be ${length} bytes, got ${got}`);
  }
  return parsed;
}

/**
 * Verifies all of a purge but its freshness, which the store decides. `binding` "strict" wants the mailbox's name to be
 * made of the key or of the purge token (`docs/decisions/0011-purge-binding.md`). Throws `unauthorized`, with one text
 * for each cause as the original has them.
 */
export async function verifyPurge(
  members: Members,
  binding: "token" | "strict",
  now: Instant,
): Promise<PurgeRequest> {
  const mailbox = stringMember(members, "recipient_id").toLowerCase();
  const timestamp = unsignedMember(members, "timestamp");
  const [publicKey, signature, purgeToken] = parseFields(members) as [Uint8Array, Uint8Array, Uint8Array];
  if (!isTimely(timestamp, now)) throw refuse("purge timestamp outside acceptable window");
  if (!(await isSignedBy(publicKey, signature, concatBytes(publicKey, purgeToken, u64(timestamp))))) {
    throw refuse("invalid purge signature");
  }
  const token = stringMember(members, "purge_token").toLowerCase();
  if (
    binding === "strict" &&
    mailbox !== stringMember(members, "public_key").toLowerCase() &&
    mailbox !== token
  ) {
    throw refuse("invalid purge signature");
  }
  return { mailbox, purgeToken: token, replayableUntil: timestamp * 1000 + signedWindowMs + 1000 };
}
