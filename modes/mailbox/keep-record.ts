import type { Instant } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import type { MailboxStore, RecordKind, RecordWrite } from "#store/contract/mailbox-store.ts";

/** Stores a record, or tells the client that there is no room. `conflict` where it is not the version that was meant. */
export async function keepRecord(
  store: MailboxStore,
  kind: RecordKind,
  key: string,
  write: RecordWrite,
  now: Instant,
): Promise<"stored" | "conflict"> {
  const outcome = await store.putRecord(kind, key, write, now);
  if (outcome === "storage-full") throw new RelayError("storage_quota_exceeded", { retryAfterSeconds: 10 });
  return outcome;
}
