import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { fileURLToPath } from "node:url";
import { type Postern, readyPostern } from "./postern.ts";

const main = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));

export interface Activated extends AsyncDisposable {
  readonly url: string;
  /** How many processes have listened so far. */
  starts(): number;
  /** Asks the process that runs now to stop; while fewer than `runs` have run, another follows it. */
  stop(): void;
  /** Resolves to the exit code of the last run. */
  readonly exited: Promise<number | null>;
}

/**
 * A daemon behind a socket that outlives it, as a service manager has it: one process follows another, and what connects
 * in between waits in the system's queue.
 */
export async function startActivated(runs: number, args: readonly string[]): Promise<Activated> {
  const listener = net.createServer();
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  // biome-ignore lint/suspicious/noExplicitAny: the descriptor is what a service manager would pass
  const fd = (listener as any)._handle.fd as number;
  const words = [process.execPath, main, "serve", "--ops-listen", "off", ...args]
    .map((word) => `"${word}"`)
    .join(" ");
  const oneRun = `sh -c 'LISTEN_PID=$$ LISTEN_FDS=1 exec ${words}' & echo $!; wait $!`;
  const manager = spawn("sh", ["-c", Array<string>(runs).fill(oneRun).join(";")], {
    stdio: ["ignore", "pipe", "pipe", fd],
  });
  listener.close();
  const pids: number[] = [];
  manager.stdout!.on("data", (chunk) => {
    for (const line of String(chunk).split("\n")) if (/^\d+$/.test(line)) pids.push(Number(line));
  });
  const relay: Postern = await readyPostern(manager);
  return {
    url: relay.url,
    starts: () => relay.lines.filter((line) => line.startsWith("postern ready")).length,
    stop: () => void process.kill(pids.at(-1)!, "SIGTERM"),
    exited: relay.exited,
    async [Symbol.asyncDispose]() {
      await relay[Symbol.asyncDispose]();
      try {
        process.kill(pids.at(-1)!, "SIGKILL");
      } catch {
        // It has ended already.
      }
    },
  };
}
