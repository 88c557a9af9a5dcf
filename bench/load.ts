/**
 * The load generator: a process of its own, so that what it spends is not taken from the relay's event loop. It is
 * driven by `LoadJob` messages and answers each with one message.
 */
import { setTimeout as elapse } from "node:timers/promises";
import { KeepAlive } from "./keep-alive.ts";
import type { LoadJob, RunJob, RunResult, WakeJob, WakeResult } from "./load-job.ts";

/** About the size of a Pubky AuthToken in its box. */
const bodyBytes = 176;
const body = "b".repeat(bodyBytes);

const request = (method: string, id: string, content = "") =>
  Buffer.from(
    `${method} /inbox/${id} HTTP/1.1\r\nhost: 127.0.0.1\r\n${
      method === "POST" ? `content-length: ${content.length}\r\n` : ""
    }\r\n${content}`,
  );

interface Requests {
  readonly post: readonly Buffer[];
  readonly get: readonly Buffer[];
  readonly delete: readonly Buffer[];
}

let built: Requests | undefined;

/** The requests for every id of the pool, built once. Ids are as long as those of the Pubky SDK: 43 characters. */
function requestsFor(pool: number): Requests {
  if (built?.post.length === pool) return built;
  const ids = Array.from({ length: pool }, (_, at) => `bench-${at}-`.padEnd(43, "x"));
  built = {
    post: ids.map((id) => request("POST", id, body)),
    get: ids.map((id) => request("GET", id)),
    delete: ids.map((id) => request("DELETE", id)),
  };
  return built;
}

function assertAnswer(status: number, length: number, expectedLength: number): void {
  if (status !== 200 || length !== expectedLength)
    throw new Error(`answer ${status} with ${length} bytes under load`);
}

/** One request and its answer. */
function exchange(connection: KeepAlive, bytes: Buffer, expectedLength: number): Promise<void> {
  return new Promise((resolve) => {
    connection.onAnswer = (status, length) => {
      assertAnswer(status, length, expectedLength);
      resolve();
    };
    connection.send(bytes);
  });
}

async function fill(port: number, pool: number): Promise<void> {
  const { post } = requestsFor(pool);
  let next = 0;
  const lane = async () => {
    const connection = await KeepAlive.open(port);
    while (next < pool) await exchange(connection, post[next++]!, 0);
    connection.close();
  };
  await Promise.all(Array.from({ length: 32 }, lane));
}

/** The requests of one operation, in order, and how long the body of each answer must be. */
const operations = {
  store: [["post", 0]],
  get: [["get", bodyBytes]],
  round: [
    ["post", 0],
    ["get", bodyBytes],
    ["delete", 0],
  ],
} as const satisfies Record<RunJob["kind"], readonly (readonly [keyof Requests, number])[]>;

async function run(job: RunJob): Promise<RunResult> {
  const requests = requestsFor(job.pool);
  const steps = operations[job.kind];
  const latencies = new Float64Array(4_000_000);
  let measured = 0;
  let next = 0;
  let isMeasuring = false;
  let isOver = false;
  const connections = await Promise.all(
    Array.from({ length: job.connections }, () => KeepAlive.open(job.port)),
  );

  for (const connection of connections) {
    let at = 0;
    let step = 0;
    let beganAt = 0;
    const begin = () => {
      at = next;
      // Connections work on different ids: the pool is much larger than their number.
      next = (next + 1) % job.pool;
      beganAt = performance.now();
      connection.send(requests[steps[0][0]][at]!);
    };
    connection.onAnswer = (status, length) => {
      assertAnswer(status, length, steps[step]![1]);
      step++;
      if (step < steps.length) return connection.send(requests[steps[step]![0]][at]!);
      step = 0;
      if (isMeasuring) latencies[measured++] = performance.now() - beganAt;
      if (!isOver) begin();
    };
    begin();
  }

  await elapse(job.warmupMs);
  const cpu = process.cpuUsage();
  const beganAt = performance.now();
  isMeasuring = true;
  await elapse(job.measureMs);
  isMeasuring = false;
  const seconds = (performance.now() - beganAt) / 1000;
  const spent = process.cpuUsage(cpu);
  isOver = true;
  // The last answers of each connection.
  await elapse(100);
  for (const connection of connections) connection.close();
  return {
    operations: measured,
    seconds,
    ...percentiles(latencies.subarray(0, measured)),
    generatorCpuSeconds: (spent.user + spent.system) / 1e6,
  };
}

function percentiles(values: Float64Array): { p50Ms: number; p99Ms: number } {
  const sorted = values.slice().sort();
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}

let parked: { connection: KeepAlive; get: Buffer; post: Buffer; remove: Buffer }[] = [];

async function park(port: number, polls: number): Promise<void> {
  const unexpected = (status: number) => {
    throw new Error(`a parked read was answered ${status}`);
  };
  for (let from = 0; from < polls; from += 200) {
    const batch = Array.from({ length: Math.min(200, polls - from) }, async (_, at) => {
      const id = `parked-${from + at}-`.padEnd(43, "x");
      const connection = await KeepAlive.open(port);
      connection.onAnswer = unexpected;
      const get = request("GET", id);
      connection.send(get);
      return { connection, get, post: request("POST", id, body), remove: request("DELETE", id) };
    });
    parked.push(...(await Promise.all(batch)));
  }
  // Long enough for the relay to have read them all; an answer would have thrown.
  const probe = await KeepAlive.open(port);
  const ping = Buffer.from("GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
  for (let round = 0; round < 10; round++) {
    await exchange(probe, ping, 10);
    await elapse(100);
  }
  probe.close();
}

async function wake(job: WakeJob): Promise<WakeResult> {
  const producer = await KeepAlive.open(job.port);
  const latencies = new Float64Array(job.wakes);
  // A stride that is coprime to the usual counts spreads the wakes over all polls.
  for (let at = 0, poll = 0; at < job.wakes; at++, poll = (poll + 7919) % parked.length) {
    const { connection, get, post, remove } = parked[poll]!;
    const beganAt = performance.now();
    const woken = new Promise<void>((resolve) => {
      connection.onAnswer = (status, length) => {
        latencies[at] = performance.now() - beganAt;
        assertAnswer(status, length, bodyBytes);
        resolve();
      };
    });
    await Promise.all([woken, exchange(producer, post, 0)]);
    await exchange(producer, remove, 0);
    connection.send(get);
  }
  producer.close();
  return percentiles(latencies);
}

function release(): void {
  for (const { connection } of parked) connection.close();
  parked = [];
}

process.on("message", async (job: LoadJob) => {
  switch (job.kind) {
    case "fill":
      return process.send!((await fill(job.port, job.pool)) ?? {});
    case "park":
      return process.send!((await park(job.port, job.polls)) ?? {});
    case "wake":
      return process.send!(await wake(job));
    case "release":
      return process.send!(release() ?? {});
    default:
      return process.send!(await run(job));
  }
});
