import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { after, describe, test } from "node:test";
import fc from "fast-check";
import { RelayError } from "#core/errors.ts";
import type { RendezvousStore } from "#store/contract/rendezvous-store.ts";
import { messageOf, rendezvousStoreSuite } from "#store/contract/rendezvous-store-suite.ts";
import { openMemoryRendezvousStore } from "#store/memory/rendezvous-store.ts";
import { simClock } from "#tests/support/sim-clock.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import { openSqliteRendezvousStore } from "./rendezvous-store.ts";

const folder = temporaryFolder();
after(() => folder[Symbol.dispose]());
const clock = simClock();
const begin = clock.now();
const roomy = { maxEntries: 1000, maxStoreBytes: 2 ** 20, maxEntriesPerClient: 0 };
let files = 0;
const freshFile = () => folder.file(`${files++}.db`);

rendezvousStoreSuite("sqlite", (limits) => openSqliteRendezvousStore(freshFile(), limits, clock));

describe("the SQLite rendezvous store", () => {
  test("message, content type, acknowledgement and expiry survive a restart", async () => {
    const file = freshFile();
    {
      await using store = await openSqliteRendezvousStore(file, roomy, clock);
      await store.put("unread", messageOf("hello", begin + 1000, "text/a"), undefined, begin);
      await store.put("acked", messageOf("x"), undefined, begin);
      await store.ack("acked", undefined, begin);
      await store.put("expired", messageOf("x", begin), undefined, begin - 1);
    }
    await using store = await openSqliteRendezvousStore(file, roomy, clock);
    const unread = await store.get("unread", begin);
    assert.equal(new TextDecoder().decode(unread?.body), "hello");
    assert.equal(unread?.contentType, "text/a");
    assert.equal(unread?.expiresAt, begin + 1000);
    assert.equal((await store.get("acked", begin))?.acked, true);
    assert.equal(store.usage().entries, 2);
    await store.sweep(begin + 1000);
    assert.equal(store.usage().entries, 0);
  });

  test("versions keep rising across a restart", async () => {
    const file = freshFile();
    let before = 0;
    {
      await using store = await openSqliteRendezvousStore(file, roomy, clock);
      const put = await store.put("a", messageOf("x"), undefined, begin);
      assert.ok(put.kind === "stored");
      before = put.entry.version;
    }
    await using store = await openSqliteRendezvousStore(file, roomy, clock);
    const put = await store.put("a", messageOf("y"), undefined, begin);
    assert.ok(put.kind === "stored" && put.entry.version > before);
  });

  test("a resolved put is in the file, whoever else opens it", async () => {
    const file = freshFile();
    await using store = await openSqliteRendezvousStore(file, roomy, clock);
    await store.put("a", messageOf("durable"), undefined, begin);
    using other = new DatabaseSync(file, { readOnly: true });
    const row = other.prepare("SELECT body FROM rendezvous WHERE id = 'a'").get();
    assert.equal(new TextDecoder().decode(row?.body as Uint8Array), "durable");
    assert.equal(other.prepare("PRAGMA journal_mode").get()?.journal_mode, "wal");
  });

  test("an acknowledged body is overwritten in the file, not just unlinked", async () => {
    const file = freshFile();
    const marker = "marker-f3a9c1e7";
    {
      await using store = await openSqliteRendezvousStore(file, roomy, clock);
      await store.put("a", messageOf(marker.repeat(20)), undefined, begin);
      await store.ack("a", undefined, begin);
    }
    assert.equal(readFileSync(file).includes(marker), false);
  });

  test("when the file cannot take a change the caller is told so and nothing happened", async () => {
    const file = freshFile();
    await using store = await openSqliteRendezvousStore(file, roomy, clock);
    await store.put("a", messageOf("kept"), undefined, begin);
    using other = new DatabaseSync(file);
    other.exec(`CREATE TRIGGER refuse BEFORE INSERT ON rendezvous WHEN NEW.id = 'bad'
      BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END`);
    const [bad, good] = await Promise.allSettled([
      store.put("bad", messageOf("x"), undefined, begin),
      store.put("good", messageOf("y"), undefined, begin),
    ]);
    assert.ok(bad.status === "rejected" && bad.reason instanceof RelayError);
    assert.equal(bad.reason.code, "storage_unavailable");
    assert.equal(good.status, "fulfilled");
    assert.equal(await store.get("bad", begin), undefined);
    assert.equal(new TextDecoder().decode((await store.get("good", begin))?.body), "y");
    assert.equal(new TextDecoder().decode((await store.get("a", begin))?.body), "kept");
  });

  test("a file that is no database is refused at opening", async () => {
    await assert.rejects(openSqliteRendezvousStore(folder.path, roomy, clock));
  });
});

type Step =
  | { readonly do: "put"; readonly id: string; readonly text: string; readonly ttlMs: number }
  | { readonly do: "ack"; readonly id: string }
  | { readonly do: "get"; readonly id: string }
  | { readonly do: "sweep" }
  | { readonly do: "wait"; readonly ms: number };

const id = fc.constantFrom("a", "b", "c", "d", "e");
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant("put" as const),
    id,
    text: fc.string({ maxLength: 40 }),
    ttlMs: fc.integer({ min: 1, max: 50 }),
  }),
  fc.record({ do: fc.constant("ack" as const), id }),
  fc.record({ do: fc.constant("get" as const), id }),
  fc.record({ do: fc.constant("sweep" as const) }),
  fc.record({ do: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 20 }) }),
);

/** What each step of a history came to, started together in groups so that commits overlap. */
async function outcomes(store: RendezvousStore, groups: readonly (readonly Step[])[]): Promise<unknown[]> {
  let now = begin;
  const seen: unknown[] = [];
  for (const group of groups) {
    const started = group.map(async (one) => {
      switch (one.do) {
        case "put":
          return (await store.put(one.id, messageOf(one.text, now + one.ttlMs), undefined, now)).kind;
        case "ack":
          return (await store.ack(one.id, undefined, now)).kind;
        case "get": {
          const entry = await store.get(one.id, now);
          return entry && [entry.acked, entry.body && new TextDecoder().decode(entry.body), entry.expiresAt];
        }
        case "sweep":
          return undefined;
        case "wait":
          now += one.ms;
          return undefined;
      }
    });
    seen.push(...(await Promise.all(started)));
    if (group.some((one) => one.do === "sweep")) seen.push(await store.sweep(now));
  }
  seen.push(store.usage());
  return seen;
}

test("any history comes to the same on both engines, and reads the same after a restart", async () => {
  const history = fc.array(fc.array(step, { maxLength: 6 }), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(history, async (groups) => {
      const limits = { ...roomy, maxEntries: 3, maxStoreBytes: 100 };
      const file = freshFile();
      const memory = openMemoryRendezvousStore(limits);
      const expected = await outcomes(memory, groups);
      let kept: unknown[];
      {
        await using store = await openSqliteRendezvousStore(file, limits, clock);
        assert.deepEqual(await outcomes(store, groups), expected);
        kept = await Promise.all(["a", "b", "c", "d", "e"].map((one) => store.get(one, begin + 400)));
      }
      await using store = await openSqliteRendezvousStore(file, limits, clock);
      const after = await Promise.all(["a", "b", "c", "d", "e"].map((one) => store.get(one, begin + 400)));
      assert.deepEqual(
        after.map((entry) => entry && { ...(entry as object), body: undefined }),
        kept.map((entry) => entry && { ...(entry as object), body: undefined }),
      );
    }),
    { numRuns: 40 },
  );
});
