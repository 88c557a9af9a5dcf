import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Browser } from "playwright-core";
import { launchChromium } from "#tests/support/chromium.ts";
import { type Postern, startPostern } from "#tests/support/postern.ts";
import type { Page as BroadcastPage } from "./live/browser-page.ts";
import { netClient } from "./live/clients.ts";
import { servePage } from "./live/serve-page.ts";

declare const page: BroadcastPage;

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
