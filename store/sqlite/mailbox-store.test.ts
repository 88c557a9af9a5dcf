import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import type { MailboxLimits } from "#store/contract/mailbox-store.ts";
import { mailboxStoreSuite } from "#store/contract/mailbox-store-suite.ts";
import { openSqliteMailboxStore } from "./mailbox-store.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-mailbox-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

const limits: MailboxLimits = {
  maxBlobsPerMailbox: 0,
  maxBytesPerMailbox: 0,
  maxStorageBytes: 1_000_000,
  blobTtlMs: 1e9,
};
const mailbox = "c".repeat(64);
const now = 1_700_000_000_000;

const openNew = (suiteLimits: MailboxLimits, recentMax = 1000) =>
  openSqliteMailboxStore({ path: join(folder, `${files++}.db`), findById: true, recentMax }, suiteLimits);

mailboxStoreSuite("sqlite", (suiteLimits) => openNew(suiteLimits));
mailboxStoreSuite("sqlite, nothing recent", (suiteLimits) => openNew(suiteLimits, 0));

test("what was stored is there after closing and opening again, totals and order included", async () => {
  const path = join(folder, "again.db");
  {
    await using store = await openSqliteMailboxStore({ path, findById: false, recentMax: 1000 }, limits);
    await store.put(mailbox, "one", new Uint8Array(5), now);
    await store.putRecord("offer", "123456", { value: new Uint8Array(7), expiresAt: now + 1e6 }, now);
  }
  await using store = await openSqliteMailboxStore({ path, findById: true, recentMax: 0 }, limits);
  assert.deepEqual(store.usage(), { blobs: 1, bytes: 5 + 44 + 13 });
  await store.put(mailbox, "two", new Uint8Array(6), now);
  assert.deepEqual(
    store.list([mailbox], 0, 9, now).map(({ blobId }) => blobId),
    ["one", "two"],
  );
  assert.equal(store.getRecord("offer", "123456", now)!.value.byteLength, 7);
  assert.equal(await store.remove(undefined, "one", now), true);
});

test("opening again changes no table and no trigger", async () => {
  const path = join(folder, "unchanged.db");
  const schemaVersion = async () => {
    await (await openSqliteMailboxStore({ path, findById: false, recentMax: 0 }, limits))[
      Symbol.asyncDispose
    ]();
    const database = new DatabaseSync(path, { readOnly: true });
    const version = database.prepare("PRAGMA schema_version").get()!.schema_version;
    database.close();
    return version;
  };
  assert.equal(await schemaVersion(), await schemaVersion());
});

test("a removed blob's bytes are in no file after a sweep", async () => {
  const home = mkdtempSync(join(folder, "gone-"));
  const marker = "marker-8f1c".repeat(30);
  await using store = await openSqliteMailboxStore(
    { path: join(home, "mailbox.db"), findById: false, recentMax: 1000 },
    limits,
  );
  const found = () =>
    readdirSync(home).some((file) => readFileSync(join(home, file)).includes("marker-8f1c"));
  await store.put(mailbox, "one", Buffer.from(marker), now);
  assert.equal(found(), true);
  assert.equal(await store.remove(mailbox, "one", now), true);
  await store.sweep(now);
  assert.equal(found(), false);
});

test("a store that is closed says that it is unavailable, and nothing of the request", async () => {
  const store = await openSqliteMailboxStore(
    { path: join(folder, "closed.db"), findById: false, recentMax: 1000 },
    limits,
  );
  await store[Symbol.asyncDispose]();
  const isUnavailable = (error: unknown) => (error as { code?: string }).code === "storage_unavailable";
  assert.throws(() => store.read([1]), isUnavailable);
  await assert.rejects(store.put(mailbox, "one", new Uint8Array(1), now), isUnavailable);
});
