import type { Clock, Instant } from "#core/clock.ts";
import type {
  AckOutcome,
  Entry,
  Message,
  PutOutcome,
  RendezvousLimits,
  RendezvousStore,
} from "#store/contract/rendezvous-store.ts";
import { type ChangeLog, RendezvousState } from "#store/memory/rendezvous-state.ts";
import type { Row, Sql } from "./batch.ts";
import { durablePragmas, SqliteWriter } from "./writer.ts";

const schema = `
  CREATE TABLE IF NOT EXISTS rendezvous (
    id TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    body BLOB,
    content_type TEXT,
    acked INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
`;
const upsert = "INSERT OR REPLACE INTO rendezvous VALUES (?, ?, ?, ?, 0, ?)";
const acknowledge = "UPDATE rendezvous SET acked = 1, body = NULL WHERE id = ?";
const remove = "DELETE FROM rendezvous WHERE id = ?";

/**
 * Keeps everything on disk, and all that is live in memory too: reads touch no file, and who is refused is decided
 * before anything is written. A change is answered after its commit; until then readers of that id wait for it.
 */
export async function openSqliteRendezvousStore(
  path: string,
  limits: RendezvousLimits,
  clock: Clock,
): Promise<RendezvousStore> {
  const writer = await SqliteWriter.open({ path, pragmas: durablePragmas, schema });
  const store = new SqliteRendezvousStore(writer, limits, clock);
  await store.load();
  return store;
}

class SqliteRendezvousStore implements RendezvousStore {
  readonly #writer: SqliteWriter;
  readonly #limits: RendezvousLimits;
  readonly #clock: Clock;
  /** Includes what is not committed yet; `#dirty` knows what that is. */
  #state: RendezvousState;
  #changes: Sql[] = [];
  /** Ids whose newest change is not committed yet, and when it will be. */
  readonly #dirty = new Map<string, Promise<unknown>>();
  /** The memory ran ahead of a commit that failed: nothing is served before it was read from the file again. */
  #stale = false;
  #reloading: Promise<void> | undefined;

  constructor(writer: SqliteWriter, limits: RendezvousLimits, clock: Clock) {
    this.#writer = writer;
    this.#limits = limits;
    this.#clock = clock;
    this.#state = new RendezvousState(limits);
  }

  /** Makes the memory what the file is. */
  async load(): Promise<void> {
    const now = this.#clock.now();
    await this.#writer.write(["DELETE FROM rendezvous WHERE expires_at <= ?", [now]]);
    const rows = await this.#writer.read("SELECT * FROM rendezvous ORDER BY version");
    const log: ChangeLog = {
      put: (entry) =>
        this.#changes.push([
          upsert,
          [entry.id, entry.version, entry.body ?? null, entry.contentType ?? null, entry.expiresAt],
        ]),
      ack: (entry) => this.#changes.push([acknowledge, [entry.id]]),
      drop: (id) => this.#changes.push([remove, [id]]),
    };
    const state = new RendezvousState(this.#limits, log);
    state.restore(rows.map(entryOf));
    this.#state = state;
    this.#stale = false;
  }

  get(id: string, now: Instant): Entry | undefined | Promise<Entry | undefined> {
    if (this.#stale) return this.#fresh().then(() => this.get(id, now));
    const entry = this.#state.get(id, now);
    const dirty = this.#dirty.get(id);
    // What was true at the call, once it is on disk; if it never gets there, what is true then.
    return dirty
      ? dirty.then(
          () => entry,
          () => this.get(id, now),
        )
      : entry;
  }

  put(id: string, message: Message, source: string | undefined, now: Instant): Promise<PutOutcome> {
    return this.#change(id, () => this.#state.put(id, message, source, now));
  }

  ack(id: string, version: number | undefined, now: Instant): Promise<AckOutcome> {
    return this.#change(id, () => this.#state.ack(id, version, now));
  }

  async sweep(now: Instant): Promise<number> {
    await this.#fresh();
    const dropped = this.#state.sweep(now);
    const changes = this.#take();
    if (changes.length > 0) await this.#commit(changes);
    return dropped;
  }

  usage() {
    return this.#state.usage();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer[Symbol.asyncDispose]();
  }

  /** Decides at once, so that calls take effect in their order; resolves when what it was decided on is on disk. */
  #change<T>(id: string, decide: () => T): Promise<T> {
    if (this.#stale) return this.#fresh().then(() => this.#change(id, decide));
    const outcome = decide();
    const changes = this.#take();
    // With nothing of its own to write, it may still rest on what is on its way.
    if (changes.length === 0) return Promise.resolve(this.#dirty.get(id)).then(() => outcome);
    const committed = this.#commit(changes).finally(() => {
      if (this.#dirty.get(id) === committed) this.#dirty.delete(id);
    });
    this.#dirty.set(id, committed);
    return committed.then(() => outcome);
  }

  #take(): Sql[] {
    const changes = this.#changes;
    this.#changes = [];
    return changes;
  }

  async #commit(changes: Sql[]): Promise<void> {
    try {
      await this.#writer.write(...changes);
    } catch (error) {
      this.#stale = true;
      throw error;
    }
  }

  /** Resolves when the memory is what the file will be. Rejects with `storage_unavailable` while that cannot be. */
  async #fresh(): Promise<void> {
    while (this.#stale) {
      this.#reloading ??= this.load().finally(() => {
        this.#reloading = undefined;
      });
      await this.#reloading;
    }
  }
}

function entryOf(row: Row): Entry {
  return {
    id: row.id as string,
    version: Number(row.version),
    body: row.body === null ? undefined : (row.body as Uint8Array),
    contentType: row.content_type === null ? undefined : (row.content_type as string),
    acked: row.acked === 1,
    expiresAt: Number(row.expires_at),
  };
}
