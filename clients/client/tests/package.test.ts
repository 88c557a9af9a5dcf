import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import ts from "typescript";
import { temporaryFolder } from "../../../tests/support/temporary-folder.ts";
import { buildPackage } from "../../build.ts";

const folder = dirname(dirname(fileURLToPath(import.meta.url)));
const binaries = join(folder, "../../node_modules/.bin");
const run = promisify(execFile);

before(() => buildPackage("client"));

/** What a browser would load of a page that contains `source`: everything bundled and minified. */
async function bundle(source: string): Promise<{ text: string; gzipBytes: number }> {
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir: folder },
    bundle: true,
    minify: true,
    format: "esm",
    // A Node built-in anywhere below would fail this build.
    platform: "browser",
    write: false,
    logLevel: "silent",
  });
  const { text, contents } = outputFiles[0]!;
  return { text, gzipBytes: gzipSync(contents).length };
}

/** As a strict consumer's own compiler would see it, the package's declarations included. */
function assertCompiles(files: string[]): void {
  const program = ts.createProgram(files, {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    lib: ["lib.es2022.d.ts", "lib.dom.d.ts", "lib.esnext.disposable.d.ts"],
    types: [],
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: false,
  });
  const faults = ts.getPreEmitDiagnostics(program);
  assert.equal(faults.length, 0, ts.formatDiagnostics(faults, ts.createCompilerHost({})));
}

test("a page that sends and receives loads at most 13 kB, ciphers included", async () => {
  const { gzipBytes } = await bundle(
    'import { createRendezvous, createSecret } from "./dist/index.js"; globalThis.x = [createRendezvous, createSecret];',
  );
  assert.ok(gzipBytes <= 13_000, `${gzipBytes} bytes`);
});

test("a page that publishes and watches live loads at most 29 kB, ciphers included", async () => {
  const { gzipBytes } = await bundle(
    'import { connectLive, createSecret } from "./dist/live.js"; globalThis.x = [connectLive, createSecret];',
  );
  assert.ok(gzipBytes <= 29_000, `${gzipBytes} bytes`);
});

test("what is not used is not loaded", async () => {
  assert.equal((await bundle('import "./dist/index.js";')).text.trim(), "");
  const { text, gzipBytes } = await bundle(
    'import { isPosternError } from "./dist/index.js"; globalThis.x = isPosternError;',
  );
  assert.ok(gzipBytes <= 1_500, `${gzipBytes} bytes`);
  assert.ok(!text.includes("expand 32-byte k"), "the cipher is in a bundle that seals nothing");
});

test("the built files name nothing outside the package, and no source file", () => {
  const dist = join(folder, "dist");
  for (const file of readdirSync(dist, { recursive: true, encoding: "utf8" })) {
    if (!/\.(js|d\.ts)$/.test(file)) continue;
    const text = readFileSync(join(dist, file), "utf8");
    for (const [, specifier = ""] of text.matchAll(/(?:from |import\(|import )"([^"]+)"/g)) {
      assert.match(
        specifier,
        /^(@noble\/(ciphers|hashes)\/\w+\.js|@hpke\/(core|chacha20poly1305)|\.{1,2}\/[\w./-]+\.js)$/,
        `${file}: ${specifier}`,
      );
      if (specifier.startsWith("."))
        assert.ok(!join(dirname(file), specifier).startsWith(".."), `${file}: ${specifier}`);
    }
  }
});

test("the built package exports what the sources do", async () => {
  for (const entry of ["index", "mailbox", "live"]) {
    const built = await import(`../dist/${entry}.js`);
    const sources = await import(`../src/${entry}.ts`);
    assert.deepEqual(Object.keys(built).sort(), Object.keys(sources).sort());
  }
});

test("publint and attw find nothing", async () => {
  const options = { cwd: folder };
  await run(process.execPath, [join(binaries, "publint"), "--strict"], options);
  await run(process.execPath, [join(binaries, "attw"), "--pack", "--profile", "esm-only"], options);
});

