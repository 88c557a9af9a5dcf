import type { Instant } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import type { SpentTokenLimits, SpentTokenStore } from "#store/contract/spent-token-store.ts";
import { durablePragmas, SqliteWriter } from "./writer.ts";

const schema = `
  CREATE TABLE IF NOT EXISTS spent_token (
    nonce BLOB PRIMARY KEY NOT NULL,
    expires_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS spent_token_expiry ON spent_token (expires_at);
`;
/** One statement, so that of two spends of a nonce only one changes a row. */
const insert = "INSERT INTO spent_token VALUES (?, ?) ON CONFLICT DO NOTHING";
const forget = "DELETE FROM spent_token WHERE expires_at <= ?";

/** Keeps nonces in a database file; a spend resolves after its commit. The file may hold other tables. */
export async function openSqliteSpentTokenStore(
  path: string,
  limits: SpentTokenLimits,
): Promise<SpentTokenStore> {
  const writer = await SqliteWriter.open({ path, pragmas: durablePragmas, schema });
  const [row] = await writer.read("SELECT count(*) AS held FROM spent_token");
  return new SqliteSpentTokenStore(writer, limits, Number(row!.held));
}

class SqliteSpentTokenStore implements SpentTokenStore {
  readonly #writer: SqliteWriter;
  readonly #limits: SpentTokenLimits;
  /** Rows of the table, and those asked for that are not committed yet. */
  #size: number;
  #sweptUntil: Instant = Number.NEGATIVE_INFINITY;

  constructor(writer: SqliteWriter, limits: SpentTokenLimits, size: number) {
    this.#writer = writer;
    this.#limits = limits;
    this.#size = size;
  }

  get size(): number {
    return this.#size;
  }

  async spend(nonce: Uint8Array, expiresAt: Instant, now: Instant): Promise<boolean> {
    // Copied now: the write happens after this turn.
    const key = nonce.slice();
    if (this.#size >= this.#limits.maxSpentTokens) {
      if (await this.#isHeld(key, now)) return false;
      if (now > this.#sweptUntil) await this.sweep(now);
      if (this.#size >= this.#limits.maxSpentTokens)
        throw new RelayError("at_capacity", { retryAfterSeconds: 60 });
    }
    this.#size++;
    let changed = 0;
    try {
      // A nonce past its end may be swept or not; for the caller it is gone.
      const drop = ["DELETE FROM spent_token WHERE nonce = ? AND expires_at <= ?", [key, now]] as const;
      changed = await this.#writer.write(drop, [insert, [key, expiresAt]]);
    } finally {
      if (changed !== 1) this.#size--;
    }
    return changed > 0;
  }

  async sweep(now: Instant): Promise<number> {
    const gone = await this.#writer.write([forget, [now]]);
    this.#sweptUntil = now;
    this.#size -= gone;
    return gone;
  }

  async #isHeld(key: Uint8Array, now: Instant): Promise<boolean> {
    const rows = await this.#writer.read(
      "SELECT 1 FROM spent_token WHERE nonce = ? AND expires_at > ?",
      key,
      now,
    );
    return rows.length > 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer[Symbol.asyncDispose]();
  }
}
