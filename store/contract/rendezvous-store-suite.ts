import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Message, RendezvousLimits, RendezvousStore } from "./rendezvous-store.ts";

const roomy: RendezvousLimits = { maxEntries: 1000, maxStoreBytes: 2 ** 20, maxEntriesPerClient: 0 };
const begin = 1_700_000_000_000;

export function messageOf(text: string, expiresAt = begin + 1000, contentType?: string): Message {
  return { body: new TextEncoder().encode(text), contentType, expiresAt };
}

/** What every engine of the rendezvous store must do. */
export function rendezvousStoreSuite(
  engine: string,
  open: (limits: RendezvousLimits) => Promise<RendezvousStore>,
): void {
  const read = async (store: RendezvousStore, id: string, now = begin) => {
    const body = (await store.get(id, now))?.body;
    return body && new TextDecoder().decode(body);
  };

  describe(`the rendezvous store (${engine})`, () => {
    test("gives back what was put, content type included", async () => {
      await using store = await open(roomy);
      await store.put("a", messageOf("hello", begin + 1000, "text/x-odd; a=b"), undefined, begin);
      const entry = await store.get("a", begin);
      assert.equal(new TextDecoder().decode(entry?.body), "hello");
      assert.equal(entry?.contentType, "text/x-odd; a=b");
      assert.equal(entry?.acked, false);
      assert.equal(entry?.expiresAt, begin + 1000);
    });

    test("keeps every byte value, and ids of any characters apart", async () => {
      await using store = await open(roomy);
      const body = Uint8Array.from({ length: 256 }, (_, at) => at);
      const ids = ["a", "A", "a/b", "\u0000", "é", "e\u0301", " ", "ack"];
      for (const [at, id] of ids.entries()) {
        await store.put(
          id,
          { body: body.subarray(at), contentType: undefined, expiresAt: begin + 9 },
          undefined,
          begin,
        );
      }
      for (const [at, id] of ids.entries())
        assert.deepEqual((await store.get(id, begin))?.body, body.slice(at));
    });

    test("replaces a message whole, under a higher version", async () => {
      await using store = await open(roomy);
      const first = await store.put("a", messageOf("one", begin + 1000, "text/a"), undefined, begin);
      const second = await store.put("a", messageOf("two"), undefined, begin);
      assert.ok(first.kind === "stored" && second.kind === "stored");
      assert.equal(first.replaced, undefined);
      assert.equal(second.replaced?.version, first.entry.version);
      assert.ok(second.entry.version > first.entry.version);
      assert.equal((await store.get("a", begin))?.contentType, undefined);
      assert.equal(await read(store, "a"), "two");
      assert.equal(store.usage().entries, 1);
    });

    test("an acknowledged message loses its body and stays acknowledged until it expires", async () => {
      await using store = await open(roomy);
      await store.put("a", messageOf("x"), undefined, begin);
      assert.equal((await store.ack("a", undefined, begin)).kind, "acked");
      assert.equal((await store.ack("a", undefined, begin)).kind, "already-acked");
      const entry = await store.get("a", begin + 999);
      assert.equal(entry?.acked, true);
      assert.equal(entry?.body, undefined);
      assert.equal(await store.get("a", begin + 1000), undefined);
      assert.equal((await store.ack("a", undefined, begin + 1000)).kind, "missing");
    });

    test("acknowledges nothing but the version it was given", async () => {
      await using store = await open(roomy);
      const first = await store.put("a", messageOf("one"), undefined, begin);
      await store.put("a", messageOf("two"), undefined, begin);
      assert.ok(first.kind === "stored");
      assert.equal((await store.ack("a", first.entry.version, begin)).kind, "version-mismatch");
      assert.equal(await read(store, "a"), "two");
    });

    test("a put after an acknowledgement is unread again", async () => {
      await using store = await open(roomy);
      await store.put("a", messageOf("one"), undefined, begin);
      await store.ack("a", undefined, begin);
      await store.put("a", messageOf("two"), undefined, begin);
      assert.equal((await store.get("a", begin))?.acked, false);
      assert.equal(await read(store, "a"), "two");
    });

    test("an expired message is gone before any sweep, and is not said to be replaced", async () => {
      await using store = await open(roomy);
      await store.put("a", messageOf("one", begin + 10), undefined, begin);
      assert.equal(await read(store, "a", begin + 9), "one");
      assert.equal(await read(store, "a", begin + 10), undefined);
      const again = await store.put("a", messageOf("two"), undefined, begin + 10);
      assert.ok(again.kind === "stored");
      assert.equal(again.replaced, undefined);
    });

    test("a full store refuses a new id and drops no unread message", async () => {
      await using store = await open({ ...roomy, maxEntries: 3 });
      for (const id of ["a", "b", "c"]) await store.put(id, messageOf(id), undefined, begin);
      assert.equal((await store.put("d", messageOf("d"), undefined, begin)).kind, "full");
      for (const id of ["a", "b", "c"]) assert.equal(await read(store, id), id);
      assert.equal(await read(store, "d"), undefined);
    });

    test("a full store still replaces", async () => {
      await using store = await open({ ...roomy, maxEntries: 2 });
      for (const id of ["a", "b"]) await store.put(id, messageOf(id), undefined, begin);
      assert.equal((await store.put("b", messageOf("B"), undefined, begin)).kind, "stored");
      assert.equal(await read(store, "a"), "a");
      assert.equal(await read(store, "b"), "B");
    });

    test("expired entries make room at once, then acknowledged ones, oldest acknowledgement first", async () => {
      await using store = await open({ ...roomy, maxEntries: 4 });
      for (const id of ["a", "b", "c"]) await store.put(id, messageOf(id), undefined, begin);
      await store.put("short", messageOf("s", begin + 5), undefined, begin);
      await store.ack("b", undefined, begin);
      await store.ack("a", undefined, begin);
      assert.equal((await store.put("d", messageOf("d"), undefined, begin + 5)).kind, "stored");
      assert.equal((await store.get("b", begin + 5))?.acked, true);
      assert.equal((await store.put("e", messageOf("e"), undefined, begin + 5)).kind, "stored");
      assert.equal(await store.get("b", begin + 5), undefined);
      assert.equal((await store.get("a", begin + 5))?.acked, true);
      assert.equal((await store.put("f", messageOf("f"), undefined, begin + 5)).kind, "stored");
      assert.equal((await store.put("g", messageOf("g"), undefined, begin + 5)).kind, "full");
      for (const id of ["c", "d", "e", "f"]) assert.equal(await read(store, id, begin + 5), id);
    });

    test("an acknowledgement is not given up for a message that does not fit anyway", async () => {
      await using store = await open({ ...roomy, maxStoreBytes: 2000 });
      await store.put("a", messageOf("a"), undefined, begin);
      await store.ack("a", undefined, begin);
      assert.equal((await store.put("big", messageOf("x".repeat(3000)), undefined, begin)).kind, "full");
      assert.equal((await store.get("a", begin))?.acked, true);
    });

    test("the bytes have a bound as the entries have, and a smaller message always fits in place of a larger", async () => {
      await using store = await open({ ...roomy, maxStoreBytes: 1024 });
      assert.equal((await store.put("a", messageOf("x".repeat(1000)), undefined, begin)).kind, "stored");
      assert.equal((await store.put("b", messageOf("x".repeat(100)), undefined, begin)).kind, "full");
      assert.equal((await store.put("a", messageOf("y"), undefined, begin)).kind, "stored");
      assert.equal((await store.put("b", messageOf("x".repeat(100)), undefined, begin)).kind, "stored");
    });

    test("one source gets no more than its share, and gets room back", async () => {
      await using store = await open({ ...roomy, maxEntriesPerClient: 2 });
      const put = async (id: string, source: string | undefined) =>
        (await store.put(id, messageOf(id), source, begin)).kind;
      assert.equal(await put("a", "one"), "stored");
      assert.equal(await put("b", "one"), "stored");
      assert.equal(await put("c", "one"), "over-share");
      assert.equal(await put("a", "one"), "stored");
      assert.equal(await put("c", "two"), "stored");
      for (const id of ["x", "y", "z"]) assert.equal(await put(id, undefined), "stored");
      await store.sweep(begin + 1000);
      assert.equal(await put("c", "one"), "stored");
    });

    test("a sweep drops what expired and nothing else", async () => {
      await using store = await open(roomy);
      await store.put("a", messageOf("a", begin + 10), undefined, begin);
      await store.put("b", messageOf("b", begin + 20), undefined, begin);
      await store.put("c", messageOf("c", begin + 10), undefined, begin);
      await store.ack("c", undefined, begin);
      assert.equal(await store.sweep(begin + 15), 2);
      assert.equal(store.usage().entries, 1);
      assert.equal(await read(store, "b", begin + 15), "b");
      await store.sweep(begin + 20);
      assert.deepEqual(store.usage(), { entries: 0, bytes: 0 });
    });

    test("operations called together take effect in the order of the calls", async () => {
      await using store = await open(roomy);
      const results = await Promise.all([
        store.put("a", messageOf("one"), undefined, begin),
        store.get("a", begin),
        store.put("a", messageOf("two"), undefined, begin),
        store.ack("a", undefined, begin),
        store.ack("a", undefined, begin),
        store.put("a", messageOf("three"), undefined, begin),
      ]);
      assert.deepEqual(
        results.map((result) => (result && "kind" in result ? result.kind : "entry")),
        ["stored", "entry", "stored", "acked", "already-acked", "stored"],
      );
      assert.equal(await read(store, "a"), "three");
    });

    test("a read among operations called together sees those before it and none after", async () => {
      await using store = await open(roomy);
      await store.put("a", messageOf("one"), undefined, begin);
      const [, acked, , two] = await Promise.all([
        store.ack("a", undefined, begin),
        store.get("a", begin),
        store.put("a", messageOf("two"), undefined, begin),
        store.get("a", begin),
        store.ack("a", undefined, begin),
      ]);
      assert.equal(acked?.acked, true);
      assert.equal(new TextDecoder().decode(two?.body), "two");
    });

    test("replacing one id for ever takes no more room", async () => {
      await using store = await open({ ...roomy, maxEntries: 2 });
      for (let at = 0; at < 5000; at++) void store.put("a", messageOf(String(at)), undefined, begin);
      await store.put("b", messageOf("b"), undefined, begin);
      assert.equal(await read(store, "a"), "4999");
      assert.equal(store.usage().entries, 2);
    });
  });
}
