import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import type { Instant } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import {
  type BlobHead,
  blobOverheadBytes,
  isEssential,
  isMailboxName,
  type MailboxLimits,
  type MailboxStore,
  type PutOutcome,
  type RecordKind,
  type RecordOutcome,
  type RecordWrite,
  type StoredRecord,
  secondsOf,
} from "#store/contract/mailbox-store.ts";
import { durablePragmas, type Sql, SqliteWriter } from "./writer.ts";

/** No mailbox's quota: SQLite's largest integer that JavaScript holds exactly. */
const unlimited = Number.MAX_SAFE_INTEGER;
/** Rows one commit of a sweep drops at most, so that a large one does not hold up everybody's. */
const sweepBatch = 500;

// Blobs lie in order of arrival, so that a send touches the end of the table, and expiry its beginning. The index is
// as small as can be, because names are scattered all over it; each entry ends with the position, so that a mailbox's
// blobs come in order. Counters move with the rows, in the same transaction: nothing is ever counted.
const schema = `
  CREATE TABLE IF NOT EXISTS blob (
    position INTEGER PRIMARY KEY,
    mailbox BLOB NOT NULL,
    blob_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    data BLOB NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS blob_of_mailbox ON blob (mailbox);
  CREATE TABLE IF NOT EXISTS mailbox (
    name BLOB PRIMARY KEY NOT NULL,
    blobs INTEGER NOT NULL,
    bytes INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS record (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    version INTEGER NOT NULL,
    PRIMARY KEY (kind, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS record_by_expiry ON record (expires_at);
  CREATE TABLE IF NOT EXISTS total (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    blobs INTEGER NOT NULL,
    bytes INTEGER NOT NULL
  ) STRICT;
  INSERT OR IGNORE INTO total VALUES (1, 0, 0);
  CREATE TRIGGER IF NOT EXISTS blob_came AFTER INSERT ON blob BEGIN
    INSERT INTO mailbox VALUES (new.mailbox, 1, new.size + ${blobOverheadBytes})
      ON CONFLICT (name) DO UPDATE SET blobs = blobs + 1, bytes = bytes + excluded.bytes;
    UPDATE total SET blobs = blobs + 1, bytes = bytes + new.size + ${blobOverheadBytes};
  END;
  CREATE TRIGGER IF NOT EXISTS blob_went AFTER DELETE ON blob BEGIN
    UPDATE mailbox SET blobs = blobs - 1, bytes = bytes - old.size - ${blobOverheadBytes} WHERE name = old.mailbox;
    DELETE FROM mailbox WHERE name = old.mailbox AND blobs = 0;
    UPDATE total SET blobs = blobs - 1, bytes = bytes - old.size - ${blobOverheadBytes};
  END;
  CREATE TRIGGER IF NOT EXISTS record_came AFTER INSERT ON record BEGIN
    UPDATE total SET bytes = bytes + length(new.key) + length(new.value);
  END;
  CREATE TRIGGER IF NOT EXISTS record_changed AFTER UPDATE ON record BEGIN
    UPDATE total SET bytes = bytes + length(new.value) - length(old.value);
  END;
  CREATE TRIGGER IF NOT EXISTS record_went AFTER DELETE ON record BEGIN
    UPDATE total SET bytes = bytes - length(old.key) - length(old.value);
  END;
`;

const insertBlob = `
  INSERT INTO blob (position, mailbox, blob_id, created_at, size, data)
  SELECT ?1, ?2, ?3, ?4, ?5, ?6
  WHERE ?5 <= ?8 AND NOT EXISTS (SELECT 1 FROM mailbox WHERE name = ?2 AND (blobs >= ?7 OR bytes + ?5 > ?8))
    AND (SELECT bytes FROM total) + ?5 + ${blobOverheadBytes} <= ?9`;

const upsertRecord = `
  INSERT INTO record VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT (kind, key) DO UPDATE SET
    value = excluded.value, created_at = excluded.created_at, expires_at = excluded.expires_at, version = version + 1`;
const insertRecord = "INSERT OR IGNORE INTO record VALUES (?, ?, ?, ?, ?, 1)";
const updateRecord = `
  UPDATE record SET value = ?, created_at = ?, expires_at = ?, version = version + 1
  WHERE kind = ? AND key = ? AND version = ?`;
