import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { BlobHead, MailboxLimits, MailboxStore } from "#store/contract/mailbox-store.ts";
import { openMemoryMailboxStore } from "#store/memory/mailbox-store.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import { openSqliteMailboxStore } from "./mailbox-store.ts";

const begin = 1_700_000_000_000;
// Two of these share a bucket.
const mailboxes = ["00aa", "00bb", "7f00", "ff11"].map((start) => start.padEnd(64, "0"));
const narrow: MailboxLimits = {
  maxBlobsPerMailbox: 6,
  maxBytesPerMailbox: 400,
  maxStorageBytes: 900,
  blobTtlMs: 60_000,
};
const roomy: MailboxLimits = {
  ...{ maxBlobsPerMailbox: 0, maxBytesPerMailbox: 0 },
  ...{ maxStorageBytes: 1e9, blobTtlMs: narrow.blobTtlMs },
};

type Step =
  | { readonly do: "put"; readonly mailbox: string; readonly size: number }
  | { readonly do: "remove"; readonly mailbox: string; readonly which: number }
  | { readonly do: "purge"; readonly mailbox: string; readonly nonce: number }
  | { readonly do: "record"; readonly key: number; readonly size: number }
  | { readonly do: "forget"; readonly key: number };

/** A few steps; then time passes, and the store may be closed. */
interface Group {
  readonly steps: readonly Step[];
  readonly seconds: number;
  readonly sweep: boolean;
  readonly reopen: boolean;
}

const mailbox = fc.constantFrom(...mailboxes);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("put" as const), mailbox, size: fc.nat(150) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("remove" as const), mailbox, which: fc.nat(5) }) },
  fc.record({ do: fc.constant("purge" as const), mailbox, nonce: fc.nat(3) }),
  fc.record({ do: fc.constant("record" as const), key: fc.nat(2), size: fc.nat(150) }),
  fc.record({ do: fc.constant("forget" as const), key: fc.nat(2) }),
);
const group: fc.Arbitrary<Group> = fc.record({
  steps: fc.array(step, { maxLength: 8 }),
  seconds: fc.nat(40),
  sweep: fc.boolean(),
  reopen: fc.boolean(),
});

/** All that can be read, but for the positions, which no caller compares across restarts. */
function contents(store: MailboxStore, now: number): unknown[] {
  const heads = store.list(mailboxes, 0, 100, now);
  const bodies = store.read(heads.map(({ position }) => position));
  return heads.map(({ mailbox, blobId, size, createdAt }, at) => [
    mailbox,
    blobId,
    size,
    createdAt,
    bodies[at]?.byteLength,
  ]);
}

/** What each step came to, one after the other or, with `overlap`, those of a group at once, in one commit. */
async function outcomes(
  open: () => Promise<MailboxStore>,
  groups: readonly Group[],
  overlap: boolean,
): Promise<unknown[]> {
  const seen: unknown[] = [];
  let [store, now, id] = [await open(), begin, 0];
  const take = (step: Step, known: readonly BlobHead[]): Promise<unknown> => {
    switch (step.do) {
      case "put":
        return store.put(step.mailbox, `blob-${id++}`, new Uint8Array(step.size), now);
      case "remove":
        return store.remove(step.mailbox, known[step.which]?.blobId ?? "none", now);
      case "purge":
        return store.purge(step.mailbox, `nonce-${step.nonce}`, now + 30_000, now);
      case "record": {
        const write = { value: new Uint8Array(step.size), expiresAt: now + 50_000 };
        return store.putRecord("offer", `key-${step.key}`, write, now);
      }
      case "forget":
        return store.removeRecord("offer", `key-${step.key}`, now);
    }
  };
  for (const { steps, seconds, sweep, reopen } of groups) {
    const known = store.list(mailboxes, 0, 100, now);
    if (overlap) seen.push(await Promise.all(steps.map((step) => take(step, known))));
    else for (const step of steps) seen.push(await take(step, known));
    seen.push(contents(store, now));
    now += seconds * 1000;
    if (sweep) {
      await store.sweep(now);
      seen.push(store.usage());
    }
    if (reopen) {
      await store[Symbol.asyncDispose]();
      store = await open();
    }
    seen.push(contents(store, now));
  }
  await store[Symbol.asyncDispose]();
  return seen;
}

for (const recentMax of [0, 3, 1000]) {
  for (const overlap of [false, true]) {
    const how = `${recentMax} recent, ${overlap ? "many at once" : "one by one"}`;
    test(`any history comes to the same on both engines, restarts included (${how})`, async () => {
      // Who of many at once gets the last room is nobody's promise.
      const limits = overlap ? roomy : narrow;
      await fc.assert(
        fc.asyncProperty(fc.array(group, { maxLength: 8 }), async (groups) => {
          using folder = temporaryFolder();
          const inMemory = openMemoryMailboxStore(limits);
          // To what memory holds, closing and opening again is nothing.
          const kept = new Proxy(inMemory, {
            get: (store, name) => {
              const member = Reflect.get(store, name) as unknown;
              if (name === Symbol.asyncDispose) return async () => {};
              return typeof member === "function" ? member.bind(store) : member;
            },
          });
          const file = { path: folder.file("mailbox.db"), findById: false, recentMax };
          const onDisk = await outcomes(() => openSqliteMailboxStore(file, limits), groups, overlap);
          assert.deepEqual(onDisk, await outcomes(async () => kept, groups, overlap));
        }),
        { numRuns: 12 },
      );
    });
  }
}
