import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { hexOf } from "#core/bytes.ts";
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
import type { Returned, Row, Sql } from "./batch.ts";
import { MailboxBounds } from "./mailbox-bounds.ts";
import { bucketCount, bucketOf, type Held, type RecentBlob, RecentBlobs } from "./mailbox-index.ts";
import { durablePragmas, SqliteWriter } from "./writer.ts";

/** Rows one commit of a sweep drops at most, so that a large one does not hold up everybody's. */
const sweepBatch = 500;

// Blobs lie in order of arrival, so that a send touches the end of the table, and expiry its beginning. `place` is the
// index by mailbox, filled a bucket at a time (decision 0015). A blob that goes takes its place with it, and the counts
// of the bucket move with the places, in the same transaction: nothing is ever counted.
// What an older layout had is dropped under its own names: once that is done, opening writes nothing.
const schema = `
  DROP INDEX IF EXISTS blob_of_mailbox;
  DROP TRIGGER IF EXISTS blob_came;
  DROP TRIGGER IF EXISTS blob_went;
  DROP TRIGGER IF EXISTS record_came;
  DROP TRIGGER IF EXISTS record_changed;
  DROP TRIGGER IF EXISTS record_went;
  DROP TABLE IF EXISTS mailbox;
  DROP TABLE IF EXISTS total;
  CREATE TABLE IF NOT EXISTS blob (
    position INTEGER PRIMARY KEY,
    mailbox BLOB NOT NULL,
    blob_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    data BLOB NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS place (
    mailbox BLOB NOT NULL,
    position INTEGER NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (mailbox, position)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS bucket (
    first_byte BLOB PRIMARY KEY NOT NULL,
    indexed_to INTEGER NOT NULL,
    blobs INTEGER NOT NULL,
    bytes INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  WITH RECURSIVE byte (value) AS (SELECT 0 UNION ALL SELECT value + 1 FROM byte WHERE value < ${bucketCount - 1})
    INSERT OR IGNORE INTO bucket SELECT unhex(format('%02x', value)), 0, 0, 0 FROM byte;
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
  CREATE TABLE IF NOT EXISTS record_total (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    bytes INTEGER NOT NULL
  ) STRICT;
  INSERT OR IGNORE INTO record_total SELECT 1, coalesce(sum(length(key) + length(value)), 0) FROM record
    WHERE NOT EXISTS (SELECT 1 FROM record_total);
  CREATE TRIGGER IF NOT EXISTS blob_leaves_place AFTER DELETE ON blob BEGIN
    DELETE FROM place WHERE mailbox = old.mailbox AND position = old.position;
  END;
  CREATE TRIGGER IF NOT EXISTS place_went AFTER DELETE ON place BEGIN
    UPDATE bucket SET blobs = blobs - 1, bytes = bytes - old.size - ${blobOverheadBytes}
      WHERE first_byte = substr(old.mailbox, 1, 1);
  END;
  CREATE TRIGGER IF NOT EXISTS record_counts_in AFTER INSERT ON record BEGIN
    UPDATE record_total SET bytes = bytes + length(new.key) + length(new.value);
  END;
  CREATE TRIGGER IF NOT EXISTS record_counts_anew AFTER UPDATE ON record BEGIN
    UPDATE record_total SET bytes = bytes + length(new.value) - length(old.value);
  END;
  CREATE TRIGGER IF NOT EXISTS record_counts_out AFTER DELETE ON record BEGIN
    UPDATE record_total SET bytes = bytes - length(old.key) - length(old.value);
  END;
`;

const insertBlob = "INSERT INTO blob VALUES (?, unhex(?), ?, ?, ?, ?)";
const returning = "RETURNING position, mailbox, size";
const indexBlob = "INSERT INTO place VALUES (unhex(?), ?, ?)";
const advanceBucket =
  "UPDATE bucket SET indexed_to = ?, blobs = blobs + ?, bytes = bytes + ? WHERE first_byte = ?";
/** Names that begin with the same byte lie between that byte and what is longer than any of them. */
const groupsOf = `
  SELECT substr(mailbox, 2, 1) AS group_byte, count(*) AS blobs, sum(size) AS bytes
  FROM place WHERE mailbox BETWEEN ? AND ? GROUP BY group_byte`;
/** Of one mailbox, by its name and its recent blobs' positions. */
const ofMailbox =
  "(position IN (SELECT position FROM place WHERE mailbox = ?) OR position IN (SELECT value FROM json_each(?)))";

const upsertRecord = `
  INSERT INTO record VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT (kind, key) DO UPDATE SET
    value = excluded.value, created_at = excluded.created_at, expires_at = excluded.expires_at, version = version + 1`;
