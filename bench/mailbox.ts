/**
 * The mailbox mode as its store grows, beside what SQLite can do on this machine at all:
 *
 *     node bench/mailbox.ts                       10,000, 100,000 and 1,000,000 messages of 1 KiB, several minutes
 *     node bench/mailbox.ts --quick               up to 100,000, shorter rounds
 *     node bench/mailbox.ts --sizes 10000,50000
 *
 * Everything is durable: an answer comes after its commit. The limits are group commits of `node:sqlite` alone, on this
 * thread, as many inserts a commit as requests are in flight: into a bare table, and into one with the same columns and
 * an index by mailbox that already holds as many messages, which whoever wants to find a mailbox again needs.
 *
 * Sends into the store and both limits take turns, and of each the median turn is told: a disk that is slow for a second
 * is slow for all of them.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { parseArgs } from "node:util";
import { systemEntropy } from "#core/clock.ts";
import { openSqliteMailboxStore } from "#store/sqlite/mailbox-store.ts";
import { durablePragmas } from "#store/sqlite/writer.ts";
import { startPostern } from "#tests/support/postern.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import { bucketOf, pad } from "#wire/mailbox/padding.ts";
import { encapsulateRequest } from "#wire/ohttp/client.ts";
import { decodeKeyConfig } from "#wire/ohttp/key-config.ts";
import { KeepAlive } from "./keep-alive.ts";
import { machine } from "./report.ts";

const { values: options } = parseArgs({
  options: { quick: { type: "boolean", default: false }, sizes: { type: "string" } },
});
const sizes = (options.sizes ?? (options.quick ? "10000,100000" : "10000,100000,1000000"))
  .split(",")
  .map(Number);
const perPhase = options.quick ? 4000 : 20_000;
const turnsCounted = 9;
const perTurn = options.quick ? 3200 : 6400;
const inFlight = 64;
const messagesPerMailbox = 10;
const data = randomBytes(1024);
const ciphertext = data.toString("base64");

const limits = {
  maxBlobsPerMailbox: 1000,
  maxBytesPerMailbox: 50_000_000,
  maxStorageBytes: 2 ** 40,
  blobTtlMs: 120 * 86_400_000,
};

interface Row {
  readonly what: string;
  readonly stored: number;
  readonly perSecond: number;
}
const rows: Row[] = [];

function report(what: string, stored: number, perSecond: number): void {
  rows.push({ what, stored, perSecond });
  process.stderr.write(`${what}, ${stored} stored: ${Math.round(perSecond)}/s\n`);
}

/** Runs `count` calls, `width` at once, and resolves to calls a second. */
async function rate(count: number, width: number, call: (n: number) => Promise<unknown>): Promise<number> {
  let next = 0;
  const begin = performance.now();
  const lanes = Array.from({ length: width }, async () => {
    for (let n = next++; n < count; n = next++) await call(n);
  });
  await Promise.all(lanes);
  return count / ((performance.now() - begin) / 1000);
}

/** SQLite alone: a table and one statement that inserts into it. */
class RawTable {
  readonly #database: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #values: () => (Uint8Array | string | number)[];

  constructor(path: string, table: string, insert: string, values: () => (Uint8Array | string | number)[]) {
    this.#database = new DatabaseSync(path);
    for (const pragma of [...durablePragmas, "cache_size=-65536", "wal_autocheckpoint=16000"]) {
      this.#database.exec(`PRAGMA ${pragma}`);
    }
    this.#database.exec(table);
    this.#insert = this.#database.prepare(insert);
    this.#values = values;
  }

