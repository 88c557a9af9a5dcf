import type { BlobHead } from "#store/contract/mailbox-store.ts";

/** What the entries of one answer may come to as JSON: with what stands around them it fits the 96 KiB rung. */
export const pageMaxBytes = 98_304 - 512;
/** Blobs that are named as too large in one answer, and what naming one takes. */
const maxOversized = 20;
const oversizedBytes = 200;
/**
 * The largest entry that arrives through OHTTP: the usual OHTTP relay passes on answers of up to 128 KiB, sealing adds
 * 48 bytes, and the oversized are named beside it.
 */
const obliviousEntryMaxBytes = Math.floor((131_072 - 48) / 256) * 256 - 512 - maxOversized * oversizedBytes;
/** More entries than this never fit a page. */
const pageMaxEntries = 600;
/** Entries that fill a page in most mailboxes: looking up each of 600 takes longer than all the rest of an answer. */
const usualEntries = 100;

export interface Page {
  readonly heads: readonly BlobHead[];
  /** Those that cannot be delivered this way; listed, so that their owner knows and can acknowledge them. */
  readonly oversized: readonly BlobHead[];
  /** There is more behind the last one. */
  readonly truncated: boolean;
}

/** What an entry comes to in JSON, its comma included. */
function entryBytes({ blobId, mailbox, size, createdAt }: BlobHead): number {
  const around = `{"blob_id":"","ciphertext":"","created_at":${createdAt},"mailbox_token":""},`.length;
  return around + blobId.length + mailbox.length + 4 * Math.ceil(size / 3);
}

/** The oldest of what `list` finds, as much as one answer takes; undefined where it finds nothing. */
export function pageOf(list: (limit: number) => readonly BlobHead[], oblivious: boolean): Page | undefined {
  let heads = list(usualEntries);
  let page = cutPage(heads, oblivious);
  if (heads.length === usualEntries && !page.truncated) {
    heads = list(pageMaxEntries);
    page = cutPage(heads, oblivious);
    if (heads.length === pageMaxEntries) page = { ...page, truncated: true };
  }
  return heads.length === 0 ? undefined : page;
}

/**
 * Those of the blobs that go into one answer. The first one always does, unless it cannot arrive: then it is named among
 * the oversized, so that it blocks nobody's mailbox.
 */
function cutPage(heads: readonly BlobHead[], oblivious: boolean): Page {
  const taken: BlobHead[] = [];
  const oversized: BlobHead[] = [];
  let bytes = 0;
  for (const head of heads) {
    const size = entryBytes(head);
    if (oblivious && size > obliviousEntryMaxBytes) {
      if (oversized.length < maxOversized) oversized.push(head);
      continue;
    }
    if (taken.length > 0 && bytes + size > pageMaxBytes - oversized.length * oversizedBytes) {
      return { heads: taken, oversized, truncated: true };
    }
    bytes += size;
    taken.push(head);
  }
  return { heads: taken, oversized, truncated: false };
}
