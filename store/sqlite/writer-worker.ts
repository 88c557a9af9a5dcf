import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";
import type { BatchReply, BatchRequest, BoundStatement, Outcome, Row, WriterSetup } from "./writer.ts";

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

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function commit({ operations }: BatchRequest): BatchReply["results"] {
  try {
    return transaction(() => operations.map(run));
  } catch (error) {
    if (operations.length === 1) return [message(error)];
    // One bad operation must not take its neighbours along: each for itself, still in order.
    return operations.map((operation) => {
      try {
        return transaction(() => run(operation));
      } catch (alone) {
        return message(alone);
      }
    });
  }
}

parentPort!.on("message", (request: BatchRequest | "close") => {
  if (request === "close") {
    // Closing checkpoints the log; nothing more comes, so the thread ends by itself.
    database.close();
    parentPort!.close();
    return;
  }
  for (const sql of request.statements) statements.push({ sql });
  const rows = request.reads.map((read) => {
    try {
      return all(read);
    } catch (error) {
      return message(error);
    }
  });
  const results = request.operations.length === 0 ? [] : commit(request);
  parentPort!.postMessage({ results, rows } satisfies BatchReply);
});

parentPort!.postMessage("open");
