/** A blob that the index on disk does not have yet. */
export interface RecentBlob {
  readonly position: number;
  readonly blobId: string;
  readonly mailbox: string;
  readonly size: number;
  /** Whole seconds since 1970. */
  readonly createdAt: number;
  /** On disk, and so to be seen. */
  committed: boolean;
}

/** What a mailbox holds; bytes with `blobOverheadBytes` for each blob. */
export interface Held {
  readonly blobs: number;
  readonly bytes: number;
}

/** Mailboxes share a bucket by the first byte of their names. */
export const bucketCount = 256;

export function bucketOf(mailbox: string): number {
  return Number.parseInt(mailbox.slice(0, 2), 16);
}

const none: readonly RecentBlob[] = [];

/**
 * The part of the mailboxes' index that is still in memory.
 *
 * Names of mailboxes are scattered evenly, so that an index on disk pays one page for each blob, four times what the
 * blob itself costs. Blobs are therefore noted here first and go to disk a bucket of neighbours at a time, which share
 * pages. What is noted here can be read again from the blobs themselves: all those beyond the bucket's `indexedTo`.
 */
export class RecentBlobs {
  readonly #buckets = Array.from({ length: bucketCount }, () => new Map<string, RecentBlob[]>());
  readonly #indexedTo: number[];
  #committed = 0;

  /** `indexedTo`: for each bucket, the position up to which the index on disk is complete. */
  constructor(indexedTo: readonly number[]) {
    this.#indexedTo = [...indexedTo];
  }

  /** Blobs of all mailboxes that are on disk and wait for the index. */
  get committed(): number {
    return this.#committed;
  }

  /** The position up to which this mailbox's blobs are in the index on disk. */
  indexedTo(mailbox: string): number {
    return this.#indexedTo[bucketOf(mailbox)]!;
  }

  /** This mailbox's blobs in order, those on their way to disk included. */
  of(mailbox: string): readonly RecentBlob[] {
    return this.#buckets[bucketOf(mailbox)]!.get(mailbox) ?? none;
  }

  /** Its position is higher than any before. */
  add(blob: RecentBlob): void {
    const bucket = this.#buckets[bucketOf(blob.mailbox)]!;
    const blobs = bucket.get(blob.mailbox);
    if (blobs) blobs.push(blob);
    else bucket.set(blob.mailbox, [blob]);
    if (blob.committed) this.#committed++;
  }

  /** A blob that was added before is on disk now, unless it went meanwhile. */
  commit(blob: RecentBlob): void {
    if (!this.of(blob.mailbox).includes(blob)) return;
    blob.committed = true;
    this.#committed++;
  }

  /** False if it was not noted. */
  delete(mailbox: string, position: number): boolean {
    const bucket = this.#buckets[bucketOf(mailbox)]!;
    const blobs = bucket.get(mailbox);
    const at = blobs?.findIndex((blob) => blob.position === position) ?? -1;
    if (at < 0) return false;
    if (blobs!.splice(at, 1)[0]!.committed) this.#committed--;
    if (blobs!.length === 0) bucket.delete(mailbox);
    return true;
  }

  /** The blobs of a bucket that are on disk and wait for the index, a mailbox's together, mailboxes in order. */
  committedIn(bucket: number): RecentBlob[] {
    const mailboxes = [...this.#buckets[bucket]!].sort(([a], [b]) => (a < b ? -1 : 1));
    return mailboxes.flatMap(([, blobs]) => blobs.filter(({ committed }) => committed));
  }

  /** The index on disk now has this bucket's blobs up to this position. Gives what is no longer noted here. */
  indexed(bucket: number, upTo: number): RecentBlob[] {
    this.#indexedTo[bucket] = upTo;
    const done: RecentBlob[] = [];
    for (const [mailbox, blobs] of this.#buckets[bucket]!) {
      const first = blobs.findIndex(({ position }) => position > upTo);
      done.push(...blobs.splice(0, first < 0 ? blobs.length : first));
      if (blobs.length === 0) this.#buckets[bucket]!.delete(mailbox);
    }
    this.#committed -= done.length;
    return done;
  }
}
