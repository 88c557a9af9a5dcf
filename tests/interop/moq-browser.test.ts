import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { build } from "esbuild";
import type { Browser } from "playwright-core";
import { launchChromium } from "#tests/support/chromium.ts";
import { type Postern, startPostern } from "#tests/support/postern.ts";
import type { Page as BroadcastPage } from "./live/browser-page.ts";
import { netClient } from "./live/clients.ts";

declare const page: BroadcastPage;

/** The page's script, and an origin of its own to serve it from. */
async function servePage(): Promise<{ url: string; close(): void }> {
  const bundle = await build({
    entryPoints: [join(import.meta.dirname, "live/browser-page.ts")],
    bundle: true,
    format: "iife",
    write: false,
    logLevel: "silent",
  });
  const script = bundle.outputFiles[0]!.text;
  const server = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? script : "<!doctype html><title>live</title><script src=/page.js></script>");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () => void server.close().closeAllConnections(),
  };
}

describe("@moq/net in Chromium, over WebSocket", { timeout: 120_000 }, () => {
  let browser: Browser;
  let postern: Postern;
  let site: Awaited<ReturnType<typeof servePage>>;
  before(async () => {
    [browser, postern, site] = await Promise.all([
      launchChromium(),
      startPostern(["--auth-public", ""]),
      servePage(),
    ]);
  });
  after(async () => {
    await browser.close();
    await postern[Symbol.asyncDispose]();
    site.close();
  });

  const open = async () => {
    const tab = await browser.newPage();
    await tab.goto(site.url);
    return tab;
  };

  test("a page publishes its canvas, Node watches", async () => {
    const tab = await open();
    const session = await tab.evaluate((url) => page.publish(url, "canvas"), postern.url);
    assert.deepEqual(session, { version: "moq-lite-05", transport: "websocket" });
    const watcher = await netClient()(new URL(postern.url));
    const announced = watcher.announced();
    assert.deepEqual(await announced(), { path: "canvas", active: true });
    const track = watcher.subscribe("canvas", "video");
    for (let pictures = 0; pictures < 5; pictures++) assert.match((await track.next())!, /^.PNG/);
    await tab.close();
    assert.deepEqual(await announced(), { path: "canvas", active: false });
    watcher.close();
  });

  test("Node publishes, a page watches", async () => {
    const publisher = await netClient()(new URL("/room", postern.url));
    const timers: ReturnType<typeof setInterval>[] = [];
    publisher.publish("clock", (track) => {
      let second = 0;
      timers.push(setInterval(() => track.group(`tick ${second++}`), 20));
    });
    const tab = await open();
    const ticks = await tab.evaluate((url) => page.watch(url, "room/clock", "seconds", 10), postern.url);
    for (const timer of timers) clearInterval(timer);
    const first = Number(ticks[0]!.split(" ")[1]);
    assert.deepEqual(
      ticks,
      Array.from({ length: 10 }, (_, at) => `tick ${first + at}`),
    );
    publisher.close();
    await tab.close();
  });

  test("one tab to another", async () => {
    const [from, to] = [await open(), await open()];
    await from.evaluate((url) => page.publish(url, "tab"), postern.url);
    const pictures = await to.evaluate((url) => page.watch(url, "tab", "video", 3), postern.url);
    assert.equal(pictures.length, 3);
    await from.close();
    await to.close();
  });
});
