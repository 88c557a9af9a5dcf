import { type ChildProcess, spawn } from "node:child_process";
import { startPostern } from "#tests/support/postern.ts";
import { type MoqClient, netClient } from "./live/clients.ts";

// The published moq-relay and ours in one cluster by each draft of moq-transport, each dialling the other in turn, with
// @moq/net at both ends:
//   cargo install moq-relay@0.17.10 --no-default-features --features noq,websocket
//   node tests/interop/moq-relay-drafts.ts PATH/TO/moq-relay [moq-transport-18]...
// From 17 on clients of theirs speak draft 16 with it: it and @moq/net 0.3.4 disagree on how a location is written since.
// What it found stands in docs/live-compatibility.md.

const [binary, ...named] = process.argv.slice(2);
const all = [14, 15, 16, 17, 18, 19, 20].map((draft) => `moq-transport-${draft}`);
const versions = named.length > 0 ? named : all;
if (binary === undefined) throw new Error("name the moq-relay binary");
/** Of this run alone: others may be under way. */
const theirPort = 20_000 + 2 * (process.pid % 10_000);
const ourPort = theirPort + 1;
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

async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no ${what} within ${patienceMs} ms`)), patienceMs);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function versionOfClients(version: string): string {
  return /^moq-transport-(1[7-9]|2\d)$/.test(version) ? "moq-transport-16" : version;
}

/** What @moq/net has to offer for it to be spoken; with the bare name, SETUP chooses draft 14. */
function subprotocolOf(version: string): string {
  const draft = /\d+$/.exec(version)?.[0];
  return draft === "14" ? "qmux-01" : `qmux-01.moqt-${draft}`;
}

/** Tries until somebody listens. */
async function connect(url: URL, version: string): Promise<MoqClient> {
  const client = url === theirs ? netClient(subprotocolOf(versionOfClients(version))) : netClient();
  for (const until = Date.now() + patienceMs; ; await new Promise((resolve) => setTimeout(resolve, 200))) {
    try {
      return await client(url);
    } catch (error) {
      if (Date.now() > until) throw error;
    }
  }
}

/** A broadcast published at `from` is seen at `to`: announced, watched live, and gone. */
async function crosses(from: URL, to: URL, version: string): Promise<void> {
  const [publisher, watcher] = [await connect(from, version), await connect(to, version)];
  const name = `from-${from.port}`;
  const writers: { group(...frames: string[]): boolean }[] = [];
  publisher.publish(name, (track) => {
    writers.push(track);
    track.group("first", "second");
  });
  const announced = watcher.announced();
  const event = async (active: boolean) => {
    const what = `announcement of ${active ? "the beginning" : "the end"}`;
    for (let next = await within(what, announced()); next?.path !== name || next.active !== active; ) {
      next = await within(what, announced());
    }
  };
  await event(true);
  const track = watcher.subscribe(name, "chat");
  const expect = async (frame: string) => {
    let got: string | undefined;
    do got = await within(`frame "${frame}"`, track.next());
    while (got?.startsWith("joining") || got === "second");
    if (got !== frame) throw new Error(`expected ${frame}, got ${got}`);
  };
  // Some join a track behind its latest frame: what comes first is not the same for all.
  const first = track.next();
  let joined = false;
  void first.then(() => (joined = true));
  for (let group = 0; !joined; group++) {
    writers.at(-1)?.group(`joining ${group}`);
    await within("frame at all", Promise.race([first, new Promise((resolve) => setTimeout(resolve, 100))]));
    if (group > patienceMs / 100) throw new Error("no frame at all");
  }
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

async function together(dialling: "ours" | "theirs", version: string): Promise<void> {
  const listens = ["--listen-version", version, "--listen-version", versionOfClients(version)];
  const only = ["--connect-version", version, ...listens];
  const relay = startTheirs(...only, ...(dialling === "theirs" ? ["--cluster-connect", ours.href] : []));
  const link = dialling === "ours" ? ["--cluster-root", theirs.href] : [];
  const port = String(ourPort);
  const open = ["--auth-public", "", "--cluster-retry-max", "1s"];
  await using _postern = await startPostern([...open, "--port", port, ...link]);
  try {
    const name = `${version}; ${dialling} dials`;
    await row(`${name}; published here, watched there`, () => crosses(ours, theirs, version));
    await row(`${name}; published there, watched here`, () => crosses(theirs, ours, version));
  } finally {
    relay.kill();
  }
}

// What a client has left behind when its relay goes is none of ours.
process.on("unhandledRejection", () => {});
for (const version of versions) {
  for (const dialling of ["ours", "theirs"] as const) await together(dialling, version);
}
process.exit(failed === 0 ? 0 : 1);
