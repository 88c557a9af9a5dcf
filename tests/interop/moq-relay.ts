import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { newKeyFile, signingKey } from "#modes/live/auth/key.ts";
import { mintToken } from "#modes/live/auth/token.ts";
import { hasNativeWebTransport, startWithNativeWebTransport } from "#tests/support/native-webtransport.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import { type MoqClient, netClient } from "./live/clients.ts";
import { datagramsBetween } from "./live/datagrams-between.ts";

// The published moq-relay and ours in one cluster, each dialling the other in turn, with @moq/net at both ends:
//   cargo install moq-relay@0.17.10 --no-default-features --features noq,websocket,uds
//   cargo install moq-relay@0.10.2 --no-default-features --locked     (of the original's age; another --root)
//   node tests/interop/moq-relay.ts PATH/TO/0.17.10 [PATH/TO/0.10.2]
// ONLY=word runs the links whose name has it, SHOW=1 shows what the relays log.
// What it found stands in docs/live-compatibility.md.

const [recent, seedAge] = process.argv.slice(2);
if (recent === undefined) throw new Error("name the moq-relay binary");
const theirPort = 14_443;
const ourPort = 14_444;
const theirs = new URL(`http://127.0.0.1:${theirPort}/`);
const ours = new URL(`http://127.0.0.1:${ourPort}/`);
const patienceMs = 15_000;

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

// Its sessions reject more promises than anybody can await once a relay goes away.
process.on("unhandledRejection", () => {});

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
interface Link {
  name: string;
  theirs: string[];
  ours: string[];
  /** Which way it carries datagrams: theirs, when it dials a WebSocket, looks for our parameters before they are there. */
  datagrams?: "both" | "to ours";
}

const folder = temporaryFolder();
const [cert, key, jwk, token] = ["tls.crt", "tls.key", "key.jwk", "token.jwt"].map((name) =>
  folder.file(name),
);
const theirSocket = folder.file("theirs.sock");
const ourSocket = folder.file("ours.sock");

/** What a cluster needs to trust each other: a certificate, a key, and a token made with it. */
async function makeFiles(): Promise<void> {
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const request = [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-days",
    "3",
  ];
  execFileSync("openssl", [...request, ...subject, "-keyout", key!, "-out", cert!], { stdio: "ignore" });
  const file = await newKeyFile("HS256", "cluster");
  // In the form that the older one reads.
  writeFileSync(jwk!, Buffer.from(JSON.stringify(file)).toString("base64url"));
  const wish = { root: "", put: [""], get: [""], cluster: true, expiresAt: undefined };
  writeFileSync(token!, await mintToken(await signingKey(file), wish, Date.now()));
}

const quic = ["--webtransport", "quiche", "--tls-cert", cert!, "--tls-key", key!];
const overUdp = { theirs: "127.0.0.1:14445", ours: "127.0.0.1:14446" };

const recentLinks: readonly Link[] = [
  { name: "ours dials, WebSocket", theirs: [], ours: ["--cluster-root", theirs.href], datagrams: "both" },
  {
    name: "theirs dials, WebSocket",
    theirs: ["--cluster-connect", ours.href],
    ours: [],
    datagrams: "to ours",
  },
  {
    // It does not know the draft, so that they meet on what both know.
    name: "ours dials, WebSocket, a draft offered",
    theirs: [],
    ours: ["--cluster-root", theirs.href, "--live-moq-lite-draft"],
  },
  {
    name: "ours dials, TCP",
    theirs: ["--listen-tcp-bind", overUdp.theirs],
    ours: ["--cluster-root", `tcp://${overUdp.theirs}`],
    datagrams: "both",
  },
  {
    name: "theirs dials, TCP",
    theirs: ["--cluster-connect", `tcp://${overUdp.ours}/`],
    ours: ["--server-tcp-bind", overUdp.ours],
    datagrams: "both",
  },
  {
    name: "ours dials, Unix socket",
    theirs: ["--listen-unix-bind", theirSocket],
    ours: ["--cluster-root", `unix://${theirSocket}`],
    datagrams: "both",
  },
  {
    name: "theirs dials, Unix socket",
    theirs: ["--cluster-connect", `unix://${ourSocket}`],
    ours: ["--server-unix-bind", ourSocket],
    datagrams: "both",
  },
  {
    name: "theirs dials, QUIC without HTTP/3",
    theirs: ["--cluster-connect", `moqt://${ours.host}/`, "--connect-tls-insecure"],
    ours: quic,
    datagrams: "both",
  },
  {
    name: "theirs dials, WebTransport",
    theirs: [
      ...["--cluster-connect", `https://${ours.host}/`, "--connect-tls-insecure"],
      "--connect-websocket-enabled=false",
    ],
    ours: quic,
    datagrams: "both",
  },
];

