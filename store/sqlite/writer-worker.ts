import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import {
  type Batch,
  type BatchReply,
  type BoundStatement,
  type Outcome,
  operationsOf,
  type Row,
} from "./batch.ts";
import type { WriterSetup } from "./writer.ts";

// The one connection that writes. Everything that arrived while the last transaction ran goes into the next, so the
// price of a commit is shared; the event loop of the daemon never waits for the disk.

const { path, pragmas, schema } = workerData as WriterSetup;
const database = new DatabaseSync(path);
/** By number; prepared when first used. */
const statements: { readonly sql: string; prepared?: Prepared }[] = [];

interface Prepared {
  readonly statement: StatementSync;
  readonly returnsRows: boolean;
}

for (const pragma of pragmas) database.exec(`PRAGMA ${pragma}`);
database.exec(schema);

function prepared(number: number): Prepared {
  const known = statements[number]!;
  if (!known.prepared) {
    const statement = database.prepare(known.sql);
    known.prepared = { statement, returnsRows: statement.columns().length > 0 };
  }
  return known.prepared;
}

function all([number, parameters]: BoundStatement): Row[] {
  return prepared(number).statement.all(...(parameters as SQLInputValue[])) as Row[];
}

function run(operation: readonly BoundStatement[]): Outcome {
  let changes = 0;
  let rows: Row[] | undefined;
  for (const bound of operation) {
    const { statement, returnsRows } = prepared(bound[0]);
    if (returnsRows) rows = all(bound);
    else changes += Number(statement.run(...(bound[1] as SQLInputValue[])).changes);
  }
  return rows ? { changes, rows } : changes;
}

function transaction<T>(work: () => T): T {
  database.exec("BEGIN IMMEDIATE");
  try {
    const result = work();
    database.exec("COMMIT");
    return result;
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** One outcome for each operation, or the reason it failed. */
function commit(operations: readonly (readonly BoundStatement[])[]): (Outcome | string)[] {
  if (operations.length === 0) return [];
  try {
    return transaction(() => operations.map(run));
  } catch (error) {
    if (operations.length === 1) return [reasonOf(error)];
    // One bad operation must not take its neighbours along: each for itself, still in order.
    return operations.map((operation) => {
      try {
        return transaction(() => run(operation));
      } catch (alone) {
        return reasonOf(alone);
      }
    });
  }
}

function read(bound: BoundStatement): Row[] | string {
  try {
    return all(bound);
  } catch (error) {
    return reasonOf(error);
  }
}

/** Several batches in one transaction. */
function carryOut(batches: readonly Batch[]): BatchReply[] {
  for (const { statements: added } of batches) for (const sql of added) statements.push({ sql });
  const rows = batches.map(({ reads }) => reads.map(read));
  const operations = batches.map(operationsOf);
  const results = commit(operations.flat());
  let end = 0;
  return batches.map((_, at) => {
    const begin = end;
    end += operations[at]!.length;
    return { results: results.slice(begin, end), rows: rows[at]! };
  });
}

const port: MessagePort = parentPort!;

port.on("message", (first: Batch | "close") => {
  const batches: Batch[] = [];
  let message: Batch | "close" | undefined = first;
  while (message !== undefined && message !== "close") {
    batches.push(message);
    message = receiveMessageOnPort(port)?.message;
  }
  if (batches.length > 0) port.postMessage(carryOut(batches));
  if (message === "close") {
    // Closing checkpoints the log; nothing more comes, so the thread ends by itself.
    database.close();
    port.close();
  }
});

port.postMessage("open");
