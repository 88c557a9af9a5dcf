import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { BlobHead } from "#store/contract/mailbox-store.ts";
import { pageMaxBytes, pageOf } from "./page.ts";

function heads(sizes: readonly number[]): BlobHead[] {
  return sizes.map((size, at) => ({
    position: at + 1,
    blobId: `id ${at}`.padEnd(36),
    mailbox: "5a".repeat(32),
    size,
    createdAt: 1_700_000_000,
  }));
}

const inJson = ({ blobId, mailbox, size, createdAt }: BlobHead) =>
  JSON.stringify({
    blob_id: blobId,
    ciphertext: "A".repeat(4 * Math.ceil(size / 3)),
    created_at: createdAt,
    mailbox_token: mailbox,
  }).length + 1;

/** Sizes of many small ones, of what fills a page alone, and of what never arrives through OHTTP. */
const size = fc.oneof(
  { weight: 20, arbitrary: fc.nat(300) },
  { weight: 3, arbitrary: fc.nat(3000) },
  { weight: 1, arbitrary: fc.constantFrom(60_000, 73_000, 95_000, 200_000) },
);
const waiting = fc.oneof(
  fc.array(size, { maxLength: 150, size: "max" }),
  fc.array(fc.nat(3), { minLength: 90, maxLength: 700, size: "max" }),
);

test("a page is the oldest that fit, whatever waits, and says whether there is more", () => {
  fc.assert(
    fc.property(waiting, fc.boolean(), (sizes, oblivious) => {
      const all = heads(sizes);
      const page = pageOf((limit) => all.slice(0, limit), oblivious);
      if (all.length === 0) return assert.equal(page, undefined);
      const { heads: taken, oversized, truncated } = page!;
      const seen = new Set([...taken, ...oversized]);
      const isTooLarge = (head: BlobHead) => oblivious && inJson(head) > 126_000;
      const last = taken.at(-1)?.position ?? 0;
      // What is passed over before the last one can only be what does not arrive this way.
      for (const head of all.slice(0, last)) assert.ok(seen.has(head) || isTooLarge(head));
      const bytes = taken.reduce((sum, head) => sum + inJson(head), 0);
      assert.ok(taken.length === 1 || bytes <= pageMaxBytes);
      const left = all.slice(last).filter((head) => !isTooLarge(head));
      assert.equal(truncated, left.length > 0);
      if (left.length > 0 && taken.length < 600) {
        assert.ok(
          bytes + inJson(left[0]!) > pageMaxBytes - oversized.length * 200,
          "there was room for another",
        );
      }
      // The first always goes, or nobody would ever get behind it.
      assert.ok(taken.length > 0 || left.length === 0);
    }),
  );
});

test("of a full mailbox no more is looked at than fills a page", () => {
  const all = heads(new Array(1000).fill(1024));
  let looked = 0;
  const page = pageOf((limit) => {
    looked += limit;
    return all.slice(0, limit);
  }, false);
  assert.ok(page!.truncated && page!.heads.length > 50);
  assert.ok(looked < 2 * page!.heads.length);
});
