import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { RelayError } from "#core/errors.ts";

export type SqlValue = string | number | bigint | null | Uint8Array;
export type Row = Record<string, SqlValue>;
/** A statement and what is bound to its `?`s. */
export type Sql = readonly [sql: string, parameters: readonly SqlValue[]];

export interface WriterSetup {
  readonly path: string;
  /** Without the word PRAGMA, in order. */
  readonly pragmas: readonly string[];
  /** Run at opening; creates what is missing. */
  readonly schema: string;
}

/** A statement by its number and what is bound to it. */
export type BoundStatement = readonly [statement: number, parameters: readonly SqlValue[]];

export interface BatchRequest {
  /** Statements that were never sent before; they are numbered in the order in which they come, from 0 on. */
  readonly statements: readonly string[];
  readonly operations: readonly (readonly BoundStatement[])[];
  readonly reads: readonly BoundStatement[];
}

/** What an operation did that returns rows: those, and how many rows its other statements changed. */
export interface Returned {
  readonly changes: number;
  readonly rows: readonly Row[];
}

/** What an operation did: the number of rows it changed, unless it has a statement that returns rows. */
export type Outcome = number | Returned;

/** One outcome for each operation and read, or the reason it failed. */
export interface BatchReply {
  readonly results: readonly (Outcome | string)[];
  readonly rows: readonly (readonly Row[] | string)[];
}

/**
 * What every database file of ours is opened with: an answered write survives power loss (`synchronous=FULL` in
 * `WAL`), and deleted bytes are overwritten.
 */
export const durablePragmas: readonly string[] = [
  "journal_mode=WAL",
  "synchronous=FULL",
  "secure_delete=ON",
  "busy_timeout=5000",
  "journal_size_limit=67108864",
];

interface Pending<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

/**
 * The single writer of a database file, on a thread of its own: group commit.
 *
 * All that is written while one transaction runs goes into the next one. A promise resolves after the commit that holds
 * its operation, and operations take effect in the order of the calls. Rejects with `storage_unavailable`; then the
 * operation did not happen.
 */