const expireRecord = "DELETE FROM record WHERE kind = ? AND key = ? AND expires_at <= ?";

export interface MailboxFile {
  readonly path: string;
  /** Also find blobs by their id alone, which costs an index. */
  readonly findById: boolean;
}

/**
 * Keeps everything on disk and nothing in memory but SQLite's page cache. Changes go through the group commit of
 * `SqliteWriter`; reads are indexed look-ups on a connection of their own, which sees what is committed.
 */
export async function openSqliteMailboxStore(
  { path, findById }: MailboxFile,
  limits: MailboxLimits,
): Promise<MailboxStore> {
  const byId = findById
    ? "CREATE UNIQUE INDEX IF NOT EXISTS blob_by_id ON blob (blob_id);"
    : "DROP INDEX IF EXISTS blob_by_id;";
  const writer = await SqliteWriter.open({
    path,
    // Mailboxes are scattered over the index: the longer the log, the more often one page in it stands for many changes.
    pragmas: ["auto_vacuum=INCREMENTAL", ...durablePragmas, "cache_size=-65536", "wal_autocheckpoint=16000"],
    schema: schema + byId,
  });
  const reader = new DatabaseSync(path, { readOnly: true });
  reader.exec("PRAGMA busy_timeout=5000; PRAGMA cache_size=-65536; PRAGMA query_only=ON");
  return new SqliteMailboxStore(writer, reader, limits);
}

class SqliteMailboxStore implements MailboxStore {
  readonly #writer: SqliteWriter;
  readonly #reader: DatabaseSync;
  readonly #limits: MailboxLimits;
  readonly #statements = new Map<string, StatementSync>();
  #position: number;
  #lastSecond: number;

  constructor(writer: SqliteWriter, reader: DatabaseSync, limits: MailboxLimits) {
    this.#writer = writer;
    this.#reader = reader;
    this.#limits = limits;
    const last = this.#get("SELECT position, created_at FROM blob ORDER BY position DESC LIMIT 1");
    this.#position = Number(last?.position ?? 0);
    this.#lastSecond = Number(last?.created_at ?? 0);
  }

