import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  openSync,
  readFileSync,
  renameSync,
  truncateSync,
  writeSync,
} from "node:fs";
import type { Cancel, Clock } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";

/** Half of an ephemeral key is enough to tell it from any other that somebody does not know. */
const markBytes = 16;
/** How long the system may keep marks to itself: what a power cut, and nothing less, may make us forget. */
const syncWithinMs = 1000;

/** Which capsules were opened. */
export interface SpentCapsules {
  /** Remembers one by its ephemeral key. False if it was remembered already. Throws `storage_unavailable`. */
  spend(enc: Uint8Array): boolean;
}

/**
 * Remembers the newest `least`, and up to twice as many: two generations, of which the older goes as a whole. (Dropping
 * the oldest one by one gets slow: a `Set` skips all that was deleted from its beginning to find it.)
 */
export class SpentCapsulesInMemory implements SpentCapsules {
  readonly #least: number;
  #young = new Set<string>();
  #old: ReadonlySet<string> = new Set();

  constructor(least: number) {
    this.#least = least;
  }

  /** The next one begins a generation. */
  get isFull(): boolean {
    return this.#young.size >= this.#least;
  }

  spend(enc: Uint8Array): boolean {
    const mark = String.fromCharCode(...enc.subarray(0, markBytes));
    if (this.#young.has(mark) || this.#old.has(mark)) return false;
    if (this.isFull) {
      this.#old = this.#young;
      this.#young = new Set();
    }
    this.#young.add(mark);
    return true;
  }
}

/**
 * The same in two files, so that no capsule is served again after a restart. Each mark is given to the system before its
 * capsule is served, which costs microseconds and survives the end of the process however it comes; the disk has it
 * within a second (`docs/decisions/0014-ohttp-keys-and-capsules.md`).
 */
export class SpentCapsulesOnDisk implements SpentCapsules, Disposable {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #report: (error: unknown) => void;
  readonly #remembered: SpentCapsulesInMemory;
  #file: number;
  #cancelSync: Cancel | undefined;

  /** The older generation is in the file with `.old` behind its name. Throws the system's error where they cannot be used. */
  constructor(path: string, least: number, clock: Clock, report: (error: unknown) => void) {
    this.#path = path;
    this.#clock = clock;
    this.#report = report;
    this.#remembered = new SpentCapsulesInMemory(least);
    for (const known of [marksIn(`${path}.old`), marksIn(path)]) {
      for (let at = 0; at < known.byteLength; at += markBytes) this.#remembered.spend(known.subarray(at));
    }
    this.#file = openSync(path, "a", 0o600);
  }

  spend(enc: Uint8Array): boolean {
    const beginsGeneration = this.#remembered.isFull;
    if (!this.#remembered.spend(enc)) return false;
    try {
      if (beginsGeneration) this.#beginFile();
      writeSync(this.#file, enc, 0, markBytes);
    } catch (cause) {
      // A relay that cannot remember must not serve.
      throw new RelayError("storage_unavailable", { cause, retryAfterSeconds: 5 });
    }
    this.#cancelSync ??= this.#clock.after(syncWithinMs, () => this.#sync());
    return true;
  }

  [Symbol.dispose](): void {
    this.#cancelSync?.();
    fdatasyncSync(this.#file);
    closeSync(this.#file);
  }

  #beginFile(): void {
    renameSync(this.#path, `${this.#path}.old`);
    const full = this.#file;
    this.#file = openSync(this.#path, "a", 0o600);
    closeSync(full);
  }

  #sync(): void {
    this.#cancelSync = undefined;
    const file = this.#file;
    fdatasync(file, (error) => {
      // One that became old meanwhile is closed.
      if (error && file === this.#file) this.#report(error);
    });
  }
}

/** Whole marks: one that was cut short belongs to a capsule that was not served, and is cut off. */
function marksIn(path: string): Buffer {
  let marks: Buffer;
  try {
    marks = readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return Buffer.alloc(0);
    throw error;
  }
  const whole = marks.byteLength - (marks.byteLength % markBytes);
  if (whole < marks.byteLength) truncateSync(path, whole);
  return marks.subarray(0, whole);
}
