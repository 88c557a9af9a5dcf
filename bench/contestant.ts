import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, readFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { delimiter, join } from "node:path";
import { setTimeout as elapse } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const cli = fileURLToPath(new URL("../cli/postern.mjs", import.meta.url));
/** The kernel's unit of processor time in `/proc/PID/stat`. */
const ticksPerSecond = 100;

/** A relay program that takes part, and its command line for a port and a database (undefined: in memory). */
export interface Contestant {
  readonly name: string;
  command(port: number, database: string | undefined): readonly string[];
}

/** Room for the pool, and waits and lifetimes that no run outlasts: the same for everybody. */
const settings = ["--max-entries", "100000", "--inbox-timeout", "600", "--inbox-cache-ttl", "3600"];

export const postern: Contestant = {
  name: "postern",
  command: (port, database) => [
    ...[process.execPath, cli, "serve", "--port", String(port), ...settings],
    ...["--persist-db", database ?? "memory", "--ops-listen", "off"],
  ],
};

/** The original relay, if `RELAY_ORIGINAL` or `PATH` leads to it. */
export function findOriginal(): Contestant | undefined {
  const path = (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, "http-relay"));
  const program = [process.env.RELAY_ORIGINAL, ...path].find((file) => file !== undefined && isProgram(file));
  if (program === undefined) return undefined;
  return {
    name: "original",
    command: (port, database) => [
      ...[program, "--port", String(port), ...settings],
      ...(database === undefined ? [] : ["--persist-db", database]),
    ],
  };
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A contestant that listens. */
export interface Running extends AsyncDisposable {
  readonly port: number;
  /** From the start of the process to its first answer. */
  readonly startMs: number;
  /** Processor time used so far, all threads together. */
  cpuSeconds(): number;
  residentBytes(): number;
}

export async function start(contestant: Contestant, database: string | undefined): Promise<Running> {
  const port = await freePort();
  const [program, ...args] = contestant.command(port, database);
  const beganAt = performance.now();
  const child = spawn(program!, args, { stdio: ["ignore", "ignore", "inherit"] });
  await firstAnswer(child, port);
  const startMs = performance.now() - beganAt;
  return {
    port,
    startMs,
    cpuSeconds: () => cpuSeconds(child.pid!),
    residentBytes: () => residentBytes(child.pid!),
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

async function freePort(): Promise<number> {
  const holder = createServer().listen(0, "127.0.0.1");
  await once(holder, "listening");
  const { port } = holder.address() as AddressInfo;
  holder.close();
  await once(holder, "close");
  return port;
}

/** The original tells nobody that it is ready: both are asked until they answer. */
async function firstAnswer(child: ChildProcess, port: number): Promise<void> {
  while (child.exitCode === null && child.signalCode === null) {
    if (await answers(port)) return;
    await elapse(1);
  }
  throw new Error(`${child.spawnfile} ended with ${child.exitCode ?? child.signalCode} at start`);
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () =>
      socket.write("GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"),
    );
    socket.once("data", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

function cpuSeconds(pid: number): number {
  // The name, in parentheses, may hold spaces; utime and stime are the 12th and 13th field after it.
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ").at(-1)!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"));
  return Number(line![1]) * 1024;
}
