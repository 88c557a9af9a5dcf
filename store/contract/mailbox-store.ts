import type { Instant } from "#core/clock.ts";

/** What is known of a waiting blob without its bytes. */
export interface BlobHead {
  /** Tells blobs apart and orders them: a blob stored later has a higher position. Means nothing across restarts. */
  readonly position: number;
  readonly blobId: string;
  readonly mailbox: string;
  /** Bytes of ciphertext. */
  readonly size: number;
  /** Whole seconds since 1970. It never falls as positions rise, but for blobs that came with a time of their own. */
  readonly createdAt: number;
}

export interface MailboxLimits {
  /** Blobs one mailbox holds; 0 is no limit. */
  readonly maxBlobsPerMailbox: number;
  /** Bytes one mailbox holds, `blobOverheadBytes` for each blob included; 0 is no limit. */
  readonly maxBytesPerMailbox: number;
  /** Bytes held in all, blobs and records. */
  readonly maxStorageBytes: number;
  /** A blob is gone when it is this old. */
  readonly blobTtlMs: number;
}

/** What a blob counts beyond its ciphertext: its id and its time. */
export const blobOverheadBytes = 44;

/**
 * What else the mode keeps, by kind. `spent` are nonces that must not be used twice, `setting`s are the relay's own,
 * `hint`s tell where blobs went that another relay has now; these three are stored however full the relay is.
 */
export type RecordKind = "proof" | "guardians" | "offer" | "spent" | "setting" | "hint";

export interface StoredRecord {
  readonly value: Uint8Array;
  /** Whole seconds since 1970. */
  readonly createdAt: number;
  /** From this moment on the record is gone; undefined keeps it for good. */
  readonly expiresAt: Instant | undefined;
  /** Rises with each change of this record, while it is there. */
  readonly version: number;
}

export interface RecordWrite {
  readonly value: Uint8Array;
  readonly expiresAt: Instant | undefined;
  /** Only if the record is this version; 0: only if there is none. Undefined: whatever is there. */
  readonly ifVersion?: number;
}

export type PutOutcome = "stored" | "mailbox-full" | "storage-full";
export type RecordOutcome = "stored" | "conflict" | "storage-full";

/**
 * What the mailbox mode keeps: blobs that wait in mailboxes, and small records by kind and key.
 *
 * - A mailbox is named by 64 lower-case hex digits; any other name is an empty mailbox.
 * - A promise resolves only after the change is as durable as the engine makes it, and nobody reads a change before.
 * - Changes take effect in the order in which they were called.
 * - What expired is gone, swept or not, and takes no room that somebody else wants.
 * - Nothing accepted is dropped to make room.
 * - `storage_unavailable` (`RelayError`) when the engine could not keep the change; then it did not happen.
 */
export interface MailboxStore extends AsyncDisposable {
  /**
   * Adds a blob. `mailbox-full` when the mailbox holds as many blobs as it may, or would hold more bytes; the new blob
   * counts without its overhead, so that one that exactly fills the mailbox fits. `createdAt` is the second in which it
   * was created elsewhere, from which on its time counts.
   */
  put(
    mailbox: string,
    blobId: string,
    data: Uint8Array,
    now: Instant,
    createdAt?: number,
  ): Promise<PutOutcome>;
  /** The oldest blobs of these mailboxes with a position above `after`, at most `limit`, oldest first. */
  list(mailboxes: readonly string[], after: number, limit: number, now: Instant): readonly BlobHead[];
  /** The blobs of all mailboxes with a position above `after`, at most `limit`, oldest first. */
  oldest(after: number, limit: number, now: Instant): readonly BlobHead[];
  /** The bytes of blobs that were listed; undefined for one that is gone. */
  read(positions: readonly number[]): readonly (Uint8Array | undefined)[];
  /** Removes a blob. With a mailbox, only from there. True if it was there until now. */
  remove(mailbox: string | undefined, blobId: string, now: Instant): Promise<boolean>;
  /**
   * Empties a mailbox and spends `nonce` in one step: resolves to the number of blobs removed, or `undefined` if the
   * nonce was spent before; then nothing was removed.
   */
  purge(mailbox: string, nonce: string, nonceExpiresAt: Instant, now: Instant): Promise<number | undefined>;

  putRecord(kind: RecordKind, key: string, write: RecordWrite, now: Instant): Promise<RecordOutcome>;
  getRecord(kind: RecordKind, key: string, now: Instant): StoredRecord | undefined;
  /** True if it was there until now. With a version, only that one. */
  removeRecord(kind: RecordKind, key: string, now: Instant, ifVersion?: number): Promise<boolean>;
  /** Every live record's key and end, in no order. */
  listRecords(kind: RecordKind, now: Instant): readonly { key: string; expiresAt: Instant | undefined }[];

  /** Drops what expired before `now` and gives its room back to the machine. */
  sweep(now: Instant): Promise<{ readonly blobs: number; readonly records: number }>;
  /** Held now, expired but unswept ones included. Bytes count blobs with their overhead, and records. */
  usage(): { readonly blobs: number; readonly bytes: number };
}

/** 64 lower-case hex digits? Asked with every call: a regular expression takes several times as long. */
export function isMailboxName(name: string): boolean {
  if (name.length !== 64) return false;
  for (let at = 0; at < 64; at++) {
    const code = name.charCodeAt(at);
    const isDigit = (code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66);
    if (!isDigit) return false;
  }
  return true;
}

/** Kinds that are stored however full the relay is. */
export function isEssential(kind: RecordKind): boolean {
  return kind === "spent" || kind === "setting" || kind === "hint";
}

/** A blob's second of creation at `now`, and the last second whose blobs are gone. */
export function secondsOf(
  now: Instant,
  ttlMs: number,
): { readonly second: number; readonly expired: number } {
  return { second: Math.floor(now / 1000), expired: Math.floor((now - ttlMs) / 1000) };
}