  /** Inserts so many rows, `width` a commit, and returns rows a second. */
  rate(rows: number, width: number): number {
    const begin = performance.now();
    for (let n = 0; n < rows; n += width) {
      this.#database.exec("BEGIN");
      for (let one = 0; one < width; one++) this.#insert.run(...this.#values());
      this.#database.exec("COMMIT");
    }
    return rows / ((performance.now() - begin) / 1000);
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;

/** A thing over all mailboxes that a size has, in an order that no cache foresees. */
const pick = <T>(of: readonly T[], n: number): T => of[(n * 7919) % of.length]!;

const jsonRequest = (path: string, value: object) => {
  const body = JSON.stringify(value);
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
};

/** Requests a second over keep-alive connections, one at a time on each. */
async function httpRate(port: number, requests: readonly Buffer[]): Promise<number> {
  const connections = await Promise.all(Array.from({ length: inFlight }, () => KeepAlive.open(port)));
  const idle = [...connections];
  const perSecond = await rate(requests.length, inFlight, (n) => {
    const connection = idle.pop()!;
    return new Promise<void>((resolve, reject) => {
      connection.onAnswer = (status) => {
        idle.push(connection);
        if (status === 200) resolve();
        else reject(new Error(`answer ${status} under load`));
      };
      connection.send(requests[n]!);
    });
  });
  for (const connection of connections) connection.close();
  return perSecond;
}

/** A store with so many messages, and how to find each of them again. */
interface Filled {
  readonly size: number;
  readonly mailboxes: readonly string[];
  readonly path: string;
  /** The n-th message. */
  message(n: number): { readonly mailbox: string; readonly id: string };
}

const openStore = (path: string) =>
  openSqliteMailboxStore({ path, findById: false, recentMax: 65_536 }, limits);
const randomMailboxes = (count: number) =>
  Array.from({ length: count }, () => randomBytes(32).toString("hex"));
/** Ids that can be told again: a million kept in memory would be the collector's work while others are measured. */
const idOf = (n: number) => `00000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}`;

async function fill(path: string, size: number): Promise<Filled> {
  const mailboxes = randomMailboxes(Math.max(1, size / messagesPerMailbox));
  const message = (n: number) => ({ mailbox: mailboxes[n % mailboxes.length]!, id: idOf(n) });
  await using store = await openStore(path);
  await rate(size, 1024, async (n) => {
    const { mailbox, id } = message(n);
    await store.put(mailbox, id, data, Date.now());
  });
  return { size, mailboxes, path, message };
}

async function measureFetchAndAck({ size, mailboxes, path, message }: Filled): Promise<void> {
  await using store = await openStore(path);
  const fetch = async (n: number) => {
    const heads = store.list([pick(mailboxes, n)], 0, 600, Date.now());
    store.read(heads.map(({ position }) => position));
  };
  report("store: fetch of 10 messages", size, await rate(perPhase, inFlight, fetch));
  const ack = (n: number) => {
    const { mailbox, id } = message(n);
    return store.remove(mailbox, id, Date.now());
  };
  report("store: ack", size, await rate(Math.min(perPhase, size / 4), inFlight, ack));
}

/** Sends into the store and both limits, in turns. */
async function measureSend(
  { size, path }: Filled,
  folder: ReturnType<typeof temporaryFolder>,
): Promise<void> {
  using bare = new RawTable(
    folder.file("bare.db"),
    "CREATE TABLE bare (id INTEGER PRIMARY KEY, data BLOB) STRICT",
    "INSERT INTO bare (data) VALUES (?)",
    () => [data],
  );
  const names = Array.from({ length: Math.max(1, size / messagesPerMailbox) }, () => randomBytes(32));
  let position = 0;
  using indexed = new RawTable(
    folder.file("indexed.db"),
    `CREATE TABLE blob (position INTEGER PRIMARY KEY, mailbox BLOB, blob_id TEXT, created_at INTEGER, size INTEGER, data BLOB) STRICT;
     CREATE INDEX blob_of_mailbox ON blob (mailbox)`,
    "INSERT INTO blob VALUES (?, ?, ?, ?, ?, ?)",
    () => [++position, pick(names, position), randomUUID(), 1_700_000_000, data.length, data],
  );
  indexed.rate(size, 4096);
  await using store = await openStore(path);
  const mailboxes = randomMailboxes(names.length);
  let sent = 0;
  const send = () => store.put(pick(mailboxes, sent++), randomUUID(), data, Date.now());
  const contestants: [what: string, turn: () => number | Promise<number>, took: number[]][] = [
    ["limit: bare inserts", () => bare.rate(perTurn, inFlight), []],
    ["limit: same columns and index", () => indexed.rate(perTurn, inFlight), []],
    ["store: send", () => rate(perTurn, inFlight, send), []],
  ];
  // The first turns warm up. In alternating order, so that nobody always comes after whoever loads the disk most.
  for (let turn = -2; turn < turnsCounted; turn++) {
    for (const [, run, took] of turn % 2 ? contestants : contestants.toReversed()) {
      const perSecond = await run();
      if (turn >= 0) took.push(perSecond);
    }
  }
  for (const [what, , took] of contestants) report(what, size, median(took));
}

async function measureHttp(
  { size, mailboxes, message }: Filled,
  folder: ReturnType<typeof temporaryFolder>,
): Promise<void> {
  await using postern = await startPostern([
    ...["--persist-db", folder.file("postern.db"), "--max-storage", "1024GiB"],
    ...["--mailbox-rate-limit", "1000000", "--exchange-guess-limit", "1000000"],
  ]);
  const port = Number(new URL(postern.url).port);
  const count = Math.min(perPhase, size / 4);
  const measure = async (what: string, request: (n: number) => Buffer) => {
    const requests = Array.from({ length: count }, (_, n) => request(n));
    report(what, size, await httpRate(port, requests));
  };
  await measure("http: fetch of 10 messages", (n) =>
    jsonRequest("/v2/fetch", { mailbox_tokens: [pick(mailboxes, n)] }),
  );
  await measure("http: fetch of nothing", () =>
    jsonRequest("/v2/fetch", { mailbox_tokens: [randomBytes(32).toString("hex")] }),
  );
  const send = (n: number) => ({ recipient_id: pick(mailboxes, n), ciphertext });
  await measure("http: send", (n) => jsonRequest("/v2/send", send(n)));
  await measure("http: ack", (n) => {
    const { mailbox, id } = message(size - 1 - n);
    return jsonRequest("/v2/ack", { recipient_id: mailbox, blob_id: id });
  });

  const key = new Uint8Array(await (await globalThis.fetch(`${postern.url}/v2/ohttp-key`)).arrayBuffer());
  const config = decodeKeyConfig(key);
  const capsules: Buffer[] = [];
  for (let n = 0; n < Math.min(count, 5000); n++) {
    const json = new TextEncoder().encode(JSON.stringify({ version: 2, action: "send", ...send(n) }));
    const { capsule } = await encapsulateRequest(config, pad(json, bucketOf(json.length), systemEntropy));
    const head = `POST /v2/ohttp HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: message/ohttp-req\r\ncontent-length: ${capsule.length}\r\n\r\n`;
    capsules.push(Buffer.concat([Buffer.from(head), capsule]));
  }
  report("http: send through OHTTP", size, await httpRate(port, capsules));
}

{
  // Whoever comes first is not to pay for the compiler.
  using folder = temporaryFolder();
  await fill(folder.file("warm-up.db"), 50_000);
}
for (const size of sizes) {
  using folder = temporaryFolder();
  const filled = await fill(folder.file("mailbox.db"), size);
  await measureFetchAndAck(filled);
  await measureHttp(filled, folder);
  await measureSend(filled, folder);
}

const whats = [...new Set(rows.map(({ what }) => what))];
const cell = (what: string, size: number) =>
  Math.round(rows.find((row) => row.what === what && row.stored === size)!.perSecond).toLocaleString("en");
const lines = whats.map((what) => `| ${what} | ${sizes.map((size) => cell(what, size)).join(" | ")} |`);
process.stdout.write(`${machine()}

Calls a second, 1 KiB each, ${inFlight} in flight, ${messagesPerMailbox} messages a mailbox.

| messages stored | ${sizes.map((size) => size.toLocaleString("en")).join(" | ")} |
|---|${sizes.map(() => "---:").join("|")}|
${lines.join("\n")}
`);
