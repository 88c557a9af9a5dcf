import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";
import type { BatchReply, BatchRequest, WriterSetup } from "./writer.ts";

// The one connection that writes. Everything that arrived while the last transaction ran goes into the next, so the
// price of a commit is shared; the event loop of the daemon never waits for the disk.

const { path, pragmas, schema } = workerData as WriterSetup;
const database = new DatabaseSync(path);
const statements = new Map<string, StatementSync>();

for (const pragma of pragmas) database.exec(`PRAGMA ${pragma}`);
database.exec(schema);

function prepare(sql: string): StatementSync {
  let statement = statements.get(sql);
  if (!statement) {
    statement = database.prepare(sql);
    statements.set(sql, statement);
  }
  return statement;
}

function run(operations: BatchRequest["operations"][number]): number {
  let changes = 0;
  for (const [sql, parameters] of operations) {
    changes += Number(prepare(sql).run(...(parameters as SQLInputValue[])).changes);
  }
  return changes;
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
  const rows = request.reads.map(([sql, parameters]) => {
    try {
      return prepare(sql).all(...(parameters as SQLInputValue[]));
    } catch (error) {
      return message(error);
    }
  });
  const results = request.operations.length === 0 ? [] : commit(request);
  parentPort!.postMessage({ results, rows } satisfies BatchReply);
});

parentPort!.postMessage("open");
