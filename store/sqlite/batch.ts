import { joinBytes } from "#core/bytes.ts";

export type SqlValue = string | number | bigint | null | Uint8Array;
export type Row = Record<string, SqlValue>;
/** A statement and what is bound to its `?`s. */
export type Sql = readonly [sql: string, parameters: readonly SqlValue[]];
/** A statement by its number and what is bound to it. */
export type BoundStatement = readonly [statement: number, parameters: readonly SqlValue[]];

/** What an operation did that returns rows: those, and how many rows its other statements changed. */
export interface Returned {
  readonly changes: number;
  readonly rows: readonly Row[];
}

/** What an operation did: the number of rows it changed, unless it has a statement that returns rows. */
export type Outcome = number | Returned;

/** One outcome for each operation and read of a batch, or the reason it failed. */
export interface BatchReply {
  readonly results: readonly (Outcome | string)[];
  readonly rows: readonly (readonly Row[] | string)[];
}

/**
 * Operations on their way to the writer's thread, flat: cloning an array for each operation, and a view for each of its
 * byte strings, costs more than inserting them.
 */
export interface Batch {
  /** Statements that were in no batch before; they are numbered in the order in which they come, from 0 on. */
  readonly statements: readonly string[];
  /**
   * For each operation how many statements it has, and for each of those its number, how many values it is bound to and
   * those values. A byte string is `undefined` here.
   */
  readonly flat: readonly (Exclude<SqlValue, Uint8Array> | undefined)[];
  /** The byte strings one after the other, to be handed over, and the length of each. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly lengths: readonly number[];
  readonly reads: readonly BoundStatement[];
}

/** Makes batches for one thread, which has to get all of them, in order. */
export class BatchBuilder {
  readonly #numbers = new Map<string, number>();
  #statements: string[] = [];
  #flat: Batch["flat"][number][] = [];
  #pieces: Uint8Array[] = [];
  #reads: BoundStatement[] = [];

  add(operation: readonly Sql[]): void {
    this.#flat.push(operation.length);
    for (const [sql, parameters] of operation) {
      this.#flat.push(this.#numberOf(sql), parameters.length);
      for (const value of parameters) {
        if (value instanceof Uint8Array) {
          this.#pieces.push(value);
          this.#flat.push(undefined);
        } else this.#flat.push(value);
      }
    }
  }

  addRead([sql, parameters]: Sql): void {
    this.#reads.push([this.#numberOf(sql), parameters]);
  }

  /** What was added since the last call. */
  take(): Batch {
    const lengths = this.#pieces.map(({ byteLength }) => byteLength);
    const batch: Batch = {
      statements: this.#statements,
      flat: this.#flat,
      bytes: joinBytes(this.#pieces),
      lengths,
      reads: this.#reads,
    };
    this.#statements = [];
    this.#flat = [];
    this.#pieces = [];
    this.#reads = [];
    return batch;
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
}

/** The operations of a batch, in order. */
export function operationsOf({ flat, bytes, lengths }: Batch): (readonly BoundStatement[])[] {
  const operations: BoundStatement[][] = [];
  let [at, piece, offset] = [0, 0, 0];
  const next = (): SqlValue => {
    const value = flat[at++];
    if (value !== undefined) return value;
    const begin = offset;
    offset += lengths[piece++]!;
    return bytes.subarray(begin, offset);
  };
  while (at < flat.length) {
    const operation = new Array<BoundStatement>(Number(flat[at++]));
    for (let n = 0; n < operation.length; n++) {
      const number = Number(flat[at++]);
      const parameters = new Array<SqlValue>(Number(flat[at++]));
      for (let p = 0; p < parameters.length; p++) parameters[p] = next();
      operation[n] = [number, parameters];
    }
    operations.push(operation);
  }
  return operations;
}
