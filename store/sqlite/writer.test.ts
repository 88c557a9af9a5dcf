import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RelayError } from "#core/errors.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import { BatchBuilder, operationsOf, type Sql, type SqlValue } from "./batch.ts";
import { durablePragmas, SqliteWriter } from "./writer.ts";

const schema =
  "CREATE TABLE IF NOT EXISTS one (id INTEGER PRIMARY KEY, value ANY) STRICT; CREATE TABLE IF NOT EXISTS log (at INTEGER PRIMARY KEY, id INTEGER) STRICT";
const open = (path: string) => SqliteWriter.open({ path, pragmas: durablePragmas, schema });
const insert = (id: number, value: SqlValue): Sql => ["INSERT INTO one VALUES (?, ?)", [id, value]];
const log = (id: number): Sql => ["INSERT INTO log (id) VALUES (?)", [id]];

test("operations arrive as they were called, whatever they are bound to", () => {
  const value = fc.oneof(
    fc.string(),
    fc.double({ noNaN: true }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.constant(null),
    fc.uint8Array({ maxLength: 40 }),
  );
  const sql = fc.tuple(fc.constantFrom("a", "b", "c"), fc.array(value, { maxLength: 4 }));
  const rounds = fc.array(fc.array(fc.array(sql, { maxLength: 3 }), { maxLength: 5 }), { maxLength: 4 });
  fc.assert(
    fc.property(rounds, (batches) => {
      const builder = new BatchBuilder();
      const statements: string[] = [];
      for (const operations of batches) {
        for (const operation of operations) builder.add(operation);
        const batch = structuredClone(builder.take());
        statements.push(...batch.statements);
        const arrived = operationsOf(batch).map((operation) =>
          operation.map(([number, parameters]) => [statements[number], parameters]),
        );
        assert.deepEqual(arrived, operations);
      }
      assert.equal(new Set(statements).size, statements.length);
    }),
  );
});

test("of more operations than one batch holds only those fail that cannot be done, and the order is kept", async () => {
  using folder = temporaryFolder();
  await using writer = await open(folder.file("a.db"));
  const count = 1000;
  // Every seventh takes an id that the one before it has, after a statement of its own that must go with it.
  const fails = (n: number) => n % 7 === 6;
  const outcomes = await Promise.allSettled(
    Array.from({ length: count }, (_, n) => writer.write(log(n), insert(fails(n) ? n - 1 : n, `value ${n}`))),
  );
  for (const [n, outcome] of outcomes.entries()) {
    if (outcome.status === "fulfilled") assert.equal(outcome.value, 2);
    else assert.ok(outcome.reason instanceof RelayError && outcome.reason.code === "storage_unavailable");
    assert.equal(outcome.status, fails(n) ? "rejected" : "fulfilled", `operation ${n}`);
  }
  const done = Array.from({ length: count }, (_, n) => n).filter((n) => !fails(n));
  const logged = await writer.read("SELECT id FROM log ORDER BY at");
  assert.deepEqual(
    logged.map(({ id }) => id),
    done,
  );
  const rows = await writer.read("SELECT id, value FROM one ORDER BY id");
  assert.deepEqual(
    rows.map((row) => ({ ...row })),
    done.map((id) => ({ id, value: `value ${id}` })),
  );
});

test("the caller keeps its bytes, and of a part of them that part is written", async () => {
  using folder = temporaryFolder();
  await using writer = await open(folder.file("a.db"));
  const bytes = new Uint8Array([1, 2, 3]);
  await writer.write(insert(1, bytes), insert(2, bytes.subarray(1)), insert(3, new Uint8Array()));
  assert.deepEqual([...bytes], [1, 2, 3]);
  const rows = await writer.read("SELECT hex(value) AS hex FROM one ORDER BY id");
  assert.deepEqual(
    rows.map(({ hex }) => hex),
    ["010203", "0203", ""],
  );
});

test("a read sees what was answered before it, and closing finishes what was asked for", async () => {
  using folder = temporaryFolder();
  const path = folder.file("a.db");
  const asked: Promise<number>[] = [];
  {
    await using writer = await open(path);
    for (let n = 0; n < 200; n++) {
      await writer.write(insert(n, n));
      if (n % 50 === 0) {
        const [row] = await writer.read("SELECT count(*) AS count FROM one");
        assert.equal(row!.count, n + 1);
      }
    }
    for (let n = 200; n < 300; n++) asked.push(writer.write(insert(n, n)));
  }
  assert.deepEqual(await Promise.all(asked), new Array(100).fill(1));
  await using again = await open(path);
  const [row] = await again.read("SELECT count(*) AS count FROM one");
  assert.equal(row!.count, 300);
});
