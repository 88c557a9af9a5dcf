import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));

export interface Postern extends AsyncDisposable {
  readonly url: string;
  readonly process: ChildProcess;
  /** Every line on stdout so far, the ready line first. */
  readonly lines: readonly string[];
  /** All of stderr so far. */
  log(): string;
  /** Resolves to the exit code; null after a signal that was not handled. */
  readonly exited: Promise<number | null>;
  /** Where the operations listener is, of a daemon that was started with `withOps`. */
  opsUrl(): Promise<string>;
}

/** Arguments for a daemon whose operations listener the test asks. */
export const withOps = ["--ops-listen", "127.0.0.1:0", "-v", "--log-format", "json"] as const;

/** A real daemon in a process of its own, on a free port; in memory unless the arguments say otherwise. */
export async function startPostern(
  args: readonly string[] = [],
  options: SpawnOptions = {},
): Promise<Postern> {
  const child = spawn(
    process.execPath,
    [main, "serve", "--port", "0", "--ops-listen", "off", "--persist-db", "memory", ...args],
    { stdio: ["ignore", "pipe", "pipe"], ...options },
  );
  return await readyPostern(child);
}

/** Where the operations listener of a daemon that logs (`-v`) is; the log comes on another pipe than the ready line. */
export async function opsUrlOf(postern: Postern): Promise<string> {
  for (;;) {
    const line = postern
      .log()
      .split("\n")
      .find((each) => each.includes("operations listener"));
    if (line) return (JSON.parse(line) as { url: string }).url;
    await once(postern.process.stderr!, "data");
  }
}

/** Waits for the ready line of a daemon that was started some other way. */
export async function readyPostern(child: ChildProcess): Promise<Postern> {
  const lines: string[] = [];
  let log = "";
  child.stderr!.on("data", (chunk) => {
    log += chunk;
  });
  const exited = once(child, "exit").then(([code]) => code as number | null);
  const reader = createInterface({ input: child.stdout! });
  const ready = new Promise<string>((resolve) => {
    reader.on("line", (line) => {
      lines.push(line);
      const url = /^postern ready on (\S+)$/.exec(line)?.[1];
      if (url) resolve(url);
    });
  });
  const url = await Promise.race([
    ready,
    exited.then((code) => {
      throw new Error(`postern ended with code ${code} before it was ready:\n${log}`);
    }),
  ]);
  return {
    url,
    process: child,
    lines,
    log: () => log,
    exited,
    async opsUrl() {
      for (;;) {
        const found = /"url":"([^"]+)","msg":"operations listener"/.exec(log)?.[1];
        if (found) return found;
        await once(child.stderr!, "data");
      }
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await exited;
    },
  };
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `postern ARGS` to its end. */
export async function runPostern(
  args: readonly string[],
  options: SpawnOptions & { input?: string | Uint8Array } = {},
): Promise<Ended> {
  const { input, ...rest } = options;
  const child = spawn(process.execPath, [main, ...args], { stdio: ["pipe", "pipe", "pipe"], ...rest });
  let stdout = "";
  let stderr = "";
  child.stdout!.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr!.on("data", (chunk) => {
    stderr += chunk;
  });
  child.stdin!.end(input ?? "");
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}