test("the types say what the library does", () => {
  // Each line that must not compile is marked: without an error there, TypeScript reports the mark.
  using project = temporaryFolder();
  const file = project.file("consumer.ts");
  writeFileSync(
    file,
    `
import {
  createRendezvous, isPosternError, parseCode,
  type Message, type PosternErrorCode, type Rendezvous, type SentMessage,
} from ${JSON.stringify(join(folder, "dist/index.js"))};

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Equal<A, B>) => {};

const sealed = createRendezvous({ relay: "https://relay.example", secret: new Uint8Array(32) });
same<typeof sealed, Rendezvous>(true);
createRendezvous({ relay: new URL("https://relay.example"), id: "x", limits: { firstPauseMs: 1 } });
// @ts-expect-error A relay is needed.
createRendezvous({ secret: "x" });
// @ts-expect-error A secret or an id is needed.
createRendezvous({ relay: "https://relay.example" });
// @ts-expect-error Not both: the id follows from the secret.
createRendezvous({ relay: "https://relay.example", secret: "x", id: "y" });
// @ts-expect-error No such limit.
createRendezvous({ relay: "https://relay.example", id: "y", limits: { attempts: 3 } });

export async function use(signal: AbortSignal): Promise<void> {
  const sent = await sealed.send("text", { contentType: "text/plain", deadlineMs: 5, signal });
  same<typeof sent, SentMessage>(true);
  // @ts-expect-error A number is no body.
  await sealed.send(5);
  const message = await sealed.receive();
  same<typeof message, Message>(true);
  same<typeof message.body, Uint8Array<ArrayBuffer>>(true);
  same<ReturnType<typeof message.json>, unknown>(true);
  same<Awaited<ReturnType<typeof message.acknowledge>>, "acknowledged" | "gone">(true);
  // @ts-expect-error Messages do not change.
  message.body = new Uint8Array();
  const length = await sealed.take((taken) => taken.text().length, { signal });
  same<typeof length, number>(true);
  for await (const each of sealed.messages({ signal })) same<typeof each, Message>(true);
  same<ReturnType<typeof parseCode>["secret"], string>(true);
}

export function handle(error: unknown): PosternErrorCode | undefined {
  if (isPosternError(error, "timed_out")) return error.code;
  // @ts-expect-error No such code.
  isPosternError(error, "no_such_code");
  return undefined;
}
`,
  );
  assertCompiles([file]);
});

test("the types of live say what it does, and no more", () => {
  using project = temporaryFolder();
  const file = project.file("consumer.ts");
  writeFileSync(
    file,
    `
import { connectLive, type LiveFrame, type LiveGroup, type LiveSession } from ${JSON.stringify(join(folder, "dist/live.js"))};

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Equal<A, B>) => {};

export async function use(signal: AbortSignal): Promise<void> {
  using session = await connectLive("https://relay.example/room", { token: "x", reconnect: true, signal });
  same<typeof session, LiveSession>(true);
  // @ts-expect-error No such transport.
  await connectLive("https://relay.example", { transport: "carrier pigeon" });
  const track = session.publish("cam", { secret: "x" }).track("video", { priority: 1 });
  await track.whenWanted(signal);
  const written: boolean = track.group().write("text", 5);
  // @ts-expect-error A number is no frame.
  track.frame(5);
  // @ts-expect-error Who reads a track of ours is none of a caller's business.
  track.add({});
  // @ts-expect-error What counts is not to be changed.
  track.droppedGroups = 0;
  const subscription = session.subscribe("cam", "video", { latencyMaxMs: 500, ordered: written, follow: true });
  for await (const group of subscription) {
    same<typeof group, LiveGroup>(true);
    for await (const frame of group) same<typeof frame, LiveFrame>(true);
    same<typeof group.state, "open" | "complete" | "lost" | "skipped" | "unreadable">(true);
  }
  for await (const { path, active } of session.announced("room")) console.log(path.length, active === true);
  same<Awaited<typeof session.closed>["code"], number>(true);
}
`,
  );
  assertCompiles([file]);
});

test("the README's examples compile against the package, and those of the guide to mailboxes", () => {
  using project = temporaryFolder();
  const readme = readFileSync(join(folder, "README.md"), "utf8");
  const guide = readFileSync(join(folder, "../../docs/guides/mailbox.md"), "utf8");
  const examples = [...`${readme}\n${guide}`.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, text = ""], at) => {
    const file = project.file(`example-${at}.mts`);
    const built = (entry: string) => JSON.stringify(join(folder, `dist/${entry}.js`));
    const local = text
      .replaceAll('"@postern/client"', built("index"))
      .replaceAll('"@postern/client/mailbox"', built("mailbox"))
      .replaceAll('"@postern/client/live"', built("live"));
    writeFileSync(file, local);
    return file;
  });
  assert.equal(examples.length, 9);
  assertCompiles(examples);
});
