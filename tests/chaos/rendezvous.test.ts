/**
 * The daemon is killed with SIGKILL at random instants under load, again and again on the same database.
 *
 * `CHAOS_CYCLES` sets how often (default 50), `CHAOS_SEED` repeats the choices of a run (the instants differ).
 */
import assert from "node:assert/strict";
import { copyFileSync, existsSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { setTimeout as elapse } from "node:timers/promises";
import { launchRelay, type Relay } from "#tests/conformance/launch.ts";
import { Connection, encodeRequest } from "#tests/conformance/raw-http.ts";
import { dice } from "#tests/support/dice.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import { Ledger, type State } from "./ledger.ts";
import { loadUntilDeath } from "./load-lane.ts";

const cycles = Number(process.env.CHAOS_CYCLES ?? 50);
const seed = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000_007);
const laneCount = 16;
/** Of the ids that a cycle left alone, so many are looked at again after it. */
const spotChecks = 50;

test(`what was answered survives ${cycles} kills`, { timeout: cycles * 20_000 }, async (t: TestContext) => {
  t.diagnostic(`CHAOS_SEED=${seed}`);
  using folder = temporaryFolder();
  const database = folder.file("relay.db");
  const random = dice(seed);
  const ledger = new Ledger();
  const lanes = Array.from({ length: laneCount }, (_, at) => ({
    ids: [] as string[],
    random: dice(seed + at),
  }));
  let answers = 0;
  let ids = 0;

  for (let cycle = 0; cycle < cycles; cycle++) {
    await using relay = await launchRelay({ persistDb: database, maxEntries: 1_000_000 });
    const known = ledger.ids;
    const again =
      cycle === 0 ? [] : Array.from({ length: spotChecks }, () => known[random.below(known.length)]!);
    await reconcile(relay, ledger, new Set([...touched(lanes), ...again]));
    for (const lane of lanes) lane.ids = lane.ids.slice(-4);

    const killAfter = random.below(400);
    const killDelayMs = random.below(5);
    const due = Promise.withResolvers<void>();
    let answersNow = 0;
    const onAnswer = () => {
      answers++;
      if (answersNow++ === killAfter) due.resolve();
    };
    const newId = () => `chaos-${ids++}`;
    const loads = lanes.map((lane) => loadUntilDeath({ relay, ledger, ...lane, newId, onAnswer }));
    // A lane that meets a wrong answer ends before the kill, and the test with it.
    await Promise.race([due.promise, Promise.all(loads)]);
    // Answers come in groups, right after a commit: the delay lets the kill also hit what comes between.
    await elapse(killDelayMs);
    relay.kill("SIGKILL");
    await Promise.all(loads);
    await relay.exited;
    assertSound(database, folder.file("copy.db"));
  }

  await using relay = await launchRelay({ persistDb: database, maxEntries: 1_000_000 });
  await reconcile(relay, ledger, new Set(ledger.ids));
  relay.kill("SIGTERM");
  await relay.exited;
  assertSound(database, folder.file("copy.db"));
  t.diagnostic(`${answers} answers kept over ${cycles} kills, ${ledger.ids.length} ids`);
  assert.ok(answers > cycles * 10, "the load hardly got anything answered: this run proves nothing");
});

function touched(lanes: readonly { readonly ids: readonly string[] }[]): string[] {
  return lanes.flatMap(({ ids }) => ids);
}

/** Asks the restarted relay for every id and settles the ledger with what it says. */
async function reconcile(relay: Relay, ledger: Ledger, ids: ReadonlySet<string>): Promise<void> {
  const open = [...ids];
  const reader = async () => {
    using connection = await Connection.open(relay);
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      ledger.reconcile(id, await stateOf(connection, id));
    }
  };
  await Promise.all(Array.from({ length: 8 }, reader));
}

async function stateOf(connection: Connection, id: string): Promise<State> {
  const ask = (target: string) => {
    connection.send(encodeRequest("GET", target));
    return connection.next("GET");
  };
  const ack = await ask(`/inbox/${id}/ack`);
  if (ack.status === 404) return { kind: "absent" };
  assert.equal(ack.status, 200);
  if (ack.text === "true") return { kind: "acked" };
  const message = await ask(`/inbox/${id}`);
  assert.equal(message.status, 200);
  return { kind: "unread", body: message.text, contentType: message.header("content-type") ?? "" };
}

/** Checks a copy of the database as the kill left it: opening the original here would repair it for the relay. */
function assertSound(database: string, copy: string): void {
  for (const part of ["", "-wal"]) {
    // A database without a log must not find the log of the last copy.
    rmSync(copy + part, { force: true });
    if (existsSync(database + part)) copyFileSync(database + part, copy + part);
  }
  const opened = new DatabaseSync(copy);
  try {
    assert.deepEqual({ ...opened.prepare("PRAGMA integrity_check").get() }, { integrity_check: "ok" });
  } finally {
    opened.close();
  }
}
