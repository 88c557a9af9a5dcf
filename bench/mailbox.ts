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
 */
import { randomBytes, randomUUID } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { parseArgs } from "node:util";
import { systemEntropy } from "#core/clock.ts";
import type { MailboxStore } from "#store/contract/mailbox-store.ts";
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

/** Inserts a second of SQLite alone, `inFlight` a commit, where `stored` rows are already. */
function rawLimit(
  path: string,
  stored: number,
  table: string,
  insert: string,
  values: () => (Uint8Array | string | number)[],
): number {
  const database = new DatabaseSync(path);
  for (const pragma of [...durablePragmas, "cache_size=-65536", "wal_autocheckpoint=16000"]) {
    database.exec(`PRAGMA ${pragma}`);
  }
  database.exec(table);
  const statement = database.prepare(insert);
  const commits = (rows: number, width: number) => {
    for (let n = 0; n < rows; n += width) {
      database.exec("BEGIN");
      for (let one = 0; one < width; one++) statement.run(...values());
      database.exec("COMMIT");
    }
  };
  commits(stored, 4096);
  const begin = performance.now();
  commits(perPhase, inFlight);
  const perSecond = perPhase / ((performance.now() - begin) / 1000);
  database.close();
  return perSecond;
}

/** A thing over all mailboxes that a size has, in an order that no cache foresees. */
const pick = <T>(of: readonly T[], n: number): T => of[(n * 7919) % of.length]!;

async function fill(
  store: MailboxStore,
  mailboxes: readonly string[],
  from: number,
  to: number,
): Promise<string[]> {
  const ids: string[] = [];
  await rate(to - from, 1024, async (n) => {
    const id = randomUUID();
    ids[from + n] = id;
    await store.put(mailboxes[(from + n) % mailboxes.length]!, id, data, Date.now());
  });
  return ids;
}

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

for (const size of sizes) {
  using folder = temporaryFolder();
  report(
    "limit: bare inserts",
    size,
    rawLimit(
      folder.file("bare.db"),
      0,
      "CREATE TABLE bare (id INTEGER PRIMARY KEY, data BLOB) STRICT",
      "INSERT INTO bare (data) VALUES (?)",
      () => [data],
    ),
  );
  const names = Array.from({ length: Math.max(1, size / messagesPerMailbox) }, () => randomBytes(32));
  let position = 0;
  report(
    "limit: same columns and index",
    size,
    rawLimit(
      folder.file("indexed.db"),
      size,
      `CREATE TABLE blob (position INTEGER PRIMARY KEY, mailbox BLOB, blob_id TEXT, created_at INTEGER, size INTEGER, data BLOB) STRICT;
       CREATE INDEX blob_of_mailbox ON blob (mailbox)`,
      "INSERT INTO blob VALUES (?, ?, ?, ?, ?, ?)",
      () => [++position, pick(names, position), randomUUID(), 1_700_000_000, data.length, data],
    ),
  );

  const mailboxes = names.map((name) => name.toString("hex"));
  const path = folder.file("mailbox.db");
  let ids: string[];
  {
    await using store = await openSqliteMailboxStore({ path, findById: false, recentMax: 65_536 }, limits);
    ids = await fill(store, mailboxes, 0, size);
    const put = (n: number) => store.put(pick(mailboxes, n), randomUUID(), data, Date.now());
    report("store: send", size, await rate(perPhase, inFlight, put));
    report(
      "store: fetch",
      size,
      await rate(perPhase, inFlight, async (n) => {
        const heads = store.list([pick(mailboxes, n)], 0, 600, Date.now());
        store.read(heads.map(({ position }) => position));
      }),
    );
    const acks = Math.min(perPhase, size / 4);
    const ack = (n: number) => store.remove(mailboxes[n % mailboxes.length]!, ids[n]!, Date.now());
    report("store: ack", size, await rate(acks, inFlight, ack));
  }

  await using postern = await startPostern([
    ...["--persist-db", folder.file("postern.db"), "--max-storage", "1024GiB"],
    ...["--mailbox-rate-limit", "1000000", "--exchange-guess-limit", "1000000"],
  ]);
  const port = Number(new URL(postern.url).port);
  const http = Math.min(perPhase, size / 4);
  const requests = (make: (n: number) => Buffer) => Array.from({ length: http }, (_, n) => make(n));
  const send = (n: number) => ({ recipient_id: pick(mailboxes, n), ciphertext });
  report(
    "http: send",
    size,
    await httpRate(
      port,
      requests((n) => jsonRequest("/v2/send", send(n))),
    ),
  );
  const fetch = (n: number) => jsonRequest("/v2/fetch", { mailbox_tokens: [pick(mailboxes, n)] });
  report("http: fetch of 10 messages", size, await httpRate(port, requests(fetch)));
  const miss = () => jsonRequest("/v2/fetch", { mailbox_tokens: [randomBytes(32).toString("hex")] });
  report("http: fetch of nothing", size, await httpRate(port, requests(miss)));
  const last = (n: number) => size - 1 - n;
  const ack = (n: number) => ({ recipient_id: mailboxes[last(n) % mailboxes.length], blob_id: ids[last(n)] });
  report(
    "http: ack",
    size,
    await httpRate(
      port,
      requests((n) => jsonRequest("/v2/ack", ack(n))),
    ),
  );

  const key = new Uint8Array(await (await globalThis.fetch(`${postern.url}/v2/ohttp-key`)).arrayBuffer());
  const config = decodeKeyConfig(key);
  const capsules: Buffer[] = [];
  for (let n = 0; n < Math.min(http, 2000); n++) {
    const json = new TextEncoder().encode(JSON.stringify({ version: 2, action: "send", ...send(n) }));
    const { capsule } = await encapsulateRequest(config, pad(json, bucketOf(json.length), systemEntropy));
    const head = `POST /v2/ohttp HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: message/ohttp-req\r\ncontent-length: ${capsule.length}\r\n\r\n`;
    capsules.push(Buffer.concat([Buffer.from(head), capsule]));
  }
  report("http: send through OHTTP", size, await httpRate(port, capsules));
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
