import { spawn } from "node:child_process";
import { connectLive, createSecret, type LiveSession } from "#clients/client/src/live.ts";
import { netClient } from "./live/clients.ts";

// @postern/client with the published moq-relay, and with @moq/net at its other side:
//   cargo install moq-relay@0.17.10 --no-default-features --features noq,websocket
//   node tests/interop/live-client-moq-relay.ts PATH/TO/moq-relay
// What it found stands in docs/live-compatibility.md.

const [, , binary] = process.argv;
if (binary === undefined) throw new Error("name the moq-relay binary");
const url = new URL("http://127.0.0.1:14445/room");
const patienceMs = 15_000;

const relay = spawn(
  binary,
  [
    "--listen",
    url.host,
    "--listen-tls-generate",
    "localhost",
    "--web-http-listen",
    url.host,
    "--auth-public",
    "**",
  ],
  { stdio: "ignore" },
);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const check = (got: unknown, wanted: unknown) => {
  if (got !== wanted) throw new Error(`expected ${wanted}, got ${got}`);
};

/** Tries until the relay listens. */
async function connect(): Promise<LiveSession> {
  for (const until = Date.now() + patienceMs; ; await new Promise((resolve) => setTimeout(resolve, 200))) {
    try {
      return await connectLive(url);
    } catch (error) {
      if (Date.now() > until) throw error;
    }
  }
}

let failed = 0;
async function row(name: string, run: () => Promise<void>): Promise<void> {
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(`nothing within ${patienceMs} ms`)), patienceMs).unref();
  });
  const why = await Promise.race([run(), late]).then(
    () => undefined,
    (error: Error) => error.message,
  );
  if (why !== undefined) failed++;
  process.stdout.write(`${why === undefined ? "passed" : "FAILED"}  ${name}${why ? `: ${why}` : ""}\n`);
}

await row("ours publishes, ours watches, sealed", async () => {
  const [publisher, viewer] = [await connect(), await connect()];
  check(publisher.connection.version, 5);
  const secret = createSecret();
  const track = publisher.publish("sealed", { secret }).track("video");
  const subscription = viewer.subscribe("sealed", "video", { secret, follow: true, ordered: true });
  let next = 0;
  const write = () => track.frame(new Uint8Array(20_000).fill(next));
  void track.whenWanted().then(write);
  for await (const group of subscription) {
    for await (const { payload } of group) check(payload[100], next++);
    check(group.state, "complete");
    if (next === 50) break;
    write();
  }
  check(subscription.skippedGroups, 0);
  publisher.close();
  viewer.close();
});

await row("ours publishes, @moq/net watches", async () => {
  const publisher = await connect();
  const viewer = await netClient()(url);
  const track = publisher.publish("ours").track("chat");
  const told = viewer.announced("ours");
  check((await told())?.active, true);
  track.frame("hello");
  const watched = viewer.subscribe("ours", "chat");
  check(await watched.next(), "hello");
  track.frame("again");
  check(await watched.next(), "again");
  publisher.close();
  check((await told())?.active, false);
  viewer.close();
});

await row("@moq/net publishes, ours watches", async () => {
  const publisher = await netClient()(url);
  const viewer = await connect();
  publisher.publish("theirs", (track) => track.group("one", "two"));
  const seen: string[] = [];
  for await (const group of viewer.subscribe("theirs", "chat", { follow: true, ordered: true })) {
    for await (const { payload, timestampMs } of group) {
      seen.push(decode(payload));
      check(typeof timestampMs, "number");
    }
    break;
  }
  check(seen.join(), "one,two");
  publisher.close();
  viewer.close();
});

relay.kill();
process.exit(failed === 0 ? 0 : 1);
