import { blobOverheadBytes } from "#store/contract/mailbox-store.ts";

/** A blob that the index on disk does not have yet. */
export interface RecentBlob {
  readonly position: number;
  readonly blobId: string;
  readonly mailbox: string;
  readonly size: number;
  /** Whole seconds since 1970. */
  readonly createdAt: number;
  /** On its way to disk; there, and so to be seen; or not there any more. */
  state: "sent" | "committed" | "gone";
}

/** What a mailbox has that the index on disk does not have yet. */
export interface RecentMailbox {
  /** In order, those on their way to disk included. */
  readonly blobs: readonly RecentBlob[];
  /** Of all of them, with `blobOverheadBytes` for each. */
  readonly bytes: number;
}

/** What a mailbox holds; bytes with `blobOverheadBytes` for each blob. */
export interface Held {
  readonly blobs: number;
  readonly bytes: number;
}

/** Mailboxes share a bucket by the first byte of their names. */
export const bucketCount = 256;

export function bucketOf(mailbox: string): number {
  return hexByte(mailbox, 0);
}

/** The byte that two digits of a name stand for. */
export function hexByte(mailbox: string, at: number): number {
  return digit(mailbox.charCodeAt(at)) * 16 + digit(mailbox.charCodeAt(at + 1));
}

function digit(code: number): number {
  return code <= 0x39 ? code - 0x30 : code - 0x57;
}

const none: RecentMailbox = { blobs: [], bytes: 0 };

interface OpenMailbox extends RecentMailbox {
  readonly blobs: RecentBlob[];
  bytes: number;
}

/** What a blob counts for. */
function bytesOf(blob: RecentBlob): number {
  return blob.size + blobOverheadBytes;
}

/**
 * The part of the mailboxes' index that is still in memory.
 *
 * Names of mailboxes are scattered evenly, so that an index on disk pays one page for each blob, four times what the
 * blob itself costs. Blobs are therefore noted here first and go to disk a bucket of neighbours at a time, which share
 * pages. What is noted here can be read again from the blobs themselves: all those beyond the bucket's `indexedTo`.
 */
export class RecentBlobs {
  readonly #buckets = Array.from({ length: bucketCount }, () => new Map<string, OpenMailbox>());
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

  of(mailbox: string): RecentMailbox {
    return this.#buckets[bucketOf(mailbox)]!.get(mailbox) ?? none;
  }

  /** Its position is higher than any before. */
  add(blob: RecentBlob): void {
    const bucket = this.#buckets[bucketOf(blob.mailbox)]!;
    const mailbox = bucket.get(blob.mailbox);
    if (mailbox) {
      mailbox.blobs.push(blob);
      mailbox.bytes += bytesOf(blob);
    } else bucket.set(blob.mailbox, { blobs: [blob], bytes: bytesOf(blob) });
    if (blob.state === "committed") this.#committed++;
  }

  /** A blob that was added before is on disk now, unless it went meanwhile. */
  commit(blob: RecentBlob): void {
    if (blob.state !== "sent") return;
    blob.state = "committed";
    this.#committed++;
  }

  /** It is no longer on disk, if it was noted here at all. */
  delete(mailbox: string, position: number): void {
    const bucket = this.#buckets[bucketOf(mailbox)]!;
    const open = bucket.get(mailbox);
    const at = open?.blobs.findIndex((blob) => blob.position === position) ?? -1;
    if (at < 0) return;
    const [gone] = open!.blobs.splice(at, 1) as [RecentBlob];
    if (gone.state === "committed") this.#committed--;
    gone.state = "gone";
    open!.bytes -= bytesOf(gone);
    if (open!.blobs.length === 0) bucket.delete(mailbox);
  }

  /** The blobs of a bucket that are on disk and wait for the index, a mailbox's together, mailboxes in order. */
  committedIn(bucket: number): RecentBlob[] {
    const mailboxes = [...this.#buckets[bucket]!].sort(([a], [b]) => (a < b ? -1 : 1));
    return mailboxes.flatMap(([, { blobs }]) => blobs.filter(({ state }) => state === "committed"));
  }

  /** The index on disk now has this bucket's blobs up to this position. Gives what is no longer noted here. */
  indexed(bucket: number, upTo: number): RecentBlob[] {
    this.#indexedTo[bucket] = upTo;
    const done: RecentBlob[] = [];
    for (const [name, mailbox] of this.#buckets[bucket]!) {
      const first = mailbox.blobs.findIndex(({ position }) => position > upTo);
      const gone = first < 0 ? mailbox.blobs : mailbox.blobs.splice(0, first);
      done.push(...gone);
      if (first < 0) this.#buckets[bucket]!.delete(name);
      else for (const blob of gone) mailbox.bytes -= bytesOf(blob);
    }
    this.#committed -= done.length;
    return done;
  }
}
