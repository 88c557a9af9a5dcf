import type { Instant } from "#core/clock.ts";
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

interface Held extends BlobHead {
  readonly data: Uint8Array;
}

const sizeOfRecord = (key: string, value: Uint8Array) => key.length + value.byteLength;

/** Keeps everything in this process: as durable as the process is. */
export function openMemoryMailboxStore(limits: MailboxLimits): MailboxStore {
  return new MemoryMailboxStore(limits);
}

class MemoryMailboxStore implements MailboxStore {
  readonly #limits: MailboxLimits;
  /** Each mailbox's blobs, oldest first. */
  readonly #mailboxes = new Map<string, Held[]>();
  readonly #byPosition = new Map<number, Held>();
  readonly #byId = new Map<string, Held>();
  readonly #records = new Map<RecordKind, Map<string, StoredRecord>>();
  #position = 0;
  #lastSecond = 0;
  #bytes = 0;

  constructor(limits: MailboxLimits) {
    this.#limits = limits;
  }

  async put(
    mailbox: string,
    blobId: string,
    data: Uint8Array,
    now: Instant,
    createdAt?: number,
  ): Promise<PutOutcome> {
    const { maxBlobsPerMailbox, maxBytesPerMailbox, maxStorageBytes } = this.#limits;
    if (!isMailboxName(mailbox)) throw new TypeError("not a mailbox name");
    this.#dropExpired(mailbox, now);
    const waiting = this.#mailboxes.get(mailbox) ?? [];
    const bytes = waiting.reduce((sum, { size }) => sum + size + blobOverheadBytes, 0);
    if (maxBlobsPerMailbox > 0 && waiting.length >= maxBlobsPerMailbox) return "mailbox-full";
    if (maxBytesPerMailbox > 0 && bytes + data.byteLength > maxBytesPerMailbox) return "mailbox-full";
    const size = data.byteLength + blobOverheadBytes;
    if (this.#bytes + size > maxStorageBytes) {
      this.#sweep(now);
      if (this.#bytes + size > maxStorageBytes) return "storage-full";
    }
    this.#lastSecond = Math.max(this.#lastSecond, Math.floor(now / 1000));
    const held: Held = {
      position: ++this.#position,
      blobId,
      mailbox,
      size: data.byteLength,
      createdAt: createdAt ?? this.#lastSecond,
      data: data.slice(),
    };
    waiting.push(held);
    this.#mailboxes.set(mailbox, waiting);
    this.#byPosition.set(held.position, held);
    this.#byId.set(blobId, held);
    this.#bytes += size;
    return "stored";
  }

  list(mailboxes: readonly string[], after: number, limit: number, now: Instant): readonly BlobHead[] {
    const { expired } = secondsOf(now, this.#limits.blobTtlMs);
    return [...new Set(mailboxes)]
      .flatMap((mailbox) => this.#mailboxes.get(mailbox) ?? [])
      .filter(({ position, createdAt }) => position > after && createdAt > expired)
      .sort((a, b) => a.position - b.position)
      .slice(0, limit)
      .map(({ data: _data, ...head }) => head);
  }

  oldest(after: number, limit: number, now: Instant): readonly BlobHead[] {
    const { expired } = secondsOf(now, this.#limits.blobTtlMs);
    const heads: BlobHead[] = [];
    for (const { data: _data, ...head } of this.#byPosition.values()) {
      if (heads.length === limit) break;
      if (head.position > after && head.createdAt > expired) heads.push(head);
    }
    return heads;
  }

  read(positions: readonly number[]): readonly (Uint8Array | undefined)[] {
    return positions.map((position) => this.#byPosition.get(position)?.data);
  }

  async remove(mailbox: string | undefined, blobId: string, now: Instant): Promise<boolean> {
    const held = this.#byId.get(blobId);
    if (!held || (mailbox !== undefined && held.mailbox !== mailbox)) return false;
    const live = held.createdAt > secondsOf(now, this.#limits.blobTtlMs).expired;
    this.#drop(held);
    return live;
  }

  async purge(
    mailbox: string,
    nonce: string,
    nonceExpiresAt: Instant,
    now: Instant,
  ): Promise<number | undefined> {
    if (this.getRecord("spent", nonce, now)) return undefined;
    this.#putRecord("spent", nonce, { value: new Uint8Array(), expiresAt: nonceExpiresAt }, now);
    this.#dropExpired(mailbox, now);
    const waiting = [...(this.#mailboxes.get(mailbox) ?? [])];
    for (const held of waiting) this.#drop(held);
    return waiting.length;
  }

  async putRecord(kind: RecordKind, key: string, write: RecordWrite, now: Instant): Promise<RecordOutcome> {
    return this.#putRecord(kind, key, write, now);
  }

  #putRecord(kind: RecordKind, key: string, write: RecordWrite, now: Instant): RecordOutcome {
    const before = this.getRecord(kind, key, now);
    if (write.ifVersion !== undefined && write.ifVersion !== (before?.version ?? 0)) return "conflict";
    const growth = sizeOfRecord(key, write.value) - (before ? sizeOfRecord(key, before.value) : 0);
    if (!isEssential(kind) && growth > 0 && this.#bytes + growth > this.#limits.maxStorageBytes) {
      this.#sweep(now);
      if (this.#bytes + growth > this.#limits.maxStorageBytes) return "storage-full";
    }
    this.#dropRecord(kind, key);
    const records = this.#records.get(kind) ?? new Map<string, StoredRecord>();
    this.#records.set(kind, records);
    records.set(key, {
      value: write.value.slice(),
      createdAt: Math.floor(now / 1000),
      expiresAt: write.expiresAt,
      version: (before?.version ?? 0) + 1,
    });
    this.#bytes += sizeOfRecord(key, write.value);
    return "stored";
  }

  getRecord(kind: RecordKind, key: string, now: Instant): StoredRecord | undefined {
    const record = this.#records.get(kind)?.get(key);
    return record && (record.expiresAt === undefined || record.expiresAt > now) ? record : undefined;
  }

  async removeRecord(kind: RecordKind, key: string, now: Instant, ifVersion?: number): Promise<boolean> {
    const record = this.getRecord(kind, key, now);
    if (!record || (ifVersion !== undefined && record.version !== ifVersion)) return false;
    this.#dropRecord(kind, key);
    return true;
  }

  listRecords(kind: RecordKind, now: Instant) {
    return [...(this.#records.get(kind) ?? [])]
      .filter(([, { expiresAt }]) => expiresAt === undefined || expiresAt > now)
      .map(([key, { expiresAt }]) => ({ key, expiresAt }));
  }

  async sweep(now: Instant) {
    return this.#sweep(now);
  }

  usage() {
    return { blobs: this.#byPosition.size, bytes: this.#bytes };
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #sweep(now: Instant) {
    let blobs = 0;
    let records = 0;
    for (const mailbox of [...this.#mailboxes.keys()]) blobs += this.#dropExpired(mailbox, now);
    for (const [kind, held] of this.#records) {
      for (const [key, { expiresAt }] of [...held]) {
        if (expiresAt === undefined || expiresAt > now) continue;
        this.#dropRecord(kind, key);
        records++;
      }
    }
    return { blobs, records };
  }

  #dropExpired(mailbox: string, now: Instant): number {
    const { expired } = secondsOf(now, this.#limits.blobTtlMs);
    const gone = (this.#mailboxes.get(mailbox) ?? []).filter(({ createdAt }) => createdAt <= expired);
    for (const held of gone) this.#drop(held);
    return gone.length;
  }

  #drop(held: Held): void {
    const left = this.#mailboxes.get(held.mailbox)!.filter((other) => other !== held);
    if (left.length > 0) this.#mailboxes.set(held.mailbox, left);
    else this.#mailboxes.delete(held.mailbox);
    this.#byPosition.delete(held.position);
    this.#byId.delete(held.blobId);
    this.#bytes -= held.size + blobOverheadBytes;
  }

  #dropRecord(kind: RecordKind, key: string): void {
    const record = this.#records.get(kind)?.get(key);
    if (!record) return;
    this.#records.get(kind)!.delete(key);
    this.#bytes -= sizeOfRecord(key, record.value);
  }
}
