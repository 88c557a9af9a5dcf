import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";

const repository = fileURLToPath(new URL("../../", import.meta.url));
const startMaxMs = 30_000;

/** What a case asks of the relay it runs against. What is left out keeps the relay's own default. */
export interface RelaySettings {
  readonly inboxTimeoutMs?: number;
  readonly linkTimeoutMs?: number;
  readonly ttlMs?: number;
  readonly maxEntries?: number;
  readonly maxBodySize?: number;
  /** `true`: the caller's origin is mirrored; `false`: no CORS header at all. */
  readonly cors?: boolean;
  /** Path of the database file. Left out: nothing survives the process. */
  readonly persistDb?: string;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A relay that answers at `host:port`. The waits are the effective ones, in milliseconds. */
export interface Relay extends AsyncDisposable {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly inboxTimeoutMs: number;
  readonly linkTimeoutMs: number;
  readonly ttlMs: number;
}

/** A relay that runs as our own child process and therefore can be killed and started again. */
export interface LaunchedRelay extends Relay {
  readonly startedAt: number;
  readonly exited: Promise<Exit>;
  kill(signal: NodeJS.Signals): void;
  /** Starts a new process with the same settings, on a port of its own, once this one is gone. */
  restart(): Promise<LaunchedRelay>;
}

/** One program that speaks the contract, and how to say the settings on its command line. */
interface Program {
  readonly isReference: boolean;
  /** The grain of its time options: the reference takes whole seconds only. */
  readonly timeGrainMs: number;
  command(settings: RelaySettings): readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly readyPattern: RegExp;
}

const postern: Program = {
  isReference: false,
  timeGrainMs: 1,
  env: {},
  readyPattern: /https?:\/\/(\S+):(\d+)/,
  command: (settings) => [
    process.execPath,
    `${repository}cli/main.ts`,
    "serve",
    "--ops-listen",
    "off",
    // Postern keeps messages in a file unless told otherwise, the original in memory.
    ...sharedFlags({ persistDb: "memory", ...settings }, (ms) => `${ms}ms`),
    ...(settings.cors === undefined ? [] : settings.cors ? ["--cors-allow-all"] : ["--cors", "off"]),
  ],
};

const reference = (program: string): Program => ({
  isReference: true,
  timeGrainMs: 1000,
  // It is silent by default, and tells its port only in its log.
  env: { RUST_LOG: "info", NO_COLOR: "1" },
  readyPattern: /address=([\d.]+):(\d+)/,
  command: (settings) => [
    program,
    "-v",
    ...sharedFlags(settings, (ms) => String(ms / 1000)),
    ...(settings.cors ? ["--cors-allow-all"] : []),
  ],
});

function sharedFlags(settings: RelaySettings, time: (ms: number) => string): string[] {
  const flag = (name: string, value: string | number | undefined) =>
    value === undefined ? [] : [name, String(value)];
  const timeFlag = (name: string, ms: number | undefined) => (ms === undefined ? [] : [name, time(ms)]);
  return [
    "--port",
    "0",
    ...timeFlag("--inbox-timeout", settings.inboxTimeoutMs),
    ...timeFlag("--link-timeout", settings.linkTimeoutMs),
    ...timeFlag("--inbox-cache-ttl", settings.ttlMs),
    ...flag("--max-entries", settings.maxEntries),
    ...flag("--max-body-size", settings.maxBodySize),
    ...flag("--persist-db", settings.persistDb),
  ];
}

/** The program under test: `RELAY_COMMAND` names an original, otherwise it is this checkout. */
const programUnderTest =
  process.env.RELAY_COMMAND === undefined ? postern : reference(process.env.RELAY_COMMAND);

/** Whether the cases run against the original, which is known to fail some of them. */
export const testsReference = programUnderTest.isReference;

/** Starts the program under test and resolves when it listens. Times are rounded up to its grain. */
export async function launchRelay(asked: RelaySettings): Promise<LaunchedRelay> {
  const settings = onGrain(asked, programUnderTest.timeGrainMs);
  const [file, ...flags] = programUnderTest.command(settings);
  const startedAt = performance.now();
  const child = spawn(file!, flags, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...programUnderTest.env },
  });
  const exited: Promise<Exit> = once(child, "exit").then(([code, signal]) => ({ code, signal }));
  const { host, port } = await readyAddress(child, programUnderTest.readyPattern);
  return {
    url: `http://${host}:${port}`,
    host,
    port,
    startedAt,
    inboxTimeoutMs: settings.inboxTimeoutMs ?? 25_000,
    linkTimeoutMs: settings.linkTimeoutMs ?? 600_000,
    ttlMs: settings.ttlMs ?? 300_000,
    exited,
    kill: (signal) => void child.kill(signal),
    async restart() {
      await exited;
      return launchRelay(asked);
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

/** The relay at `RELAY_URL`, whose waits are told by `RELAY_INBOX_TIMEOUT_MS` and `RELAY_LINK_TIMEOUT_MS`. */
export function runningRelay(): Relay | undefined {
  if (process.env.RELAY_URL === undefined) return undefined;
  const url = new URL(process.env.RELAY_URL);
  if (url.protocol !== "http:")
    throw new Error("RELAY_URL: the cases are bytes on plain TCP, so http:// only");
  return {
    url: url.origin,
    host: url.hostname,
    port: Number(url.port || 80),
    inboxTimeoutMs: Number(process.env.RELAY_INBOX_TIMEOUT_MS ?? 25_000),
    linkTimeoutMs: Number(process.env.RELAY_LINK_TIMEOUT_MS ?? 600_000),
    ttlMs: 300_000,
    // It was running before us and goes on after us.
    async [Symbol.asyncDispose]() {},
  };
}

function onGrain(settings: RelaySettings, grainMs: number): RelaySettings {
  const rounded = { ...settings } as { -readonly [Key in keyof RelaySettings]: RelaySettings[Key] };
  for (const key of ["inboxTimeoutMs", "linkTimeoutMs", "ttlMs"] as const) {
    const ms = rounded[key];
    if (ms !== undefined) rounded[key] = Math.ceil(ms / grainMs) * grainMs;
  }
  return rounded;
}

async function readyAddress(child: ChildProcess, ready: RegExp): Promise<{ host: string; port: number }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ host: string; port: number }>();
  let said = "";
  const listen = (chunk: Buffer) => {
    // Once ready, the pipes are still drained so that the relay never blocks on them.
    if (said.length > 100_000) return;
    said += stripVTControlCharacters(chunk.toString());
    const found = ready.exec(said);
    if (found) resolve({ host: found[1]!, port: Number(found[2]) });
  };
  child.stdout!.on("data", listen);
  child.stderr!.on("data", listen);
  child.once("error", reject);
  child.once("exit", (code, signal) =>
    reject(new Error(`relay ended (${code ?? signal}) at start: ${said}`)),
  );
  const timer = setTimeout(() => {
    child.kill("SIGKILL");
    reject(new Error(`relay was not ready after ${startMaxMs} ms: ${said}`));
  }, startMaxMs);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}
