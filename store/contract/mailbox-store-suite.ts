import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { blobOverheadBytes, type MailboxLimits, type MailboxStore } from "./mailbox-store.ts";

/** How an engine is opened for the suite; everything it holds is new each time. */
export type OpenForSuite = (limits: MailboxLimits) => Promise<MailboxStore>;

const second = 1000;
const t0 = 1_700_000_000_000;
const mailboxA = "a".repeat(64);
const mailboxB = "b".repeat(64);
const roomy: MailboxLimits = {
  maxBlobsPerMailbox: 0,
  maxBytesPerMailbox: 0,
  maxStorageBytes: 1_000_000,
  blobTtlMs: 100 * second,
};
const bytes = (text: string) => new TextEncoder().encode(text);
const idOf = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;

/** What `MailboxStore` promises, for every engine. */
export function mailboxStoreSuite(engine: string, open: OpenForSuite): void {
  const withStore = (
    name: string,
    limits: Partial<MailboxLimits>,
    body: (store: MailboxStore) => Promise<void>,
  ) =>
    test(name, async () => {
      await using store = await open({ ...roomy, ...limits });
      await body(store);
    });
  const texts = (store: MailboxStore, mailboxes: string[], now = t0, after = 0) => {
    const heads = store.list(mailboxes, after, 100, now);
    return store.read(heads.map(({ position }) => position)).map((data) => new TextDecoder().decode(data));
  };

  describe(`the mailbox store: ${engine}`, () => {
    withStore("a stored blob is listed with all that is known of it, and read whole", {}, async (store) => {
      assert.equal(await store.put(mailboxA, idOf(1), bytes("one"), t0), "stored");
      const [head, ...rest] = store.list([mailboxA, mailboxB], 0, 10, t0);
      assert.equal(rest.length, 0);
      const { position, ...known } = head!;
      assert.deepEqual(known, { blobId: idOf(1), mailbox: mailboxA, size: 3, createdAt: t0 / 1000 });
      assert.deepEqual(texts(store, [mailboxA]), ["one"]);
      assert.deepEqual(store.list([mailboxA], position, 10, t0), []);
    });

    withStore("a blob that came with a time of its own expires by it", {}, async (store) => {
      const created = t0 / 1000 - 90;
      assert.equal(await store.put(mailboxA, idOf(1), bytes("old"), t0, created), "stored");
      assert.equal(await store.put(mailboxA, idOf(2), bytes("new"), t0), "stored");
      assert.equal(store.list([mailboxA], 0, 10, t0)[0]!.createdAt, created);
      assert.deepEqual(texts(store, [mailboxA], t0 + 20 * second), ["new"]);
    });

    withStore(
      "the oldest of all mailboxes are listed page by page, without what expired",
      {},
      async (store) => {
        for (let n = 0; n < 5; n++) {
          await store.put(n % 2 ? mailboxA : mailboxB, idOf(n), bytes(`m${n}`), t0 + n * 30 * second);
        }
        const later = t0 + 100 * second;
        const page = store.oldest(0, 2, later);
        assert.deepEqual(
          page.map(({ blobId, mailbox }) => [blobId, mailbox]),
          [
            [idOf(1), mailboxA],
            [idOf(2), mailboxB],
          ],
        );
        const rest = store.oldest(page[1]!.position, 10, later);
        assert.deepEqual(
          rest.map(({ blobId }) => blobId),
          [idOf(3), idOf(4)],
        );
        assert.deepEqual(store.oldest(rest[1]!.position, 10, later), []);
      },
    );

    withStore("blobs of several mailboxes come oldest first, each once", {}, async (store) => {
      await Promise.all(
        [mailboxA, mailboxB, mailboxA, mailboxB].map((mailbox, n) =>
          store.put(mailbox, idOf(n), bytes(`m${n}`), t0 + n),
        ),
      );
      assert.deepEqual(texts(store, [mailboxB, mailboxA, mailboxB]), ["m0", "m1", "m2", "m3"]);
      assert.equal(store.list([mailboxA, mailboxB], 0, 3, t0).length, 3);
      const [first] = store.list([mailboxA, mailboxB], 0, 1, t0);
      assert.deepEqual(texts(store, [mailboxA, mailboxB], t0, first!.position), ["m1", "m2", "m3"]);
    });

    withStore("a clock that steps back does not disturb the order", {}, async (store) => {
      await store.put(mailboxA, idOf(1), bytes("first"), t0 + 5 * second);
      await store.put(mailboxA, idOf(2), bytes("second"), t0);
      const heads = store.list([mailboxA], 0, 10, t0 + 5 * second);
      assert.deepEqual(
        heads.map(({ blobId }) => blobId),
        [idOf(1), idOf(2)],
      );
      assert.ok(heads[1]!.createdAt >= heads[0]!.createdAt);
    });

    withStore("a name that is none is an empty mailbox", {}, async (store) => {
      for (const name of ["", "x", "A".repeat(64), "z".repeat(64), "' OR 1=1 --"]) {
        assert.deepEqual(store.list([name], 0, 10, t0), []);
        assert.equal(await store.remove(name, idOf(1), t0), false);
        assert.equal(await store.purge(name, `n${name}`, t0 + second, t0), 0);
      }
    });

    withStore("a blob is removed once, and only from its mailbox", {}, async (store) => {
      await store.put(mailboxA, idOf(1), bytes("one"), t0);
      assert.equal(await store.remove(mailboxB, idOf(1), t0), false);
      assert.deepEqual(texts(store, [mailboxA]), ["one"]);
      const both = await Promise.all([
        store.remove(mailboxA, idOf(1), t0),
        store.remove(mailboxA, idOf(1), t0),
      ]);
      assert.deepEqual(both.sort(), [false, true]);
      assert.deepEqual(store.usage(), { blobs: 0, bytes: 0 });
    });

    withStore("a blob is found by its id alone where that is asked for", {}, async (store) => {
      await store.put(mailboxA, idOf(1), bytes("one"), t0);
      assert.equal(await store.remove(undefined, idOf(2), t0), false);
      assert.equal(await store.remove(undefined, idOf(1), t0), true);
    });

    withStore(
      "a mailbox takes as many blobs as it may, and another one still does",
      { maxBlobsPerMailbox: 2 },
      async (store) => {
        const outcomes = await Promise.all(
          [1, 2, 3].map((n) => store.put(mailboxA, idOf(n), bytes("x"), t0)),
        );
        assert.deepEqual(outcomes, ["stored", "stored", "mailbox-full"]);
        assert.equal(await store.put(mailboxB, idOf(4), bytes("x"), t0), "stored");
        await store.remove(mailboxA, idOf(1), t0);
        assert.equal(await store.put(mailboxA, idOf(5), bytes("x"), t0), "stored");
      },
    );

    withStore(
      "a blob that exactly fills its mailbox fits, and one more byte does not",
      { maxBytesPerMailbox: 16 },
      async (store) => {
        assert.equal(await store.put(mailboxA, idOf(1), new Uint8Array(17), t0), "mailbox-full");
        assert.equal(await store.put(mailboxA, idOf(2), new Uint8Array(16), t0), "stored");
        assert.equal(await store.put(mailboxA, idOf(3), new Uint8Array(1), t0), "mailbox-full");
      },
    );

    withStore(
      "a full relay refuses what is new, keeps what it has, and serves again after",
      { maxStorageBytes: 2 * (10 + blobOverheadBytes) },
      async (store) => {
        const outcomes = await Promise.all(
          [mailboxA, mailboxB, mailboxA].map((mailbox, n) =>
            store.put(mailbox, idOf(n), new Uint8Array(10), t0),
          ),
        );
        assert.deepEqual(outcomes, ["stored", "stored", "storage-full"]);
        assert.equal(
          await store.putRecord("proof", "k", { value: bytes("v"), expiresAt: undefined }, t0),
          "storage-full",
        );
        assert.equal(
          await store.putRecord("setting", "k", { value: bytes("v"), expiresAt: undefined }, t0),
          "stored",
        );
        assert.equal(store.list([mailboxA, mailboxB], 0, 10, t0).length, 2);
        await store.remove(mailboxA, idOf(0), t0);
        assert.equal(await store.put(mailboxA, idOf(4), new Uint8Array(1), t0), "stored");
      },
    );

    withStore(
      "a blob is gone at the end of its time, swept or not, and takes no room then",
      { maxBlobsPerMailbox: 1 },
      async (store) => {
        await store.put(mailboxA, idOf(1), bytes("old"), t0);
        assert.deepEqual(texts(store, [mailboxA], t0 + 99 * second), ["old"]);
        assert.deepEqual(texts(store, [mailboxA], t0 + 100 * second), []);
        assert.equal(await store.put(mailboxA, idOf(2), bytes("new"), t0 + 100 * second), "stored");
        assert.equal(await store.remove(mailboxA, idOf(1), t0 + 100 * second), false);
        assert.equal(await store.remove(mailboxA, idOf(2), t0 + 200 * second), false);
      },
    );

    withStore(
      "expiry makes room for another mailbox too",
      { maxStorageBytes: 10 + blobOverheadBytes },
      async (store) => {
        await store.put(mailboxA, idOf(1), new Uint8Array(10), t0);
        assert.equal(await store.put(mailboxB, idOf(2), new Uint8Array(10), t0 + 100 * second), "stored");
      },
    );

    withStore("sweeping drops what expired and nothing else", {}, async (store) => {
      await store.put(mailboxA, idOf(1), bytes("old"), t0);
      await store.put(mailboxA, idOf(2), bytes("new"), t0 + 50 * second);
      await store.putRecord("offer", "old", { value: bytes("x"), expiresAt: t0 + 100 * second }, t0);
      await store.putRecord("offer", "new", { value: bytes("x"), expiresAt: t0 + 101 * second }, t0);
      assert.deepEqual(await store.sweep(t0 + 100 * second), { blobs: 1, records: 1 });
      assert.deepEqual(store.usage(), { blobs: 1, bytes: 3 + blobOverheadBytes + 4 });
      assert.deepEqual(await store.sweep(t0 + 100 * second), { blobs: 0, records: 0 });
    });

    withStore(
      "a purge empties one mailbox, counts what it removed, and spends its nonce",
      {},
      async (store) => {
        await store.put(mailboxA, idOf(1), bytes("1"), t0);
        await store.put(mailboxA, idOf(2), bytes("2"), t0);
        await store.put(mailboxA, idOf(9), bytes("3"), t0);
        await store.put(mailboxB, idOf(3), bytes("3"), t0);
        assert.equal(await store.purge(mailboxA, "n1", t0 + 10 * second, t0), 3);
        await store.put(mailboxA, idOf(4), bytes("4"), t0);
        const twice = await Promise.all([1, 2].map(() => store.purge(mailboxA, "n2", t0 + 10 * second, t0)));
        assert.deepEqual(twice, [1, undefined]);
        assert.equal(await store.purge(mailboxB, "n1", t0 + 10 * second, t0), undefined);
        assert.deepEqual(texts(store, [mailboxA, mailboxB]), ["3"]);
        assert.ok(store.getRecord("spent", "n1", t0));
        assert.equal(await store.purge(mailboxB, "n1", t0 + 20 * second, t0 + 10 * second), 1);
      },
    );

    withStore("a purge counts no blob that had expired", {}, async (store) => {
      await store.put(mailboxA, idOf(1), bytes("old"), t0);
      await store.put(mailboxA, idOf(2), bytes("new"), t0 + 50 * second);
      assert.equal(await store.purge(mailboxA, "n", t0 + 200 * second, t0 + 100 * second), 1);
    });

    withStore("a record is kept, replaced and removed under its kind and key", {}, async (store) => {
      const until = t0 + 10 * second;
      assert.equal(
        await store.putRecord("proof", "k", { value: bytes("v1"), expiresAt: until }, t0),
        "stored",
      );
      assert.equal(store.getRecord("offer", "k", t0), undefined);
      assert.equal(
        await store.putRecord("proof", "k", { value: bytes("v2"), expiresAt: until }, t0 + second),
        "stored",
      );
      const record = store.getRecord("proof", "k", t0 + second)!;
      assert.deepEqual(
        { ...record, value: new TextDecoder().decode(record.value) },
        {
          value: "v2",
          createdAt: t0 / 1000 + 1,
          expiresAt: until,
          version: 2,
        },
      );
      assert.equal(store.getRecord("proof", "k", until), undefined);
      assert.equal(await store.removeRecord("proof", "k", t0 + second), true);
      assert.equal(await store.removeRecord("proof", "k", t0 + second), false);
      assert.deepEqual(store.usage(), { blobs: 0, bytes: 0 });
    });

    withStore("a conditional change happens for one of two who saw the same version", {}, async (store) => {
      const write = (text: string, ifVersion: number) =>
        store.putRecord("offer", "k", { value: bytes(text), expiresAt: t0 + 10 * second, ifVersion }, t0);
      assert.deepEqual(await Promise.all([write("a", 0), write("b", 0)]), ["stored", "conflict"]);
      assert.deepEqual(await Promise.all([write("c", 1), write("d", 1)]), ["stored", "conflict"]);
      assert.equal(new TextDecoder().decode(store.getRecord("offer", "k", t0)!.value), "c");
      assert.equal(await store.removeRecord("offer", "k", t0, 1), false);
      assert.equal(await store.removeRecord("offer", "k", t0, 2), true);
    });

    withStore("an expired record makes way for a new one of its key", {}, async (store) => {
      await store.putRecord("offer", "k", { value: bytes("old"), expiresAt: t0 + second }, t0);
      const write = { value: bytes("new"), expiresAt: t0 + 9 * second, ifVersion: 0 };
      assert.equal(await store.putRecord("offer", "k", write, t0 + second), "stored");
      assert.deepEqual(store.listRecords("offer", t0 + second), [{ key: "k", expiresAt: t0 + 9 * second }]);
    });

    withStore("the totals are what is held, after any run of changes", {}, async (store) => {
      let expected = 0;
      for (let n = 0; n < 60; n++) {
        const size = (n * 37) % 90;
        await store.put(n % 3 === 0 ? mailboxA : mailboxB, idOf(n), new Uint8Array(size), t0 + n);
        expected += size + blobOverheadBytes;
        if (n % 4 === 3) {
          const mailbox = (n - 1) % 3 === 0 ? mailboxA : mailboxB;
          assert.equal(await store.remove(mailbox, idOf(n - 1), t0), true);
          expected -= (((n - 1) * 37) % 90) + blobOverheadBytes;
        }
      }
      assert.equal(store.usage().bytes, expected);
      await store.purge(mailboxA, "a", t0 + second, t0);
      await store.purge(mailboxB, "b", t0 + second, t0);
      assert.deepEqual(store.usage(), { blobs: 0, bytes: 2 });
    });
  });
}