export class SqliteWriter implements AsyncDisposable {
  readonly #worker: Worker;
  /** Numbers of the statements that the worker knows or is about to. */
  readonly #numbers = new Map<string, number>();
  #statements: string[] = [];
  #operations: (readonly Sql[])[] = [];
  #writes: Pending<Outcome>[] = [];
  #reads: Sql[] = [];
  #readers: Pending<readonly Row[]>[] = [];
  #running = false;
  #scheduled = false;
  #ended: RelayError | undefined;
  #idle: (() => void) | undefined;
  #inFlight: { writes: Pending<Outcome>[]; readers: Pending<readonly Row[]>[] } = { writes: [], readers: [] };

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.on("message", (reply: BatchReply) => this.#finish(reply));
    worker.on("error", (cause) => this.#end(cause));
    worker.on("exit", () => this.#end(undefined));
  }

  /** Opens or creates the file. Rejects with the engine's own error where that fails. */
  static async open(setup: WriterSetup): Promise<SqliteWriter> {
    // The worker lies beside this file and has its extension: `.ts` in a checkout, `.js` in a package.
    const beside = import.meta.url.replace(/writer(\.\w+)$/, "writer-worker$1");
    const worker = new Worker(new URL(beside), { workerData: setup });
    await once(worker, "message");
    return new SqliteWriter(worker);
  }

  /** One atomic operation of one or more statements. Resolves to the number of rows it changed. */
  write(...statements: Sql[]): Promise<number> {
    return this.#operate(statements) as Promise<number>;
  }

  /** As `write`, for an operation one of whose statements has a RETURNING clause. */
  writeReturning(...statements: Sql[]): Promise<Returned> {
    return this.#operate(statements) as Promise<Returned>;
  }

  #operate(statements: readonly Sql[]): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended);
      this.#operations.push(statements);
      this.#writes.push({ resolve, reject });
      this.#schedule();
    });
  }

  /** Reads on the writer's connection: sees everything committed before the call. */
  read(sql: string, ...parameters: SqlValue[]): Promise<readonly Row[]> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended);
      this.#reads.push([sql, parameters]);
      this.#readers.push({ resolve, reject });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#running || this.#scheduled) return;
    this.#scheduled = true;
    // After this turn's sockets were read: what came together is committed together.
    setImmediate(() => {
      this.#scheduled = false;
      if (!this.#running) this.#start();
    });
  }

  #start(): void {
    if (this.#operations.length === 0 && this.#reads.length === 0) {
      this.#idle?.();
      return;
    }
    this.#running = true;
    this.#inFlight = { writes: this.#writes, readers: this.#readers };
    // All bytes of a batch travel in one piece that is handed over: cloning each array by itself costs more than
    // inserting it.
    const bytes = new Uint8Array(bytesIn(this.#operations) + bytesIn([this.#reads]));
    let end = 0;
    const pack = (value: SqlValue): SqlValue => {
      if (!(value instanceof Uint8Array)) return value;
      const begin = end;
      bytes.set(value, begin);
      end += value.byteLength;
      return bytes.subarray(begin, end);
    };
    const bind = ([sql, parameters]: Sql): BoundStatement => [this.#numberOf(sql), parameters.map(pack)];
    const operations = this.#operations.map((operation) => operation.map(bind));
    const reads = this.#reads.map(bind);
    const request: BatchRequest = { statements: this.#statements, operations, reads };
    this.#statements = [];
    this.#operations = [];
    this.#writes = [];
    this.#reads = [];
    this.#readers = [];
    this.#worker.postMessage(request, [bytes.buffer]);
  }

  #numberOf(sql: string): number {
    let number = this.#numbers.get(sql);
    if (number === undefined) {
      number = this.#numbers.size;
      this.#numbers.set(sql, number);
      this.#statements.push(sql);
    }
    return number;
  }

  #finish({ results, rows }: BatchReply): void {
    const { writes, readers } = this.#inFlight;
    this.#inFlight = { writes: [], readers: [] };
    this.#running = false;
    // The next batch starts before the answers of this one are rendered: the disk works meanwhile.
    this.#start();
    for (const [at, result] of results.entries()) {
      if (typeof result !== "string") writes[at]!.resolve(result);
      else writes[at]!.reject(unavailable(new Error(result)));
    }
    for (const [at, found] of rows.entries()) {
      if (typeof found !== "string") readers[at]!.resolve(found);
      else readers[at]!.reject(unavailable(new Error(found)));
    }
  }

  #end(cause: unknown): void {
    this.#ended ??= unavailable(cause);
    const { writes, readers } = this.#inFlight;
    for (const pending of [...writes, ...readers, ...this.#writes, ...this.#readers])
      pending.reject(this.#ended);
    this.#inFlight = { writes: [], readers: [] };
    this.#operations = [];
    this.#writes = [];
    this.#reads = [];
    this.#readers = [];
    this.#running = false;
    this.#idle?.();
  }

  /** Commits what was asked for, then closes the file. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended) return;
    await new Promise<void>((resolve) => {
      this.#idle = resolve;
      this.#schedule();
    });
    if (this.#ended) return;
    this.#ended = unavailable(new Error("closed"));
    const exited = once(this.#worker, "exit");
    this.#worker.postMessage("close");
    await exited;
  }
}

function bytesIn(operations: readonly (readonly Sql[])[]): number {
  let total = 0;
  for (const operation of operations) {
    for (const [, parameters] of operation) {
      for (const value of parameters) if (value instanceof Uint8Array) total += value.byteLength;
    }
  }
  return total;
}

function unavailable(cause: unknown): RelayError {
  return new RelayError("storage_unavailable", { cause, retryAfterSeconds: 5 });
}
