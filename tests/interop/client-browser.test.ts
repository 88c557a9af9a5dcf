import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Browser, Page } from "playwright-core";
import { createRendezvous, createSecret, formatCode } from "#clients/client/src/index.ts";
import { launchChromium } from "#tests/support/chromium.ts";
import { runCli } from "#tests/support/cli.ts";
import { type Postern, startPostern } from "#tests/support/postern.ts";

// @postern/client in a page of another origin than the relay's, so that every request goes through CORS.

let relay: Postern;
let browser: Browser;
let page: Page;
const site = createServer((_request, response) => {
  response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>a site</title>");
});

before(async () => {
  relay = await startPostern(["--inbox-timeout", "300ms"]);
  browser = await launchChromium();
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("../../clients/client/src/index.ts", import.meta.url))],
    bundle: true,
    write: false,
    format: "iife",
    globalName: "postern",
    platform: "browser",
  });
  page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${(site.address() as AddressInfo).port}/`);
  await page.addScriptTag({ content: outputFiles[0]!.text });
});
after(async () => {
  await browser?.close();
  site.closeAllConnections();
  site.close();
  await relay[Symbol.asyncDispose]();
});

/** Runs in the page; `postern` is the package. */
const inPage = (code: string, given: Record<string, string> = {}): Promise<unknown> =>
  page.evaluate(`(async (given) => { ${code} })(${JSON.stringify(given)})`);

test("a page receives what Node sends, after its relay has said 408, and acknowledges that message alone", async () => {
  const secret = createSecret();
  const receiving = inPage(
    `let refused;
     globalThis.asked = new Promise((resolve) => { refused = resolve; });
     const spy = async (...args) => {
       const response = await fetch(...args);
       if (response.status === 408) refused();
       return response;
     };
     const rendezvous = postern.createRendezvous({ ...postern.parseCode(given.code), fetch: spy });
     const message = await rendezvous.receive();
     return [message.text(), message.contentType, await message.acknowledge()];`,
    { code: formatCode({ relay: relay.url, secret }) },
  );
  await page.evaluate("asked");
  const sent = await createRendezvous({ relay: relay.url, secret }).send("from Node");
  await sent.delivered();
  assert.deepEqual(await receiving, ["from Node", "text/plain; charset=utf-8", "acknowledged"]);
});

test("a page sends to the command line", async () => {
  const secret = createSecret();
  const sending = inPage(
    `const sent = await postern.createRendezvous(given).send(Uint8Array.of(1, 2, 3));
     await sent.delivered();
     return sent.expiresAt > Date.now();`,
    { relay: relay.url, secret },
  );
  const received = await runCli(["receive", formatCode({ relay: relay.url, secret })]);
  assert.deepEqual([...received.stdout], [1, 2, 3]);
  assert.equal(await sending, true, "a page may read when the message expires");
});

test("a page that is offline for a while sends when it is back", async () => {
  const secret = createSecret();
  await page.context().setOffline(true);
  const sending = inPage(
    `let noticed;
     globalThis.troubled = new Promise((resolve) => { noticed = resolve; });
     await postern.createRendezvous({ ...given, onTrouble: noticed }).send("back again");
     return true;`,
    { relay: relay.url, secret },
  );
  await page.evaluate("troubled");
  await page.context().setOffline(false);
  assert.equal(await sending, true);
  const message = await createRendezvous({ relay: relay.url, secret }).receive();
  assert.equal(message.text(), "back again");
});
