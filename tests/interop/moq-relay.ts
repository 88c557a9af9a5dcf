import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { startPostern } from "#tests/support/postern.ts";
import { type MoqClient, netClient } from "./live/clients.ts";

// The published moq-relay and ours in one cluster, each dialling the other in turn, with @moq/net at both ends:
//   cargo install moq-relay@0.17.10 --no-default-features --features noq,websocket
//   node tests/interop/moq-relay.ts PATH/TO/moq-relay
// What it found stands in docs/live-compatibility.md.

const binary = process.argv[2];
if (binary === undefined) throw new Error("name the moq-relay binary");
const theirPort = 14_443;
const ourPort = 14_444;
const theirs = new URL(`http://127.0.0.1:${theirPort}/`);
const ours = new URL(`http://127.0.0.1:${ourPort}/`);
const patienceMs = 15_000;

function startTheirs(...more: string[]): ChildProcess {
  const listen = [
    "--listen",
    theirs.host,
    "--listen-tls-generate",
    "localhost",
    "--web-http-listen",
    theirs.host,
  ];
  return spawn(binary!, [...listen, "--auth-public", "**", ...more], { stdio: "ignore" });
}

async function within<T>(promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`nothing within ${patienceMs} ms`)), patienceMs);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Tries until somebody listens. */
async function connect(url: URL): Promise<MoqClient> {
  for (const until = Date.now() + patienceMs; ; await new Promise((resolve) => setTimeout(resolve, 200))) {
    try {
      return await netClient()(url);
    } catch (error) {
      if (Date.now() > until) throw error;
    }
  }
}

/** A broadcast published at `from` is seen at `to`: announced, watched live, and gone. */
async function crosses(from: URL, to: URL): Promise<void> {
  const [publisher, watcher] = [await connect(from), await connect(to)];
  const name = `from-${from.port}`;
  const writers: { group(...frames: string[]): boolean }[] = [];
  publisher.publish(name, (track) => {
    writers.push(track);
    track.group("first", "second");
  });
  const announced = watcher.announced();
  const event = async (active: boolean) => {
    for (let next = await within(announced()); next?.path !== name || next.active !== active; ) {
      next = await within(announced());
    }
  };
  await event(true);
  const track = watcher.subscribe(name, "chat");
  const expect = async (frame: string) => {
    const got = await within(track.next());
    if (got !== frame) throw new Error(`expected ${frame}, got ${got}`);
  };
  await expect("first");
  await expect("second");
  for (let group = 0; group < 200; group++) {
    writers.at(-1)!.group(`${group}`);
    await expect(`${group}`);
  }
  publisher.close();
  await event(false);
  watcher.close();
}

let failed = 0;
async function row(name: string, run: () => Promise<void>): Promise<void> {
  const why = await run().then(
    () => undefined,
    (error: Error) => error.message,
  );
  if (why !== undefined) failed++;
  process.stdout.write(`${why === undefined ? "passed" : "FAILED"}  ${name}${why ? `: ${why}` : ""}\n`);
}

/** How one dials the other: what each is started with. */
const links: readonly { name: string; theirs: string[]; ours: string[] }[] = [
  { name: "ours dials, WebSocket", theirs: [], ours: ["--cluster-root", theirs.href] },
  { name: "theirs dials, WebSocket", theirs: ["--cluster-connect", ours.href], ours: [] },
  {
    name: "ours dials, TCP",
    theirs: ["--listen-tcp-bind", "127.0.0.1:14445"],
    ours: ["--cluster-root", "tcp://127.0.0.1:14445"],
  },
  {
    name: "theirs dials, TCP",
    theirs: ["--cluster-connect", "tcp://127.0.0.1:14446/"],
    ours: ["--server-tcp-bind", "127.0.0.1:14446"],
  },
];

for (const link of links) {
  const relay = startTheirs(...link.theirs);
  const postern = await startPostern([
    "--auth-public",
    "",
    "--port",
    String(ourPort),
    "--cluster-retry-max",
    "1s",
    ...link.ours,
  ]);
  await row(`${link.name}; published here, watched there`, () => crosses(ours, theirs));
  await row(`${link.name}; published there, watched here`, () => crosses(theirs, ours));
  relay.kill();
  await once(relay, "exit");
  await postern[Symbol.asyncDispose]();
}
process.exit(failed === 0 ? 0 : 1);
