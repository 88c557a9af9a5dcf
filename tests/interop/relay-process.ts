import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const ENTRY = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));

/** A relay in a process of its own, for black-box tests. */
export interface RelayProcess extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** SIGTERM, and waits for the end. */
  stop(): Promise<void>;
}

/** Starts `postern serve` on a free port, or on `port`, and waits until it listens. */
export async function startRelay({ port = 0, args = [] as string[] } = {}): Promise<RelayProcess> {
  const fixed = ["serve", "--port", String(port), "--ops-listen", "off", "--quiet"];
  const child = spawn(process.execPath, [ENTRY, ...fixed, "--persist-db", "memory", ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const url = await readyUrl(child);
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGTERM");
    await once(child, "exit");
  };
  return { url, port: Number(new URL(url).port), stop, [Symbol.asyncDispose]: stop };
}

async function readyUrl(child: ChildProcess): Promise<string> {
  let text = "";
  for await (const chunk of child.stdout!) {
    text += chunk;
    const ready = /ready on (\S+)/.exec(text);
    if (ready) return ready[1]!;
  }
  throw new Error("The relay ended before it listened.");
}