const insertRecord = "INSERT OR IGNORE INTO record VALUES (?, ?, ?, ?, ?, 1)";
const updateRecord = `
  UPDATE record SET value = ?, created_at = ?, expires_at = ?, version = version + 1
  WHERE kind = ? AND key = ? AND version = ?`;
const expireRecords = `
  DELETE FROM record WHERE (kind, key) IN (SELECT kind, key FROM record WHERE expires_at <= ? LIMIT ${sweepBatch})`;
const expireRecord = "DELETE FROM record WHERE kind = ? AND key = ? AND expires_at <= ?";

export interface MailboxFile {
  readonly path: string;
  /** Also find blobs by their id alone, which costs an index. */
  readonly findById: boolean;
  /** Blobs the index on disk may lack; up to twice as many rows are read at opening. */
  readonly recentMax: number;
}

/**
 * Keeps everything on disk, and in memory only where the newest blobs are. Changes go through the group commit of
 * `SqliteWriter`; reads are indexed look-ups on a connection of their own, which sees what is committed.
 */
export async function openSqliteMailboxStore(
  file: MailboxFile,
  limits: MailboxLimits,
): Promise<MailboxStore> {
  const byId = file.findById
    ? "CREATE UNIQUE INDEX IF NOT EXISTS blob_by_id ON blob (blob_id);"
    : "DROP INDEX IF EXISTS blob_by_id;";
  const writer = await SqliteWriter.open({
    path: file.path,
    // Mailboxes are scattered over the index: the longer the log, the more often one page in it stands for many changes.
    pragmas: ["auto_vacuum=INCREMENTAL", ...durablePragmas, "cache_size=-16384", "wal_autocheckpoint=16000"],
    schema: schema + byId,
  });
  const reader = new DatabaseSync(file.path, { readOnly: true });
  reader.exec("PRAGMA busy_timeout=5000; PRAGMA cache_size=-8000; PRAGMA query_only=ON");
  return new SqliteMailboxStore(writer, reader, limits, file.recentMax);
}

class SqliteMailboxStore implements MailboxStore {
  readonly #writer: SqliteWriter;
  readonly #reader: DatabaseSync;
  readonly #limits: MailboxLimits;
  readonly #statements = new Map<string, StatementSync>();
  readonly #recent: RecentBlobs;
  readonly #recentMax: number;
  readonly #bounds: MailboxBounds;
  /** What is held in all, with what is on its way to disk. */
  #blobs = 0;
  #bytes = 0;
  /** Bytes of records on disk; undefined after a change, until it is asked for. */
  #recordTotal: number | undefined;
  #position: number;
  /** The highest position on disk. */
  #committed: number;
  #lastSecond: number;
  /** The bucket that is indexed next, and how many blobs are on their way to the index. */
  #nextBucket = 0;
  #indexing = 0;
  /** Removals and indexing under way in each bucket, and removals that may touch any: it is not indexed meanwhile. */
  readonly #busy = new Array<number>(bucketCount).fill(0);
  #sweeping = 0;