/** Where the native library loads, or a system is named in which it does. */
const nativeLinks: readonly Link[] = [
  {
    // There is no wss: who is linked is linked by QUIC.
    name: "ours dials, WebTransport",
    theirs: [],
    ours: ["--cluster-root", `https://${theirs.host}/`, "--tls-disable-verify"],
  },
  {
    name: "ours dials, WebTransport by the hash that theirs tells",
    theirs: [],
    ours: ["--cluster-root", theirs.href, "--websocket-delay", "10s"],
  },
  {
    name: "theirs dials, WebTransport of the native library",
    theirs: [
      ...["--cluster-connect", `https://${ours.host}/`, "--connect-tls-insecure"],
      "--connect-websocket-enabled=false",
    ],
    ours: ["--webtransport", "moq", "--tls-cert", cert!, "--tls-key", key!],
  },
];

const shown = ["--cluster-token", token!];
const seedLinks: readonly Link[] = [
  { name: "seed's age, ours dials", theirs: [], ours: ["--cluster-root", theirs.href, ...shown] },
  {
    name: "seed's age, theirs dials with QUIC",
    theirs: ["--cluster-root", ours.host, "--tls-disable-verify", ...shown],
    ours: quic,
  },
];

/** Every link in turn; `path` is where anybody may publish and watch. */
async function run(links: readonly Link[], binary: string, common: string[], path: string): Promise<void> {
  for (const link of links.filter((l) => !process.env.ONLY || l.name.includes(process.env.ONLY))) {
    const relay = spawn(binary, [...common, ...link.theirs], {
      stdio: process.env.SHOW ? "inherit" : "ignore",
    });
    const own = [
      "--auth-public",
      "",
      "--auth-key",
      jwk!,
      "--port",
      String(ourPort),
      "--cluster-retry-max",
      "1s",
    ];
    const postern = await startWithNativeWebTransport([...own, ...link.ours]);
    const [here, there] = [new URL(path, postern.url), new URL(path, theirs)];
    await row(`${link.name}; published here, watched there`, () => crosses(here, there));
    await row(`${link.name}; published there, watched here`, () => crosses(there, here));
    if (link.datagrams) {
      const between = (from: URL, to: URL) => within(datagramsBetween(from, to, "qmux-01.moq-lite-05", 20));
      if (link.datagrams === "both") {
        await row(`${link.name}; datagrams from here to there`, () => between(here, there));
      }
      await row(`${link.name}; datagrams from there to here`, () => between(there, here));
    }
    if (relay.exitCode === null && relay.kill()) await once(relay, "exit");
    if (process.env.SHOW) process.stdout.write(postern.log());
    await postern[Symbol.asyncDispose]();
  }
}

await makeFiles();
// @moq/net looks at a certificate that is ours alone.
process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
const listen = [
  "--listen",
  theirs.host,
  "--listen-tls-generate",
  "localhost",
  "--web-http-listen",
  theirs.host,
];
const links = hasNativeWebTransport() ? [...recentLinks, ...nativeLinks] : recentLinks;
await run(links, recent, [...listen, "--auth-public", "**"], "/");
if (seedAge) {
  const bind = [
    "--server-bind",
    theirs.host,
    "--tls-generate",
    "localhost",
    "--web-http-listen",
    theirs.host,
  ];
  await run(seedLinks, seedAge, [...bind, "--auth-public", "anon", "--auth-key", jwk!], "/anon");
}
folder[Symbol.dispose]();
process.exit(failed === 0 ? 0 : 1);
