/**
 * The daemon is killed with SIGKILL at random instants under mailbox load, again and again on the same database.
 *
 * `CHAOS_CYCLES` sets how often (default 15), `CHAOS_SEED` repeats the choices of a run (the instants differ).
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { ed25519 } from "@noble/curves/ed25519.js";
import { createMailbox, isPosternError, type Mailbox } from "#clients/client/src/mailbox.ts";
import { type Dice, dice } from "#tests/support/dice.ts";
import { startPostern } from "#tests/support/postern.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";

const cycles = Number(process.env.CHAOS_CYCLES ?? 15);
const seed = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000_007);
const laneCount = 12;

const keySeed = new Uint8Array(32).fill(5);
const signer = {
  publicKey: ed25519.getPublicKey(keySeed),
  sign: (message: Uint8Array) => ed25519.sign(message, keySeed),
};

/** One mailbox, one request at a time, and what must be true of it whatever happens to the relay. */
class Lane {
  readonly mailbox: string;
  /** Answered sends that nothing removed: payload by id. */
  readonly present = new Map<string, string>();
  /** Answered acknowledgements and purges. */
  readonly gone = new Set<string>();
  /** Ids whose removal was under way at a kill. */
  readonly maybeGone = new Set<string>();
  /** Payloads whose send was under way at a kill. */
  readonly maybeSent = new Set<string>();
  /** Codes of answered offers that nobody claimed, and their payloads. */
  readonly offers = new Map<string, string>();
  readonly #random: Dice;
  #sent = 0;

  constructor(at: number) {
    this.mailbox = createHash("sha256").update(`lane ${at}`).digest("hex");
    this.#random = dice(seed + at);
  }

  /** Until the relay is gone. */
  async load(relay: Mailbox, onAnswer: () => void): Promise<void> {
    try {
      for (;;) {
        await this.#step(relay);
        onAnswer();
      }
    } catch (error) {
      if (!isPosternError(error, "relay_unreachable")) throw error;
    }
  }

  async #step(relay: Mailbox): Promise<void> {
    const choice = this.#random.below(20);
    const payload = `${this.mailbox.slice(0, 8)} ${this.#sent++} ${"x".repeat(this.#random.below(900))}`;
    const [oldest] = this.present.keys();
    if (choice < 12 || oldest === undefined) {
      this.maybeSent.add(payload);
      const id = await relay.send(this.mailbox, new TextEncoder().encode(payload));
      this.maybeSent.delete(payload);
      this.present.set(id, payload);
    } else if (choice < 18) {
      await this.#remove([oldest], async () => assert.equal(await relay.ack(this.mailbox, oldest), true));
    } else if (choice === 18) {
      const all = [...this.present.keys()];
      // What was in doubt at an earlier kill may be there too.
      await this.#remove(all, async () => assert.ok((await relay.purge(this.mailbox, signer)) >= all.length));
      this.maybeSent.clear();
    } else {
      this.offers.set((await relay.offer(payload, { ttlSeconds: 3600, codeDigits: 10 })).code, payload);
    }
  }

  async #remove(ids: readonly string[], removal: () => Promise<void>): Promise<void> {
    for (const id of ids) {
      this.maybeGone.add(id);
      this.present.delete(id);
    }
    await removal();
    for (const id of ids) {
      this.maybeGone.delete(id);
      this.gone.add(id);
    }
  }

  /** Looks at everything, and settles what was in doubt as it turned out. */
  async reconcile(relay: Mailbox): Promise<void> {
    const found = await everything(relay, this.mailbox);
    for (const [id, payload] of this.present)
      assert.equal(found.get(id), payload, "an answered send is there, whole");
    for (const id of this.gone) assert.ok(!found.has(id), "an answered removal happened");
    for (const [id, payload] of found) {
      if (this.present.has(id)) continue;
      const expected = this.maybeGone.has(id) || this.maybeSent.delete(payload);
      assert.ok(expected, "nothing is there that nobody sent");
      this.present.set(id, payload);
    }
    this.maybeGone.clear();
    this.maybeSent.clear();
    for (const [code, payload] of this.offers) {
      assert.equal(await relay.claim(code, "R"), payload, "an answered offer is there");
      assert.equal(await relay.complete(code), "R");
    }
    this.offers.clear();
  }
}

async function everything(relay: Mailbox, mailbox: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  let cursor: string | undefined;
  do {
    const page = await relay.fetch([mailbox], cursor === undefined ? {} : { cursor });
    for (const { blobId, ciphertext } of page.messages)
      found.set(blobId, new TextDecoder().decode(ciphertext));
    cursor = page.cursor;
  } while (cursor !== undefined);
  return found;
}

test(`mailboxes are as answered after ${cycles} kills`, {
  timeout: cycles * 20_000,
}, async (t: TestContext) => {
  t.diagnostic(`CHAOS_SEED=${seed}`);
  using folder = temporaryFolder();
  const random = dice(seed);
  const lanes = Array.from({ length: laneCount }, (_, at) => new Lane(at));
  const args = [
    ...["--persist-db", folder.file("relay.db")],
    ...["--mailbox-rate-limit", "1000000"],
    ...["--max-mailbox-blobs", "0"],
    // Kills must meet the index on disk being filled, too.
    ...["--mailbox-recent-max", "20"],
  ];
  let answers = 0;
  for (let cycle = 0; cycle <= cycles; cycle++) {
    await using postern = await startPostern(args);
    const relay = createMailbox({ relay: postern.url });
    await Promise.all(lanes.map((lane) => lane.reconcile(relay)));
    if (cycle === cycles) break;
    const killAfter = random.below(300);
    const due = Promise.withResolvers<void>();
    let now = 0;
    const loads = lanes.map((lane) =>
      lane.load(relay, () => {
        answers++;
        if (now++ === killAfter) due.resolve();
      }),
    );
    // A lane that meets a wrong answer ends before the kill, and the test with it.
    await Promise.race([due.promise, Promise.all(loads)]);
    postern.process.kill("SIGKILL");
    await Promise.all(loads);
  }
  const database = new DatabaseSync(folder.file("mailbox.db"));
  assert.equal(database.prepare("PRAGMA integrity_check").get()?.integrity_check, "ok");
  const number = (sql: string) => Number(Object.values(database.prepare(sql).get()!)[0]);
  assert.equal(
    number("SELECT count(*) FROM place LEFT JOIN blob USING (position, mailbox) WHERE blob.position IS NULL"),
    0,
    "the index names nothing that is gone",
  );
  const missing = `SELECT count(*) FROM blob JOIN bucket ON first_byte = substr(mailbox, 1, 1) AND position <= indexed_to
    WHERE NOT EXISTS (SELECT 1 FROM place WHERE place.mailbox = blob.mailbox AND place.position = blob.position)`;
  assert.equal(number(missing), 0, "the index names all it should");
  assert.ok(number("SELECT max(indexed_to) FROM bucket") > 0, "the index was used");
  assert.equal(number("SELECT sum(blobs) FROM bucket"), number("SELECT count(*) FROM place"));
  database.close();
  t.diagnostic(`${answers} answers`);
});
