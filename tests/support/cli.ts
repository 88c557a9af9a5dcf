import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));

export interface CliResult {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
  /** Every line of stdout as JSON. */
  json(): Record<string, unknown>[];
}

export interface RunningCli extends AsyncDisposable {
  readonly process: ChildProcess;
  /** Resolves once stdout or stderr holds the pattern; rejects when the process ends without. */
  until(stream: "stdout" | "stderr", pattern: RegExp): Promise<RegExpExecArray>;
  readonly ended: Promise<CliResult>;
}

export interface CliOptions {
  readonly input?: string | Uint8Array;
  /** Leaves stdin open; the caller writes and ends it. */
  readonly holdStdin?: boolean;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/** The real `postern ARGS`, in a process of its own. */
export function startCli(args: readonly string[], options: CliOptions = {}): RunningCli {
  return startScript(main, args, options);
}

/** Any script for Node, in a process of its own that ends with the scope. */
export function startScript(file: string, args: readonly string[], options: CliOptions = {}): RunningCli {
  const child = spawn(process.execPath, [file, ...args], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const chunks = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  for (const stream of ["stdout", "stderr"] as const)
    child[stream].on("data", (chunk: Buffer) => chunks[stream].push(chunk));
  // A verb that fails at once leaves nobody to read its stdin.
  child.stdin.on("error", () => {});
  if (!options.holdStdin) child.stdin.end(options.input ?? "");
  const all = (stream: "stdout" | "stderr") => Buffer.concat(chunks[stream]);
  const ended = once(child, "close").then(([code]): CliResult => {
    return {
      code,
      stdout: all("stdout"),
      stderr: all("stderr").toString(),
      json: () =>
        all("stdout")
          .toString()
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line)),
    };
  });
  return {
    process: child,
    ended,
    until(stream, pattern) {
      return new Promise((resolve, reject) => {
        const look = () => {
          const match = pattern.exec(all(stream).toString());
          if (match) resolve(match);
          return match !== null;
        };
        if (look()) return;
        child[stream].on("data", look);
        ended.then(({ code, stderr }) => {
          if (!look()) reject(new Error(`ended with ${code} before ${pattern}:\n${stderr}`));
        });
      });
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await ended;
    },
  };
}

export function runCli(args: readonly string[], options?: CliOptions): Promise<CliResult> {
  return startCli(args, options).ended;
}
