import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { RelayError } from "#core/errors.ts";
import {
  BatchBuilder,
  type BatchReply,
  type Outcome,
  type Returned,
  type Row,
  type Sql,
  type SqlValue,
} from "./batch.ts";

export interface WriterSetup {
  readonly path: string;
  /** Without the word PRAGMA, in order. */
  readonly pragmas: readonly string[];
  /** Run at opening; creates what is missing. */
  readonly schema: string;
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

/** A batch leaves as soon as it has so many operations, even while the thread is busy: then it has no pause after that. */
const fullBatch = 32;

interface Pending<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** Who waits for a batch. */
interface Waiting {
  readonly writes: Pending<Outcome>[];
  readonly reads: Pending<readonly Row[]>[];
}

/**
 * The single writer of a database file, on a thread of its own: group commit.
 *
 * All that comes while one transaction runs goes into the next one. A promise resolves after the commit that holds its
 * operation, and operations take effect in the order of the calls. Rejects with `storage_unavailable`; then the
 * operation did not happen.
 */
export class SqliteWriter implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #batch = new BatchBuilder();
  /** Who waits for what did not leave yet, and for what did, oldest first. */
  #waiting: Waiting = { writes: [], reads: [] };
  readonly #left: Waiting[] = [];
  #scheduled = false;
  #ended: RelayError | undefined;
  #idle: (() => void) | undefined;

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.on("message", (replies: BatchReply[]) => this.#finish(replies));
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
      this.#batch.add(statements);
      this.#waiting.writes.push({ resolve, reject });
      if (this.#waiting.writes.length >= fullBatch) this.#leave();
      else this.#schedule();
    });
  }

  /** Reads on the writer's connection: sees everything committed before the call. */
  read(sql: string, ...parameters: SqlValue[]): Promise<readonly Row[]> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(this.#ended);
      this.#batch.addRead([sql, parameters]);
      this.#waiting.reads.push({ resolve, reject });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#left.length > 0 || this.#scheduled) return;
    this.#scheduled = true;
    // After this turn's sockets were read: what came together is committed together.
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#left.length === 0) this.#leave();
    });
  }

  #leave(): void {
    const { writes, reads } = this.#waiting;
    if (writes.length === 0 && reads.length === 0) {
      if (this.#left.length === 0) this.#idle?.();
      return;
    }
    const batch = this.#batch.take();
    this.#left.push(this.#waiting);
    this.#waiting = { writes: [], reads: [] };
    this.#worker.postMessage(batch, [batch.bytes.buffer]);
  }

  #finish(replies: readonly BatchReply[]): void {
    const answered = this.#left.splice(0, replies.length);
    // The next batch leaves before the answers of these are rendered: the disk works meanwhile.
    if (this.#left.length === 0) this.#leave();
    for (const [at, { results, rows }] of replies.entries()) {
      const { writes, reads } = answered[at]!;
      for (const [n, result] of results.entries()) {
        if (typeof result !== "string") writes[n]!.resolve(result);
        else writes[n]!.reject(unavailable(new Error(result)));
      }
      for (const [n, found] of rows.entries()) {
        if (typeof found !== "string") reads[n]!.resolve(found);
        else reads[n]!.reject(unavailable(new Error(found)));
      }
    }
  }

  #end(cause: unknown): void {
    this.#ended ??= unavailable(cause);
    for (const { writes, reads } of [...this.#left.splice(0), this.#waiting]) {
      for (const pending of [...writes, ...reads]) pending.reject(this.#ended);
    }
    this.#waiting = { writes: [], reads: [] };
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
