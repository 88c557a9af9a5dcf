/**
 * The rendezvous mode under load, side by side with the original relay where it is installed:
 *
 *     npm run bench                                  everything, several minutes
 *     npm run bench -- --quick                       shorter rounds, fewer of them
 *     npm run bench -- --only store,get              some of: start, store, round, get, parked
 *     npm run bench -- --json                        figures of every round
 *     RELAY_ORIGINAL=/path/to/http-relay npm run bench
 *
 * Contestants alternate round by round, so that what else the machine does hits both.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import { type Contestant, findOriginal, postern, type Running, start } from "./contestant.ts";
import type { LoadJob, RunResult, WakeResult } from "./load-job.ts";
import { type Figure, machine, table } from "./report.ts";

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    only: { type: "string", default: "start,store,round,get,parked" },
  },
});
const wanted = new Set(options.only.split(","));
const rounds = options.quick ? 3 : 7;
const measureMs = options.quick ? 1500 : 4000;
const warmupMs = options.quick ? 1000 : 2000;
const connections = 64;
const pool = 10_000;
const polls = options.quick ? 5000 : 10_000;
const wakes = options.quick ? 1000 : 3000;

const contestants = [postern, findOriginal()].filter((each) => each !== undefined);
const figures: Figure[] = [];

class LoadGenerator implements Disposable {
  readonly #process: ChildProcess = fork(fileURLToPath(new URL("load.ts", import.meta.url)));
  #answered = Promise.withResolvers<unknown>();

  constructor() {
    this.#process.on("message", (result) => this.#answered.resolve(result));
    this.#process.once("exit", () => this.#answered.reject(new Error("the load generator ended under load")));
    // An end that nobody waits for is no failure.
    this.#answered.promise.catch(() => {});
  }

  /** Carries out one job; one at a time. */
  async ask<Result>(job: LoadJob): Promise<Result> {
    this.#process.send(job);
    const result = await this.#answered.promise;
    this.#answered = Promise.withResolvers();
    this.#answered.promise.catch(() => {});
    return result as Result;
  }

  [Symbol.dispose](): void {
    this.#process.kill("SIGKILL");
  }
}

/** Every contestant once per round, in turn. `measure` gets what one round needs. */
async function alternate(
  count: number,
  measure: (contestant: Contestant) => Promise<Readonly<Record<string, number>>>,
): Promise<Map<string, Record<string, number[]>>> {
  const seen = new Map<string, Record<string, number[]>>();
  for (let round = 0; round < count; round++) {
    // Who goes first changes too.
    const order = round % 2 === 0 ? contestants : contestants.toReversed();
    for (const contestant of order) {
      const values = seen.get(contestant.name) ?? {};
      seen.set(contestant.name, values);
      for (const [name, value] of Object.entries(await measure(contestant))) {
        values[name] ??= [];
        values[name].push(value);
      }
    }
  }
  return seen;
}

function record(
  seen: Map<string, Record<string, number[]>>,
  key: string,
  what: string,
  unit: string,
  better: Figure["better"],
): void {
  const [own, original] = contestants.map(({ name }) => seen.get(name)?.[key]);
  figures.push({ what, unit, better, postern: own!, original });
}

async function startUp(): Promise<void> {
  progress("start-up");
  const seen = await alternate(options.quick ? 3 : 9, async (contestant) => {
    using folder = temporaryFolder();
    await using running = await start(contestant, folder.file("bench.db"));
    return { startMs: running.startMs };
  });
  record(seen, "startMs", "start-up to the first answer, new file", "ms", "lower");
}