  constructor(writer: SqliteWriter, reader: DatabaseSync, limits: MailboxLimits, recentMax: number) {
    this.#writer = writer;
    this.#reader = reader;
    this.#limits = limits;
    this.#recentMax = recentMax;
    const buckets = this.#all("SELECT indexed_to, blobs, bytes FROM bucket ORDER BY first_byte");
    for (const { blobs, bytes } of buckets) this.#count(Number(blobs), Number(bytes));
    const indexedTo = buckets.map(({ indexed_to }) => Number(indexed_to));
    this.#recent = new RecentBlobs(indexedTo);
    // On the writer's thread: a bucket of a large store takes longer than an event loop should be held up.
    this.#bounds = new MailboxBounds(async (bucket) => {
      const end = new Uint8Array(33).fill(0xff).fill(bucket, 0, 1);
      const rows = await writer.read(groupsOf, Uint8Array.of(bucket), end);
      return rows.map((row) => ({ group: (row.group_byte as Uint8Array)[0]!, ...heldOf(row) }));
    });
    const last = this.#get("SELECT position, created_at FROM blob ORDER BY position DESC LIMIT 1");
    // Never a position that the index counts as done, even if all blobs that had it are gone.
    this.#position = Math.max(Number(last?.position ?? 0), ...indexedTo);
    this.#committed = this.#position;
    this.#lastSecond = Number(last?.created_at ?? 0);
    const recent =
      "SELECT position, mailbox, blob_id, created_at, size FROM blob WHERE position > ? ORDER BY position";
    for (const row of this.#statement(recent).iterate(Math.min(...indexedTo))) {
      const blob = headIn(row);
      if (blob.position <= this.#recent.indexedTo(blob.mailbox)) continue;
      this.#recent.add({ ...blob, state: "committed" });
      this.#count(1, blob.size + blobOverheadBytes);
    }
  }

  async put(
    mailbox: string,
    blobId: string,
    data: Uint8Array,
    now: Instant,
    createdAt?: number,
  ): Promise<PutOutcome> {
    if (!isMailboxName(mailbox)) throw new TypeError("not a mailbox name");
    let outcome = this.#outcomeOf(mailbox, data.byteLength);
    if (outcome !== "stored") {
      // What expired takes no room: drop it and look again, first here, then everywhere.
      const { expired } = secondsOf(now, this.#limits.blobTtlMs);
      await this.#drop(mailbox, `${ofMailbox} AND created_at <= ?`, [...this.#blobsOf(mailbox), expired]);
      outcome = this.#outcomeOf(mailbox, data.byteLength);
      if (outcome === "storage-full") {
        await this.#sweepRows(now);
        outcome = this.#outcomeOf(mailbox, data.byteLength);
      }
      if (outcome !== "stored") return outcome;
    }
    await this.#insert(mailbox, blobId, data, now, createdAt);
    return "stored";
  }

  list(mailboxes: readonly string[], after: number, limit: number, now: Instant): readonly BlobHead[] {
    const { expired } = secondsOf(now, this.#limits.blobTtlMs);
    const heads: BlobHead[] = [];
    for (const mailbox of new Set(mailboxes)) {
      if (!isMailboxName(mailbox)) continue;
      const indexedTo = this.#recent.indexedTo(mailbox);
      if (after < indexedTo && this.#bounds.of(mailbox)?.blobs !== 0) {
        const rows = this.#all(
          `SELECT position, created_at, blob.size, blob_id FROM place JOIN blob USING (position)
           WHERE place.mailbox = ? AND position > ? AND position <= ? AND created_at > ? ORDER BY position LIMIT ?`,
          nameOf(mailbox),
          after,
          indexedTo,
          expired,
          limit,
        );
        for (const row of rows) heads.push(headOf(mailbox, row));
      }
      for (const { position, blobId, size, createdAt, state } of this.#recent.of(mailbox).blobs) {
        if (state === "committed" && position > after && createdAt > expired) {
          heads.push({ position, blobId, mailbox, size, createdAt });
        }
      }
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
    return rows.map(headIn);
  }

  read(positions: readonly number[]): readonly (Uint8Array | undefined)[] {
    const rows = this.#all(
      "SELECT position, data FROM blob WHERE position IN (SELECT value FROM json_each(?))",
      JSON.stringify(positions),
    );
    const found = new Map(rows.map(({ position, data }) => [Number(position), data as Uint8Array]));
    return positions.map((position) => found.get(position));
  }

  async remove(mailbox: string | undefined, blobId: string, now: Instant): Promise<boolean> {
    if (mailbox !== undefined && !isMailboxName(mailbox)) return false;
    const found = mailbox === undefined ? this.#findById(blobId) : this.#findIn(mailbox, blobId);
    if (!found) return false;
    const removed = await this.#drop(found.mailbox, "position = ? AND blob_id = ?", [found.position, blobId]);
    return removed > 0 && found.createdAt > secondsOf(now, this.#limits.blobTtlMs).expired;
  }

  async purge(
    mailbox: string,
    nonce: string,
    nonceExpiresAt: Instant,
    now: Instant,
  ): Promise<number | undefined> {
    const { second, expired } = secondsOf(now, this.#limits.blobTtlMs);
    const blobs = this.#blobsOf(mailbox);
    const of = isMailboxName(mailbox) ? mailbox : undefined;
    const [, , purged] = await Promise.all([
      this.#drop(of, `${ofMailbox} AND created_at <= ?`, [...blobs, expired]),
      this.#writeRecords([expireRecord, ["spent", nonce, now]]),
      this.#removing(
        of,
        [insertRecord, ["spent", nonce, new Uint8Array(), second, nonceExpiresAt]],
        // Only if it was this operation that spent the nonce.
        [`DELETE FROM blob WHERE (SELECT changes()) = 1 AND ${ofMailbox} ${returning}`, blobs],
      ),
    ]);
    this.#recordTotal = undefined;
    return purged.changes === 0 ? undefined : purged.rows.length;
  }

  async putRecord(kind: RecordKind, key: string, write: RecordWrite, now: Instant): Promise<RecordOutcome> {
    if (!isEssential(kind) && !this.#hasRoom(kind, key, write.value.byteLength)) {
      await this.#sweepRows(now);
      if (!this.#hasRoom(kind, key, write.value.byteLength)) return "storage-full";
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
      this.#writeRecords([expireRecord, [kind, key, now]]),
      this.#writeRecords(change),
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
    const removed = await this.#writeRecords([
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
    return { blobs: this.#blobs, bytes: this.#bytes + this.#recordBytes() };
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
    createdAtAnother?: number,
  ): Promise<void> {
    this.#lastSecond = Math.max(this.#lastSecond, Math.floor(now / 1000));
    const createdAt = createdAtAnother ?? this.#lastSecond;
    const [position, size] = [++this.#position, data.byteLength];
    const blob: RecentBlob = { position, mailbox, blobId, createdAt, size, state: "sent" };
    this.#recent.add(blob);
    this.#count(1, size + blobOverheadBytes);
    try {
      await this.#writer.write([insertBlob, [position, mailbox, blobId, createdAt, size, data]]);
    } catch (error) {
      this.#recent.delete(mailbox, position);
      this.#count(-1, -size - blobOverheadBytes);
      throw error;
    }
    this.#recent.commit(blob);
    this.#committed = position;
    this.#indexWhatIsMany();
  }

  /** Moves buckets, one after the other, to the index on disk, until no more than so many blobs wait for it. */
  #indexWhatIsMany(): void {
    for (let tried = 0; tried < bucketCount; tried++) {
      if (this.#recent.committed - this.#indexing <= this.#recentMax) return;
      const bucket = this.#nextBucket;
      this.#nextBucket = (bucket + 1) % bucketCount;
      // What is being removed must not come to the index afterwards, and nobody knows yet whether it will be removed.
      if (this.#sweeping > 0 || this.#busy[bucket]! > 0) continue;
      this.#index(bucket).catch(() => {
        // Its blobs stay where they are, and whoever sends hears that storage does not work.
      });
    }
  }

  async #index(bucket: number): Promise<void> {
    const blobs = this.#recent.committedIn(bucket);
    const upTo = this.#committed;
    const bytes = blobs.reduce((sum, { size }) => sum + size + blobOverheadBytes, 0);
    this.#indexing += blobs.length;
    this.#busy[bucket]!++;
    try {
      await this.#writer.write(
        ...blobs.map(({ mailbox, position, size }): Sql => [indexBlob, [mailbox, position, size]]),
        [advanceBucket, [upTo, blobs.length, bytes, Uint8Array.of(bucket)]],
      );
    } finally {
      this.#indexing -= blobs.length;
      this.#busy[bucket]!--;
    }
    for (const { mailbox, size } of this.#recent.indexed(bucket, upTo)) this.#bounds.add(mailbox, size);
  }

  /** What would become of a blob of this size. It counts without its overhead, so that one that exactly fills fits. */
  #outcomeOf(mailbox: string, size: number): PutOutcome {
    if (!this.#hasRoomIn(mailbox, size)) return "mailbox-full";
    const bytes = this.#bytes + this.#recordBytes() + size + blobOverheadBytes;
    return bytes > this.#limits.maxStorageBytes ? "storage-full" : "stored";
  }

  #hasRoomIn(mailbox: string, size: number): boolean {
    const { maxBlobsPerMailbox, maxBytesPerMailbox } = this.#limits;
    if (maxBlobsPerMailbox === 0 && maxBytesPerMailbox === 0) return true;
    const recent = this.#recent.of(mailbox);
    const hasRoom = (onDisk: Held) =>
      (maxBlobsPerMailbox === 0 || onDisk.blobs + recent.blobs.length < maxBlobsPerMailbox) &&
      (maxBytesPerMailbox === 0 || onDisk.bytes + recent.bytes + size <= maxBytesPerMailbox);
    const bound = this.#bounds.of(mailbox);
    if (bound && hasRoom(bound)) return true;
    if (!hasRoom(this.#heldOnDisk(mailbox))) return false;
    this.#bounds.loose(mailbox);
    return true;
  }

  #heldOnDisk(mailbox: string): Held {
    const sums =
      "SELECT count(*) AS blobs, coalesce(sum(size), 0) AS bytes FROM place WHERE mailbox = ? AND position <= ?";
    return heldOf(this.#get(sums, nameOf(mailbox), this.#recent.indexedTo(mailbox))!);
  }

  #count(blobs: number, bytes: number): void {
    this.#blobs += blobs;
    this.#bytes += bytes;
  }

  /** What `ofMailbox` is bound to: what was sent before this call, on disk or on its way. */
  #blobsOf(mailbox: string): [Uint8Array, string] {
    if (!isMailboxName(mailbox)) return [new Uint8Array(), "[]"];
    const positions = this.#recent.of(mailbox).blobs.map(({ position }) => position);
    return [nameOf(mailbox), JSON.stringify(positions)];
  }

  #findIn(mailbox: string, blobId: string): BlobHead | undefined {
    const recent = this.#recent
      .of(mailbox)
      .blobs.find((blob) => blob.state === "committed" && blob.blobId === blobId);
    if (recent) return recent;
    const row = this.#get(
      `SELECT position, created_at, blob.size, blob_id FROM place JOIN blob USING (position)
       WHERE place.mailbox = ? AND blob_id = ? ORDER BY position LIMIT 1`,
      nameOf(mailbox),
      blobId,
    );
    return row && headOf(mailbox, row);
  }

  #findById(blobId: string): BlobHead | undefined {
    const row = this.#get(
      "SELECT position, mailbox, created_at, size, blob_id FROM blob WHERE blob_id = ?",
      blobId,
    );
    return row && headIn(row);
  }

  /** Removes the blobs of a mailbox, or of any, that a condition names. Resolves to how many there were. */
  async #drop(mailbox: string | undefined, condition: string, parameters: Sql[1]): Promise<number> {
    const { rows } = await this.#removing(mailbox, [
      `DELETE FROM blob WHERE ${condition} ${returning}`,
      parameters,
    ]);
    return rows.length;
  }

  /** One operation whose last statement removes blobs and returns what it removed. */
  async #removing(mailbox: string | undefined, ...statements: Sql[]): Promise<Returned> {
    const bucket = mailbox === undefined ? undefined : bucketOf(mailbox);
    if (bucket === undefined) this.#sweeping++;
    else this.#busy[bucket]!++;
    try {
      const returned = await this.#writer.writeReturning(...statements);
      this.#forget(returned.rows);
      return returned;
    } finally {
      if (bucket === undefined) this.#sweeping--;
      else this.#busy[bucket]!--;
    }
  }

  /** These blobs are no longer on disk. */
  #forget(rows: readonly Row[]): void {
    for (const row of rows) {
      this.#recent.delete(hexOf(row.mailbox as Uint8Array), Number(row.position));
      this.#count(-1, -Number(row.size) - blobOverheadBytes);
    }
  }

  /** One atomic change of records. Resolves to the number of rows it changed. */
  async #writeRecords(...statements: Sql[]): Promise<number> {
    try {
      return await this.#writer.write(...statements);
    } finally {
      this.#recordTotal = undefined;
    }
  }

  #recordBytes(): number {
    this.#recordTotal ??= Number(this.#get("SELECT bytes FROM record_total")!.bytes);
    return this.#recordTotal;
  }

  /** Is there room for this record, counting what it replaces? Requests under way at once may each be told so. */
  #hasRoom(kind: RecordKind, key: string, size: number): boolean {
    const before = this.#get(
      "SELECT length(value) AS size FROM record WHERE kind = ? AND key = ?",
      kind,
      key,
    );
    const growth = size - (before ? Number(before.size) : -key.length);
    return growth <= 0 || this.usage().bytes + growth <= this.#limits.maxStorageBytes;
  }

  async #sweepRows(now: Instant) {
    const { expired } = secondsOf(now, this.#limits.blobTtlMs);
    // Oldest first is by position: the walk ends at the first blob that is still alive.
    const oldest = `position IN (SELECT position FROM blob ORDER BY position LIMIT ${sweepBatch}) AND created_at <= ?`;
    const blobs = await inBatches(() => this.#drop(undefined, oldest, [expired]));
    const records = await inBatches(() => this.#writeRecords([expireRecords, [now]]));
    return { blobs, records };
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

/** Drops batch after batch until one is not full. Resolves to how many there were. */
async function inBatches(drop: () => Promise<number>): Promise<number> {
  let dropped = 0;
  for (;;) {
    const batch = await drop();
    dropped += batch;
    if (batch < sweepBatch) return dropped;
  }
}

/** 64 hex digits as the 32 bytes they are. */
function nameOf(mailbox: string): Uint8Array {
  return Buffer.from(mailbox, "hex");
}

/** How many blobs and how many bytes of ciphertext, as what they count for. */
function heldOf(row: Record<string, unknown>): Held {
  const blobs = Number(row.blobs);
  return { blobs, bytes: Number(row.bytes) + blobs * blobOverheadBytes };
}

/** Of a row that names its mailbox. */
function headIn(row: Record<string, unknown>): BlobHead {
  return headOf(hexOf(row.mailbox as Uint8Array), row);
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
