import { blobOverheadBytes } from "#store/contract/mailbox-store.ts";
import { bucketCount, bucketOf, type Held, hexByte } from "./mailbox-index.ts";

/** What the groups of a bucket hold on disk. */
export interface GroupRow {
  /** The second byte of the names in it. */
  readonly group: number;
  readonly blobs: number;
  /** Of ciphertext. */
  readonly bytes: number;
}

/** Blobs that may come to a bucket before it is worth the reading to find out how many went. */
const worthReading = 1000;

interface Bucket {
  readonly blobs: Float64Array;
  readonly bytes: Float64Array;
  /** How many it held when it was read, and how many came since. */
  readonly read: number;
  added: number;
}

/**
 * What a mailbox holds on disk at most.
 *
 * Whether a mailbox has room is asked with every send, and to count what it holds means to read the index. But mailboxes
 * that are nearly full are few. So mailboxes are counted by groups, those with the same two first bytes: where the whole
 * group would have room in one mailbox, each of them has, and nothing is read. A group is counted when it is first asked
 * for, then only what comes is added: what goes makes a bound loose, never wrong.
 */
export class MailboxBounds {
  readonly #buckets = new Array<Bucket | undefined>(bucketCount);
  readonly #readBucket: (bucket: number) => readonly GroupRow[];

  /** `readBucket` gives the groups of a bucket that hold anything, and may know of blobs that are yet to be added. */
  constructor(readBucket: (bucket: number) => readonly GroupRow[]) {
    this.#readBucket = readBucket;
  }

  of(mailbox: string): Held {
    const bucket = this.#of(bucketOf(mailbox));
    const group = groupOf(mailbox);
    return { blobs: bucket.blobs[group]!, bytes: bucket.bytes[group]! };
  }

  /** This blob is on disk now. */
  add(mailbox: string, size: number): void {
    const bucket = this.#buckets[bucketOf(mailbox)];
    if (!bucket) return;
    const group = groupOf(mailbox);
    bucket.blobs[group]! += 1;
    bucket.bytes[group]! += size + blobOverheadBytes;
    bucket.added++;
  }

  /** The bound of this mailbox did not help: it is found anew if that may make a difference. */
  loose(mailbox: string): void {
    const bucket = this.#buckets[bucketOf(mailbox)];
    if (bucket && bucket.added >= Math.max(worthReading, bucket.read))
      this.#buckets[bucketOf(mailbox)] = undefined;
  }

  #of(bucket: number): Bucket {
    const known = this.#buckets[bucket];
    if (known) return known;
    const [blobs, bytes] = [new Float64Array(256), new Float64Array(256)];
    let read = 0;
    for (const row of this.#readBucket(bucket)) {
      blobs[row.group] = row.blobs;
      bytes[row.group] = row.bytes + row.blobs * blobOverheadBytes;
      read += row.blobs;
    }
    const found = { blobs, bytes, read, added: 0 };
    this.#buckets[bucket] = found;
    return found;
  }
}

function groupOf(mailbox: string): number {
  return hexByte(mailbox, 2);
}
