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

export interface BatchRequest {
  readonly operations: readonly (readonly Sql[])[];
  readonly reads: readonly Sql[];
}

/** One result for each operation and read: the changes or the rows, or the reason it failed. */
export interface BatchReply {
  readonly results: readonly (number | string)[];
  readonly rows: readonly (readonly unknown[] | string)[];
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
  #operations: (readonly Sql[])[] = [];
  #writes: Pending<number>[] = [];
  #reads: Sql[] = [];
  #readers: Pending<Row[]>[] = [];
  #running = false;
  #scheduled = false;
  #ended: RelayError | undefined;
  #idle: (() => void) | undefined;
  #inFlight: { writes: Pending<number>[]; readers: Pending<Row[]>[] } = { writes: [], readers: [] };

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
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended);
      this.#operations.push(statements);
      this.#writes.push({ resolve, reject });
      this.#schedule();
    });
  }

  /** Reads on the writer's connection: sees everything committed before the call. */
  read(sql: string, ...parameters: SqlValue[]): Promise<Row[]> {
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
    const request: BatchRequest = { operations: this.#operations, reads: this.#reads };
    this.#operations = [];
    this.#writes = [];
    this.#reads = [];
    this.#readers = [];
    this.#worker.postMessage(request);
  }

  #finish({ results, rows }: BatchReply): void {
    const { writes, readers } = this.#inFlight;
    this.#inFlight = { writes: [], readers: [] };
    this.#running = false;
    // The next batch starts before the answers of this one are rendered: the disk works meanwhile.
    this.#start();
    for (const [at, result] of results.entries()) {
      if (typeof result === "number") writes[at]!.resolve(result);
      else writes[at]!.reject(unavailable(new Error(result)));
    }
    for (const [at, found] of rows.entries()) {
      if (typeof found !== "string") readers[at]!.resolve(found as Row[]);
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

function unavailable(cause: unknown): RelayError {
  return new RelayError("storage_unavailable", { cause, retryAfterSeconds: 5 });
}
