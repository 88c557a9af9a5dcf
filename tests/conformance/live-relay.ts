import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { setTimeout as elapse } from "node:timers/promises";
import { type Postern, startPostern } from "#tests/support/postern.ts";
import { knock } from "#tests/support/raw-websocket.ts";
import type { LiteVersion } from "#wire/live/version.ts";

const startMaxMs = 30_000;

/** A relay that the cases are asked of. */
export interface LiveRelay extends AsyncDisposable {
  readonly url: string;
  /** The process, where it is ours to end. */
  readonly process: ChildProcess | undefined;
}

/** Whether the cases run against the published moq-relay, or something at a URL. */
export const testsTheirs = process.env.MOQ_RELAY_COMMAND !== undefined;
export const testsUrl = process.env.LIVE_RELAY_URL !== undefined;

/** A relay in which everybody may do everything; `args` are Postern's, which alone takes them. */
export async function launchLive(args: readonly string[] = []): Promise<LiveRelay> {
  const url = process.env.LIVE_RELAY_URL;
  if (url !== undefined) return { url, process: undefined, async [Symbol.asyncDispose]() {} };
  if (testsTheirs) return await launchTheirs(process.env.MOQ_RELAY_COMMAND!);
  return await launchPostern(["--auth-public", "", ...args]);
}

/** Ours, whatever else the cases run against. */
export const launchPostern = (args: readonly string[]): Promise<Postern> => startPostern(args);

/** Its ports cannot be left to the system: it tells them nobody. */
async function launchTheirs(program: string): Promise<LiveRelay> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  const at = `127.0.0.1:${port}`;
  const listen = ["--listen", at, "--listen-tls-generate", "localhost", "--web-http-listen", at];
  const child = spawn(program, [...listen, "--auth-public", "**"], { stdio: "ignore" });
  const exited = once(child, "exit");
  const url = `http://${at}`;
  for (const until = Date.now() + startMaxMs; ; await elapse(100)) {
    try {
      (await knock(new URL(url), ["webtransport"])).socket?.terminate();
      break;
    } catch (error) {
      if (Date.now() > until) throw error;
    }
  }
  return {
    url,
    process: child,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

/** What a client speaks: a subprotocol, and the version it stands for or that SETUP is to choose. */
export interface Dialect {
  readonly name: string;
  /** `undefined`: none is offered. */
  readonly subprotocol: string | undefined;
  readonly version: LiteVersion;
}

const framings = ["qmux-02", "qmux-01", "qmux-00"] as const;
const numbered = [5, 4, 3] as const;

/** Every framing and version over WebSocket that the relay under test speaks. */
export const dialects: readonly Dialect[] = [
  ...framings.flatMap((framing) => [
    ...numbered.map((version) => ({ subprotocol: `${framing}.moq-lite-0${version}`, version })),
    { subprotocol: `${framing}.moql`, version: 2 as const },
    { subprotocol: `${framing}.moql`, version: 1 as const },
    { subprotocol: framing, version: 2 as const },
  ]),
  { subprotocol: "webtransport", version: 2 as const },
  { subprotocol: "webtransport", version: 1 as const },
  { subprotocol: undefined, version: 2 as const },
]
  // moq-relay 0.17.10 knows qmux-02 only without a version.
  .filter(({ subprotocol }) => !(testsTheirs && subprotocol?.startsWith("qmux-02.")))
  .map(({ subprotocol, version }) => ({
    name: `${subprotocol ?? "nothing offered"}${version <= 2 ? ` (0${version})` : ""}`,
    subprotocol,
    version,
  }));
