import { blobOverheadBytes } from "#store/contract/mailbox-store.ts";
import { bucketCount, bucketOf, type Held, hexByte } from "./mailbox-index.ts";

/** What a group of a bucket holds on disk. */
export interface HeldGroup extends Held {
  /** The second byte of the names in it. */
  readonly group: number;
}

/** Blobs that may come to a bucket before it is worth the reading to find out how many went. */
const worthReading = 1000;

interface Bucket {
  readonly blobs: Float64Array;
  readonly bytes: Float64Array;
  /** How many it held when it was read; undefined until it is. */
  read: number | undefined;
  /** How many came since it was asked for. */
  added: number;
}

/**
 * What a mailbox holds on disk at most.
 *
 * Whether a mailbox has room is asked with every send, and to count what it holds means to read the index. But mailboxes
 * that are nearly full are few. So mailboxes are counted by groups, those with the same two first bytes: where the whole
 * group would have room in one mailbox, each of them has, and nothing is read. A bucket is read once it is first asked
 * for, then only what comes is added: what goes makes a bound loose, never wrong.
 */
export class MailboxBounds {
  readonly #buckets = new Array<Bucket | undefined>(bucketCount);
  readonly #readBucket: (bucket: number) => Promise<readonly HeldGroup[]>;

  /** `readBucket` gives the groups of a bucket that hold anything, all that is added before the call among it. */
  constructor(readBucket: (bucket: number) => Promise<readonly HeldGroup[]>) {
    this.#readBucket = readBucket;
  }

  /** Undefined while it is not known. */
  of(mailbox: string): Held | undefined {
    const bucket = this.#buckets[bucketOf(mailbox)] ?? this.#find(bucketOf(mailbox));
    if (bucket.read === undefined) return undefined;
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
    if (bucket?.read !== undefined && bucket.added >= Math.max(worthReading, bucket.read)) {
      this.#buckets[bucketOf(mailbox)] = undefined;
    }
  }

  #find(at: number): Bucket {
    const bucket: Bucket = {
      blobs: new Float64Array(256),
      bytes: new Float64Array(256),
      read: undefined,
      added: 0,
    };
    this.#buckets[at] = bucket;
    this.#readBucket(at).then(
      (rows) => {
        // What came meanwhile may be in both: then the bound is loose.
        for (const { group, blobs, bytes } of rows) {
          bucket.blobs[group]! += blobs;
          bucket.bytes[group]! += bytes;
        }
        bucket.read = rows.reduce((sum, { blobs }) => sum + blobs, 0);
      },
      () => {
        // Whoever asks next tries again.
        this.#buckets[at] = undefined;
      },
    );
    return bucket;
  }
}

function groupOf(mailbox: string): number {
  return hexByte(mailbox, 2);
}