  async put(
    mailbox: string,
    blobId: string,
    data: Uint8Array,
    now: Instant,
    createdAt?: number,
  ): Promise<PutOutcome> {
    if (!isMailboxName(mailbox)) throw new TypeError("not a mailbox name");
    if (await this.#insert(mailbox, blobId, data, now, createdAt)) return "stored";
    // What expired takes no room: drop it and look again.
    const name = nameOf(mailbox);
    const { expired } = secondsOf(now, this.#limits.blobTtlMs);
    const dropped = await this.#writer.write([
      "DELETE FROM blob WHERE mailbox = ? AND created_at <= ?",
      [name, expired],
    ]);
    const swept = dropped > 0 ? undefined : await this.#sweepRows(now);
    if (
      (dropped > 0 || swept!.blobs + swept!.records > 0) &&
      (await this.#insert(mailbox, blobId, data, now, createdAt))
    ) {
      return "stored";
    }
    return this.#isMailboxFull(name, data.byteLength) ? "mailbox-full" : "storage-full";
  }

  list(mailboxes: readonly string[], after: number, limit: number, now: Instant): readonly BlobHead[] {
    const { expired } = secondsOf(now, this.#limits.blobTtlMs);
    const heads: BlobHead[] = [];
    for (const mailbox of new Set(mailboxes)) {
      if (!isMailboxName(mailbox)) continue;
      const rows = this.#all(
        "SELECT position, created_at, size, blob_id FROM blob WHERE mailbox = ? AND position > ? AND created_at > ? ORDER BY position LIMIT ?",
        nameOf(mailbox),
        after,
        expired,
        limit,
      );
      for (const row of rows) heads.push(headOf(mailbox, row));
    }
    return heads.sort((a, b) => a.position - b.position).slice(0, limit);
  }

  oldest(after: number, limit: number, now: Instant): readonly BlobHead[] {
    const { expired } = secondsOf(now, this.#limits.blobTtlMs);
    const rows = this.#all(
      "SELECT position, mailbox, created_at, size, blob_id FROM blob WHERE position > ? AND created_at > ? ORDER BY position LIMIT ?",
      after,
      expired,
      limit,
    );
    return rows.map((row) => headOf(Buffer.from(row.mailbox as Uint8Array).toString("hex"), row));
  }

  read(positions: readonly number[]): readonly (Uint8Array | undefined)[] {
    return positions.map(
      (position) =>
        this.#get("SELECT data FROM blob WHERE position = ?", position)?.data as Uint8Array | undefined,
    );
  }

  async remove(mailbox: string | undefined, blobId: string, now: Instant): Promise<boolean> {
    if (mailbox !== undefined && !isMailboxName(mailbox)) return false;
    const row =
      mailbox === undefined
        ? this.#get("SELECT position, created_at FROM blob WHERE blob_id = ?", blobId)
        : this.#get(
            "SELECT position, created_at FROM blob WHERE mailbox = ? AND blob_id = ? ORDER BY position LIMIT 1",
            nameOf(mailbox),
            blobId,
          );
    if (!row) return false;
    const removed = await this.#writer.write([
      "DELETE FROM blob WHERE position = ? AND blob_id = ?",
      [Number(row.position), blobId],
    ]);
    return removed > 0 && Number(row.created_at) > secondsOf(now, this.#limits.blobTtlMs).expired;
  }

  async purge(
    mailbox: string,
    nonce: string,
    nonceExpiresAt: Instant,
    now: Instant,
  ): Promise<number | undefined> {
    const { second, expired } = secondsOf(now, this.#limits.blobTtlMs);
    const name = nameOf(isMailboxName(mailbox) ? mailbox : "");
    const [, changed] = await Promise.all([
      this.#writer.write(
        ["DELETE FROM blob WHERE mailbox = ? AND created_at <= ?", [name, expired]],
        [expireRecord, ["spent", nonce, now]],
      ),
      this.#writer.write(
        [insertRecord, ["spent", nonce, new Uint8Array(), second, nonceExpiresAt]],
        // Only if it was this operation that spent the nonce.
        ["DELETE FROM blob WHERE mailbox = ? AND changes() = 1", [name]],
      ),
    ]);
    return changed === 0 ? undefined : changed - 1;
  }

  async putRecord(kind: RecordKind, key: string, write: RecordWrite, now: Instant): Promise<RecordOutcome> {
    if (!isEssential(kind) && !(await this.#hasRoom(kind, key, write.value.byteLength, now))) {
      return "storage-full";
    }
    const { value, expiresAt = null, ifVersion } = write;
    const second = Math.floor(now / 1000);
    const whole: Sql[1] = [kind, key, value, second, expiresAt];
    const change: Sql =
      ifVersion === undefined
        ? [upsertRecord, whole]
        : ifVersion === 0
          ? [insertRecord, whole]
          : [updateRecord, [value, second, expiresAt, kind, key, ifVersion]];
    const [, changed] = await Promise.all([
      this.#writer.write([expireRecord, [kind, key, now]]),
      this.#writer.write(change),
    ]);
    return changed > 0 ? "stored" : "conflict";
  }

  getRecord(kind: RecordKind, key: string, now: Instant): StoredRecord | undefined {
    const row = this.#get(
      "SELECT value, created_at, expires_at, version FROM record WHERE kind = ? AND key = ?",
      kind,
      key,
    );
    if (!row || (row.expires_at !== null && Number(row.expires_at) <= now)) return undefined;
    return {
      value: row.value as Uint8Array,
      createdAt: Number(row.created_at),
      expiresAt: row.expires_at === null ? undefined : Number(row.expires_at),
      version: Number(row.version),
    };
  }

  async removeRecord(kind: RecordKind, key: string, now: Instant, ifVersion?: number): Promise<boolean> {
    const removed = await this.#writer.write([
      "DELETE FROM record WHERE kind = ? AND key = ? AND (expires_at IS NULL OR expires_at > ?) AND (? IS NULL OR version = ?)",
      [kind, key, now, ifVersion ?? null, ifVersion ?? null],
    ]);
    return removed > 0;
  }

  listRecords(kind: RecordKind, now: Instant) {
    return this.#all(
      "SELECT key, expires_at FROM record WHERE kind = ? AND (expires_at IS NULL OR expires_at > ?)",
      kind,
      now,
    ).map((row) => ({
      key: row.key as string,
      expiresAt: row.expires_at === null ? undefined : Number(row.expires_at),
    }));
  }

  async sweep(now: Instant) {
    const swept = await this.#sweepRows(now);
    // Deleted bytes are overwritten in the file (`secure_delete`), but live on in the log until it is emptied.
    await this.#writer.read("PRAGMA incremental_vacuum(1000)");
    await this.#writer.read("PRAGMA wal_checkpoint(TRUNCATE)");
    return swept;
  }

  usage() {
    const total = this.#get("SELECT blobs, bytes FROM total")!;
    return { blobs: Number(total.blobs), bytes: Number(total.bytes) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#reader.close();
    await this.#writer[Symbol.asyncDispose]();
  }

  async #insert(
    mailbox: string,
    blobId: string,
    data: Uint8Array,
    now: Instant,
    createdAt?: number,
  ): Promise<boolean> {
    const { maxBlobsPerMailbox, maxBytesPerMailbox, maxStorageBytes } = this.#limits;
    this.#lastSecond = Math.max(this.#lastSecond, Math.floor(now / 1000));
    const changed = await this.#writer.write([
      insertBlob,
      [
        ++this.#position,
        nameOf(mailbox),
        blobId,
        createdAt ?? this.#lastSecond,
        data.byteLength,
        data,
        maxBlobsPerMailbox || unlimited,
        maxBytesPerMailbox || unlimited,
        maxStorageBytes,
      ],
    ]);
    return changed > 0;
  }

  #isMailboxFull(name: Uint8Array, size: number): boolean {
    const { maxBlobsPerMailbox, maxBytesPerMailbox } = this.#limits;
    const held = this.#get("SELECT blobs, bytes FROM mailbox WHERE name = ?", name);
    const blobs = Number(held?.blobs ?? 0);
    const bytes = Number(held?.bytes ?? 0);
    return blobs >= (maxBlobsPerMailbox || unlimited) || bytes + size > (maxBytesPerMailbox || unlimited);
  }

  /** Is there room for this record, counting what it replaces? Requests under way at once may each be told so. */
  async #hasRoom(kind: RecordKind, key: string, size: number, now: Instant): Promise<boolean> {
    const before = this.#get(
      "SELECT length(value) AS size FROM record WHERE kind = ? AND key = ?",
      kind,
      key,
    );
    const growth = size - (before ? Number(before.size) : -key.length);
    const fits = () => growth <= 0 || this.usage().bytes + growth <= this.#limits.maxStorageBytes;
    if (fits()) return true;
    await this.#sweepRows(now);
    return fits();
  }

  async #sweepRows(now: Instant) {
    const { expired } = secondsOf(now, this.#limits.blobTtlMs);
    // Oldest first is by position: the walk ends at the first blob that is still alive.
    const blobs = await this.#sweepAll(
      `DELETE FROM blob WHERE position IN (SELECT position FROM blob ORDER BY position LIMIT ${sweepBatch}) AND created_at <= ?`,
      expired,
    );
    const records = await this.#sweepAll(
      `DELETE FROM record WHERE (kind, key) IN (SELECT kind, key FROM record WHERE expires_at <= ? LIMIT ${sweepBatch})`,
      now,
    );
    return { blobs, records };
  }

  async #sweepAll(sql: string, bound: number): Promise<number> {
    let dropped = 0;
    for (;;) {
      const batch = await this.#writer.write([sql, [bound]]);
      dropped += batch;
      if (batch < sweepBatch) return dropped;
    }
  }

  #get(sql: string, ...parameters: SQLInputValue[]) {
    return orUnavailable(() => this.#statement(sql).get(...parameters));
  }

  #all(sql: string, ...parameters: SQLInputValue[]) {
    return orUnavailable(() => this.#statement(sql).all(...parameters));
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#reader.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

/** A read that the engine cannot do is the relay's failure, and may work later. */
function orUnavailable<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new RelayError("storage_unavailable", { cause, retryAfterSeconds: 5 });
  }
}

/** 64 hex digits as the 32 bytes they are. */
function nameOf(mailbox: string): Uint8Array {
  return Buffer.from(mailbox, "hex");
}

function headOf(mailbox: string, row: Record<string, unknown>): BlobHead {
  return {
    position: Number(row.position),
    blobId: row.blob_id as string,
    mailbox,
    size: Number(row.size),
    createdAt: Number(row.created_at),
  };
}
