import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import * as sdk from "@synonymdev/pubky";
import { build } from "esbuild";
import type { Browser, Page } from "playwright-core";
import ts from "typescript";
import { launchChromium } from "#tests/support/chromium.ts";
import { startScript } from "#tests/support/cli.ts";
import { type Postern, startPostern } from "#tests/support/postern.ts";

// What is published, used as its users use it: built, checked, bundled, and in the example of the guide.

const repository = fileURLToPath(new URL("../../", import.meta.url));
const packageFolder = `${repository}clients/pubky`;
const exampleFolder = `${repository}examples/sign-in-with-pubky`;
const bin = (name: string) => `${repository}node_modules/.bin/${name}`;
const run = (command: string, args: string[]) =>
  execFileSync(command, args, { cwd: packageFolder, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

/** What the compiler says to modules that know the built package and the browser, and nothing else. */
function compile(modules: readonly string[]): string {
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    target: ts.ScriptTarget.ES2024,
    lib: ["lib.es2024.d.ts", "lib.dom.d.ts"],
    module: ts.ModuleKind.NodeNext,
    types: [],
    exactOptionalPropertyTypes: true,
  };
  const textByFile = new Map(
    modules.map((text, at) => [`${repository}tests/interop/module-${at}.mts`, text]),
  );
  const host = ts.createCompilerHost(options);
  const { getSourceFile } = host;
  host.fileExists = (file) => textByFile.has(file) || ts.sys.fileExists(file);
  host.getSourceFile = (file, ...rest) => {
    const text = textByFile.get(file);
    if (text === undefined) return getSourceFile.call(host, file, ...rest);
    return ts.createSourceFile(file, text, {
      languageVersion: ts.ScriptTarget.ES2024,
      impliedNodeFormat: ts.ModuleKind.ESNext,
    });
  };
  const program = ts.createProgram([...textByFile.keys()], options, host);
  return ts.formatDiagnostics(ts.getPreEmitDiagnostics(program), host);
}

before(() => void run("npm", ["run", "build", "--silent"]));

describe("the package", () => {
  test("passes publint and attw", () => {
    assert.match(run(bin("publint"), ["--strict"]), /All good!/);
    const report = JSON.parse(run(bin("attw"), ["--pack", ".", "--profile", "esm-only", "--format", "json"]));
    assert.equal(report.analysis.packageName, "@postern/pubky");
    assert.ok(report.analysis.types);
  });

  test("holds nothing but JavaScript, declarations and the README, without `#` or `.ts` imports", () => {
    const [{ files }] = JSON.parse(run("npm", ["pack", "--dry-run", "--json"]));
    const paths: string[] = files.map(({ path }: { path: string }) => path);
    for (const path of paths)
      assert.match(path, /^(package\.json|README\.md|dist\/[\w/-]+\.(js|js\.map|d\.ts))$/);
    for (const file of readdirSync(`${packageFolder}/dist`, { recursive: true, encoding: "utf8" })) {
      if (!/\.(js|d\.ts)$/.test(file)) continue;
      const text = readFileSync(`${packageFolder}/dist/${file}`, "utf8");
      assert.doesNotMatch(text, /(from|import\() ?"(#|[^"]*\.ts"|node:)/);
    }
  });

  test("what the README shows compiles against the declarations alone, in a strict program for browsers", () => {
    const readme = readFileSync(`${packageFolder}/README.md`, "utf8");
    const snippets = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!);
    assert.equal(snippets.length, 4);
    assert.equal(compile(snippets), "");
    assert.match(
      compile([`import { startAuthFlow } from "@postern/pubky"; startAuthFlow({ relay: "" });`]),
      /capabilities/,
    );
  });

  test("its declarations allow what they should and nothing else", () => {
    const types = readFileSync(`${packageFolder}/tests/types.ts`, "utf8");
    assert.equal(compile([types.replaceAll("../src/index.ts", "@postern/pubky")]), "");
  });

  const bundled = async (code: string) => {
    const { outputFiles, metafile } = await build({
      stdin: { contents: code, resolveDir: repository },
      bundle: true,
      minify: true,
      write: false,
      metafile: true,
      format: "esm",
      platform: "browser",
      target: "es2024",
    });
    const [output] = outputFiles;
    assert.deepEqual(
      Object.values(metafile.outputs).flatMap(({ imports }) => imports),
      [],
    );
    return gzipSync(output!.contents).length;
  };

  test("is small in a browser, and smaller for who uses less", async () => {
    const sizes = {
      everything: await bundled(`export * from "@postern/pubky"`),
      app: await bundled(`export { startAuthFlow, resumeAuthFlow } from "@postern/pubky"`),
      verifier: await bundled(`export { createVerifier } from "@postern/pubky"`),
      link: await bundled(`export { channelId } from "@postern/pubky"`),
    };
    // Bytes after gzip; most of it is the curve, which nothing that verifies can do without.
    const limits = { everything: 36_000, app: 29_500, verifier: 18_500, link: 6_000 };
    for (const [name, limit] of Object.entries(limits)) {
      const size = sizes[name as keyof typeof sizes];
      assert.ok(size < limit, `${name}: ${size} bytes`);
    }
  });
});

test("the guide shows the files of the example as they are", () => {
  const guide = readFileSync(`${repository}docs/guides/sign-in-with-pubky.md`, "utf8");
  for (const file of ["package.json", "server.js", "index.html", "page.js", "authenticator.js"]) {
    const text = readFileSync(`${exampleFolder}/${file}`, "utf8");
    const language = file.split(".").at(-1);
    assert.ok(guide.includes(`\`${file}\`\n\n\`\`\`${language}\n${text}\`\`\`\n`), file);
  }
});

describe("the guide's example, in a browser", () => {
  let relay: Postern;
  let browser: Browser;
  let exampleUrl = "";
  let stopExample: () => Promise<void>;

  before(async () => {
    relay = await startPostern();
    const env = { ...process.env, PORT: "0", RELAY: `${relay.url}/inbox` };
    const example = spawn("npm", ["start"], {
      cwd: exampleFolder,
      env,
      detached: true,
      stdio: ["ignore", "pipe", "ignore"],
    });
    stopExample = async () => {
      // npm, its shell and the server.
      process.kill(-example.pid!, "SIGTERM");
      await once(example, "exit");
    };
    const lines = createInterface({ input: example.stdout! });
    for await (const line of lines) {
      if (!line.startsWith("http://")) continue;
      exampleUrl = line;
      break;
    }
    assert.ok(exampleUrl, "the example did not start");
    browser = await launchChromium();
  });
  after(async () => {
    await browser?.close();
    await stopExample?.();
    await relay?.[Symbol.asyncDispose]();
  });

  const openPage = async () => {
    const page = await (await browser.newContext()).newPage();
    await page.goto(exampleUrl);
    return page;
  };
  const linkOn = async (page: Page) => {
    await page.locator("#request").waitFor({ state: "visible" });
    return (await page.locator("#link").getAttribute("href"))!;
  };
  const approve = async (url: string) => {
    const keypair = sdk.Keypair.random();
    await new sdk.Pubky().signer(keypair).approveAuthRequest(url);
    return keypair.publicKey;
  };
  const state = (page: Page, text: string) => page.locator("#state", { hasText: text }).waitFor();

  test("a person who scans the code with the SDK's signer is signed in, and out again", async () => {
    const page = await openPage();
    const publicKey = await approve(await linkOn(page));
    await page.locator("#who", { hasText: publicKey.toString() }).waitFor();
    await page.click("#yes");
    await state(page, `Signed in as ${publicKey.z32()}`);

    await page.reload();
    await state(page, `Signed in as ${publicKey.z32()}`);
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);

    await page.click("#out");
    await linkOn(page);
    assert.equal((await page.request.get(`${exampleUrl}session`)).status(), 401);
  });

  test("a reload in between keeps the code that was scanned", async () => {
    const page = await openPage();
    const url = await linkOn(page);
    await page.reload();
    assert.equal(await linkOn(page), url);
    await approve(url);
    await page.locator("#confirm").waitFor({ state: "visible" });
    await page.reload();
    // The approval was not acknowledged, so it is still there.
    await page.locator("#confirm").waitFor({ state: "visible" });
    await page.click("#yes");
    await state(page, "Signed in as");
  });

  test("the guide's own authenticator signs in, and hears that the page has it", async () => {
    const page = await openPage();
    await using authenticator = startScript("authenticator.js", [await linkOn(page)], { cwd: exampleFolder });
    await page.locator("#confirm").waitFor({ state: "visible" });
    // The page may have it before the line is out.
    const [said] = await authenticator.until("stdout", /my-app\.example.*Approved as pubky\w{52}.*/s);
    assert.doesNotMatch(said, /has it/);
    await page.click("#yes");
    const { code, stdout } = await authenticator.ended;
    assert.equal(code, 0);
    assert.match(stdout.toString(), /The page has it\./);
  });

  test("who does not recognise the key is not signed in", async () => {
    const page = await openPage();
    await approve(await linkOn(page));
    await page.click("#no");
    await state(page, "You did not sign in.");
    await page.click("#again");
    await linkOn(page);
  });

  test("the server takes a token once, from its own page, for itself", async () => {
    const post = (body: Uint8Array<ArrayBuffer>, origin = exampleUrl.slice(0, -1)) =>
      fetch(`${exampleUrl}session`, { method: "POST", body, headers: { origin } });
    const tokenFor = async (capabilities: sdk.Capabilities) => {
      const flow = new sdk.Pubky().startAuthFlow(
        capabilities,
        sdk.AuthFlowKind.signin(),
        `${relay.url}/inbox`,
      );
      await approve(flow.authorizationUrl);
      return Uint8Array.from((await flow.awaitToken()).toBytes());
    };
    const codeOf = async (response: Response) => ((await response.json()) as { code: string }).code;

    const token = await tokenFor("/pub/my-app.example/:rw");
    assert.equal((await post(token, "https://evil.example")).status, 403);
    const created = await post(token);
    assert.equal(created.status, 201);
    assert.match(created.headers.get("set-cookie")!, /HttpOnly; SameSite=Strict/);
    assert.equal(await codeOf(await post(token)), "token_replayed");
    assert.equal(await codeOf(await post(await tokenFor("/pub/evil.example/:rw"))), "capabilities_missing");
    assert.equal(await codeOf(await post(await tokenFor("/:rw"))), "capabilities_extra");
    assert.equal(await codeOf(await post(new Uint8Array(20_000))), "token_malformed");
  });
});