/** Runs one kind of load on relays that all stay up meanwhile; the idle one costs nothing. */
async function throughput(kind: "store" | "round" | "get", isDurable: boolean): Promise<void> {
  const where = isDurable ? "durable" : "in memory";
  progress(`${kind}, ${where}`);
  using folder = temporaryFolder();
  using generator = new LoadGenerator();
  await using relays = new AsyncDisposableStack();
  const running = new Map<Contestant, Running>();
  for (const contestant of contestants) {
    const database = isDurable ? folder.file(`${contestant.name}.db`) : undefined;
    const relay = relays.use(await start(contestant, database));
    await generator.ask({ kind: "fill", port: relay.port, pool });
    running.set(contestant, relay);
  }
  const seen = await alternate(rounds, async (contestant) => {
    const relay = running.get(contestant)!;
    // Rounds leave their messages acked: reads need them back.
    if (kind === "get") await generator.ask({ kind: "fill", port: relay.port, pool });
    const cpuBefore = relay.cpuSeconds();
    const job = { kind, port: relay.port, pool, connections, warmupMs, measureMs } as const;
    const beganAt = performance.now();
    const result = await generator.ask<RunResult>(job);
    const cpuShare = (relay.cpuSeconds() - cpuBefore) / ((performance.now() - beganAt) / 1000);
    const perSecond = result.operations / result.seconds;
    return {
      perSecond,
      p99Ms: result.p99Ms,
      cpuMicros: (cpuShare / perSecond) * 1e6,
      generatorShare: result.generatorCpuSeconds / result.seconds,
    };
  });
  const label = { store: "store (POST)", round: "round (POST, GET, DELETE)", get: "GET, message present" }[
    kind
  ];
  record(seen, "perSecond", `${label}, ${where}`, "/s", "higher");
  record(seen, "p99Ms", `${label}, ${where}: p99`, "ms", "lower");
  record(seen, "cpuMicros", `${label}, ${where}: relay's processor time`, "µs", "lower");
  record(seen, "generatorShare", `${label}, ${where}: generator's share of a core`, "", "none");
}

async function parkedPolls(isDurable: boolean): Promise<void> {
  const where = isDurable ? "durable" : "in memory";
  progress(`${polls} parked polls, ${where}`);
  const seen = await alternate(options.quick ? 1 : 3, async (contestant) => {
    using folder = temporaryFolder();
    using generator = new LoadGenerator();
    await using relay = await start(contestant, isDurable ? folder.file("bench.db") : undefined);
    // A relay that has worked a little is the fair base: code is compiled, buffers are there.
    await generator.ask({ kind: "fill", port: relay.port, pool: 1000 });
    await generator.ask({ kind: "park", port: relay.port, polls: 500 });
    await generator.ask({ kind: "release" });
    const before = relay.residentBytes();
    await generator.ask({ kind: "park", port: relay.port, polls });
    const bytesPerPoll = (relay.residentBytes() - before) / polls;
    const woken = await generator.ask<WakeResult>({ kind: "wake", port: relay.port, wakes });
    await generator.ask({ kind: "release" });
    return { ...woken, bytesPerPoll, pollsPerGib: 2 ** 30 / bytesPerPoll };
  });
  const label = `wake-up with ${polls.toLocaleString("en")} parked polls, ${where}`;
  record(seen, "p50Ms", `${label}: p50`, "ms", "lower");
  record(seen, "p99Ms", `${label}: p99`, "ms", "lower");
  // Where messages are kept makes no difference to those who wait.
  if (isDurable) return;
  record(seen, "bytesPerPoll", "memory of a parked poll", "B", "lower");
  record(seen, "pollsPerGib", "parked polls for each GiB", "", "higher");
}

function progress(what: string): void {
  process.stderr.write(`${what} …\n`);
}

if (contestants.length === 1) progress("the original is not installed (RELAY_ORIGINAL, PATH): Postern alone");
if (wanted.has("start")) await startUp();
for (const kind of ["store", "round"] as const) {
  if (!wanted.has(kind)) continue;
  await throughput(kind, true);
  await throughput(kind, false);
}
if (wanted.has("get")) await throughput("get", true);
if (wanted.has("parked")) {
  await parkedPolls(true);
  await parkedPolls(false);
}

if (options.json) process.stdout.write(`${JSON.stringify({ machine: machine(), figures }, undefined, 2)}\n`);
else {
  process.stdout.write(
    `${machine()}; ${connections} connections, ${pool.toLocaleString("en")} live entries, `,
  );
  process.stdout.write(`medians of ${rounds} alternating rounds of ${measureMs} ms\n\n${table(figures)}`);
}
