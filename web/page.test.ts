import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import * as sdk from "@synonymdev/pubky";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { launchChromium } from "#tests/support/chromium.ts";
import { axeFaults, openDevice as openDeviceOf, tabTo } from "#tests/support/device.ts";
import { type Postern, runPostern, startPostern } from "#tests/support/postern.ts";
import { bundlePage } from "./bundle.ts";
import type { RelayFacts } from "./relay-facts.ts";
import { PAGE_POLICY, pageRoutes } from "./routes.ts";

const html = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };
/** Bytes after gzip, of all that a first visit loads. */
const SIZE_MAX = 60_000;

let relay: Postern;
before(async () => {
  relay = await startPostern(["--rate-limit", "6000"]);
});
after(() => relay?.[Symbol.asyncDispose]());

describe("who gets the page", () => {
  test("who names text/html gets the page, under its policy", async () => {
    const response = await fetch(relay.url, { headers: html });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("content-type"), "text/html; charset=utf-8");
    assert.equal(response.headers.get("content-security-policy"), PAGE_POLICY);
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
    assert.equal(response.headers.get("referrer-policy"), "no-referrer");
    assert.match(response.headers.get("vary")!, /^accept,/);
    assert.match(await response.text(), /^<!doctype html>/);
  });

  test("HEAD says the same and sends nothing", async () => {
    const response = await fetch(relay.url, { method: "HEAD", headers: html });
    assert.equal(response.headers.get("content-security-policy"), PAGE_POLICY);
    assert.equal(await response.text(), "");
  });

  for (const accept of ["*/*", "text/*", "text/plain", "text/html;q=0"]) {
    test(`Accept: ${accept} gets the original's text`, async () => {
      const response = await fetch(relay.url, { headers: { accept } });
      assert.equal(response.headers.get("content-type"), "text/plain; charset=utf-8");
      assert.equal(response.headers.get("content-security-policy"), null);
      assert.equal(await response.text(), "Http Relay");
    });
  }

  test("nothing can be posted to the page, its files or the limits", async () => {
    for (const path of ["/", "/relay.json", "/assets/main.js"]) {
      const response = await fetch(relay.url + path, { method: "POST", headers: html, body: "x" });
      assert.equal(response.status, 405, path);
      assert.equal(response.headers.get("allow"), "GET,HEAD");
    }
  });

  test("files are named by the page, kept for ever, compressed where that is accepted", async () => {
    const page = await (await fetch(relay.url, { headers: html })).text();
    const names = [...page.matchAll(/"(assets\/[^"]+)"/g)].map(([, name]) => name!);
    assert.equal(names.length, 3);
    for (const name of names) {
      const plain = await fetch(`${relay.url}/${name}`, { headers: { "accept-encoding": "gzip;q=0" } });
      const gzipped = await fetch(`${relay.url}/${name}`, { headers: { "accept-encoding": "br, gzip" } });
      assert.match(
        plain.headers.get("content-type")!,
        name.endsWith("js") ? /^text\/javascript/ : /^text\/css/,
      );
      assert.match(plain.headers.get("cache-control")!, /immutable/);
      assert.equal(plain.headers.get("content-encoding"), null);
      assert.equal(gzipped.headers.get("content-encoding"), "gzip");
      assert.equal(await gzipped.text(), await plain.text());
    }
    assert.equal((await fetch(`${relay.url}/assets/..%2fpackage.json`)).status, 404);
    assert.equal((await fetch(`${relay.url}/assets/none.js`)).status, 404);
  });

  test("relay.json has the limits in effect and no secret", async () => {
    await using other = await startPostern([
      ...["--max-body-size", "4096", "--inbox-timeout", "7s", "--metrics-token", "a-secret"],
      ...["--no-mailbox", "--no-ohttp", "--auth-public", ""],
    ]);
    const text = await (await fetch(`${other.url}/relay.json`)).text();
    assert.doesNotMatch(text, /secret/);
    const { version, ...facts } = JSON.parse(text);
    assert.match(version, /^\d+\.\d+\.\d+/);
    assert.deepEqual(facts, {
      name: "postern",
      modes: { rendezvous: true, mailbox: false, live: true, ohttp: false },
      requestsPerMinute: null,
      rendezvous: {
        maxBodyBytes: 4096,
        keptMs: 300_000,
        inboxWaitMs: 7000,
        linkWaitMs: 600_000,
        durable: false,
      },
      mailbox: null,
      live: { publicPublish: [""], publicWatch: [""], webTransport: false },
    });
  });

  test("with --no-page there is no page, file or relay.json", async () => {
    await using other = await startPostern(["--no-page"]);
    assert.equal(await (await fetch(other.url, { headers: html })).text(), "Http Relay");
    assert.equal((await fetch(`${other.url}/relay.json`)).status, 404);
  });

  test("it is bundled when first asked for, once, and again only after a failure", async () => {
    let bundled = 0;
    const routes = pageRoutes({} as RelayFacts, async () => {
      bundled++;
      if (bundled === 1) throw new Error("no memory");
      return { html: "<!doctype html>", assets: new Map() };
    });
    assert.equal(bundled, 0);
    const ask = () => routes(new Request("http://relay.example/", { headers: html }))!.respond();
    await assert.rejects(ask(), /no memory/);
    const both = await Promise.all([ask(), ask()]);
    assert.deepEqual(
      both.map(({ status }) => status),
      [200, 200],
    );
    assert.equal(bundled, 2);
  });

  test("a first visit is small, and what live takes is no part of it", async () => {
    const { html, assets } = await bundlePage();
    const wanted = [...html.matchAll(/<(?:script|link)\b[^>]*"assets\/([^"]+)"/g)].map(([, name]) => name!);
    const loaded = new Set<string>();
    let total = gzipSync(html).length;
    for (let name = wanted.pop(); name !== undefined; name = wanted.pop()) {
      if (loaded.has(name)) continue;
      loaded.add(name);
      const { content } = assets.get(name)!;
      total += gzipSync(content).length;
      const text = new TextDecoder().decode(content);
      for (const [, file] of text.matchAll(/(?:from|import)"\.\/([^"]+)"/g)) wanted.push(file!);
    }
    assert.ok(total < SIZE_MAX, `${total} bytes`);
    const later = [...assets.keys()].filter((name) => !loaded.has(name));
    assert.ok(later.some((name) => name.startsWith("live-view-")));
    assert.ok(![...loaded].some((name) => /^(live-view|ticker)-/.test(name)));
  });
});

describe("the page in a browser", () => {
  let browser: Browser;
  before(async () => {
    browser = await launchChromium();
  });
  after(() => browser?.close());

  const openDevice = (options: BrowserContextOptions = {}, url = relay.url) =>
    openDeviceOf(browser, relay.url, options, { url });
  const says = (page: Page, id: string, text: string) => page.locator(`#${id}`, { hasText: text }).waitFor();
  const wire = (page: Page, id: string) => page.locator(`#${id} .wire-row[data-state=good]`);

  test("shows the limits in effect", async () => {
    await using device = await openDevice();
    await says(device.page, "limits", "2048 bytes");
    await says(device.page, "limits", "6000 a minute");
    await says(device.page, "modes", "rendezvous");
    assert.equal(await device.page.locator("#use-curl [data-relay]").textContent(), relay.url);
  });

  test("hands a message from one pane to the other and shows each request, the id shortened", async () => {
    await using device = await openDevice();
    const { page } = device;
    await page.fill("#message", "<b>hi</b> over there");
    await page.click("#receive");
    await says(page, "receiver-status", "Waiting");
    await page.click("#send");
    await says(page, "receiver-status", "Received");
    await says(page, "sender-status", "Delivered");
    assert.equal(await page.locator("#received").textContent(), "<b>hi</b> over there");
    await wire(page, "try-wire").nth(3).waitFor();
    const rows = await wire(page, "try-wire").allInnerTexts();
    const shape = rows.map((row) => row.replaceAll(/\s+/g, " ").replaceAll(/inbox\/[\w-]{6}…/g, "ID")).sort();
    const expected = [
      /^receiver DELETE \/ID 200 · [\d.]+ m?s$/,
      /^receiver GET \/ID 200 · /,
      /^sender GET \/ID\/await 200 · /,
      /^sender POST \/ID 200 · /,
    ];
    for (const [at, pattern] of expected.entries()) assert.match(shape[at]!, pattern);
  });

  test("stops waiting when told, and tells when a message is too long", async () => {
    await using device = await openDevice();
    const { page } = device;
    await page.click("#receive");
    await says(page, "receiver-status", "Waiting");
    await page.click("#receive");
    await says(page, "receiver-status", "Stopped.");

    await page.fill("#message", "x".repeat(2049));
    await page.click("#send");
    await says(page, "sender-status", "Too long: this relay takes 2048 bytes");
    await page.locator("#try-wire [data-state=bad]", { hasText: "413" }).waitFor();
    // Chromium reports every answer above 399.
    assert.match(device.complaints.splice(0).join(), /^Failed to load resource: .* 413 /);
  });

  test("the link hands a message to another device, and the relay never sees the secret", async () => {
    await using here = await openDevice();
    const link = (await here.page.locator("#device-link").getAttribute("href"))!;
    const [, secret] = link.split("#");
    assert.equal(secret!.length, 43);
    const seen: string[] = [];
    here.page.on("request", (request) => seen.push(request.url() + (request.postData() ?? "")));
    await using there = await openDevice({}, link);
    there.page.on("request", (request) => seen.push(request.url()));
    await says(there.page, "receiver-status", "Waiting");
    await here.page.fill("#message", "from one device to another");
    await here.page.click("#send");
    await says(there.page, "received", "from one device to another");
    await says(here.page, "sender-status", "Delivered");
    assert.ok(seen.length > 0);
    for (const text of seen) {
      assert.ok(!text.split("#")[0]!.includes(secret!));
      assert.ok(!text.includes("from one device"));
    }
  });

  test("the command it shows receives the message in a terminal", async () => {
    await using device = await openDevice();
    const { page } = device;
    const command = (await page.locator("#device-code").textContent())!;
    const [, code] = /^postern receive '(.*)'$/.exec(command)!;
    await page.fill("#message", "to the terminal");
    await page.click("#send");
    const { stdout, code: exitCode } = await runPostern(["receive", code!]);
    assert.equal(stdout, "to the terminal");
    assert.equal(exitCode, 0);
    await says(page, "sender-status", "Delivered");
  });

  test("the demo authenticator signs in", async () => {
    await using device = await openDevice();
    const { page } = device;
    await page.click("#sign-in-start");
    await says(page, "sign-in-status", "Waiting for an approval");
    await says(page, "asked", "read and write /pub/my-app.example/");
    await page.click("#approve");
    await says(page, "sign-in-status", "Signed in.");
    await says(page, "authenticator-status", "the app has it");
    const key = await page.locator("#demo-key").textContent();
    assert.match(key!, /^pubky[a-z0-9]{52}$/);
    assert.equal(await page.locator("#result-key").textContent(), key);
    assert.equal(await page.locator("#result-capabilities").textContent(), "/pub/my-app.example/:rw");
    assert.equal(await page.locator("#sign-in-steps [data-state=done]").count(), 4);
    assert.equal(await page.locator("#sign-in-qr svg").count(), 0);
  });

  test("a signer of the Pubky SDK signs in", async () => {
    await using device = await openDevice();
    const { page } = device;
    await page.click("#sign-in-start");
    const keypair = sdk.Keypair.random();
    const link = (await page.locator("#sign-in-link[href^=pubkyauth]").getAttribute("href"))!;
    await new sdk.Pubky().signer(keypair).approveAuthRequest(link);
    await says(page, "result-key", keypair.publicKey.z32());
  });

  test("declining sends nothing and says so; cancelling takes the code away", async () => {
    await using device = await openDevice();
    const { page } = device;
    await page.click("#sign-in-start");
    await page.locator("#sign-in-qr svg").waitFor();
    await page.click("#decline");
    await says(page, "authenticator-status", "Declined. Nothing was sent");
    assert.ok(await page.locator("#approve").isDisabled());
    await page.click("#sign-in-cancel");
    await says(page, "sign-in-status", "Cancelled.");
    assert.equal(await page.locator("#sign-in-qr svg").count(), 0);
    assert.deepEqual(await page.locator("#sign-in-wire .wire-method").allTextContents(), ["GET"]);
    await page.click("#sign-in-start");
    await page.click("#approve");
    await says(page, "sign-in-status", "Signed in.");
  });

  test("everything can be done with the keyboard alone", async () => {
    await using device = await openDevice();
    const { page } = device;
    await tabTo(page, "send");
    const outline = await page.locator("#send").evaluate((button) => getComputedStyle(button).outlineStyle);
    assert.equal(outline, "solid");
    await page.keyboard.press("Enter");
    await tabTo(page, "receive");
    await page.keyboard.press("Space");
    await says(page, "sender-status", "Delivered");
    await tabTo(page, "sign-in-start");
    await page.keyboard.press("Enter");
    await page.locator("#sign-in-cancel:focus").waitFor();
    await tabTo(page, "approve");
    await page.keyboard.press("Enter");
    await says(page, "sign-in-status", "Signed in.");
  });

  test("copies a snippet with this relay's address", async () => {
    await using device = await openDevice({ permissions: ["clipboard-read", "clipboard-write"] });
    const { page } = device;
    await page.click("[data-copies=use-curl]");
    await says(page, "copied", "Copied.");
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    assert.ok(copied.startsWith(`relay=${relay.url}\n`));
  });

  test("fits a phone", async () => {
    await using device = await openDevice({ viewport: { width: 360, height: 740 } });
    const { page } = device;
    await page.click("#sign-in-start");
    await page.click("#sign-in-request summary");
    await page.click("#approve");
    await says(page, "authenticator-status", "the app has it");
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
  });

  for (const colorScheme of ["light", "dark"] as const) {
    test(`axe finds no serious fault, ${colorScheme}`, async () => {
      // The policy would refuse the checker's own script.
      await using device = await openDevice({ colorScheme, bypassCSP: true, reducedMotion: "reduce" });
      const { page } = device;
      await page.click("#receive");
      await page.click("#sign-in-start");
      await page.locator("#sign-in-qr svg").waitFor();
      assert.deepEqual(await axeFaults(page), []);
      await page.click("#send");
      await page.click("#approve");
      await says(page, "authenticator-status", "the app has it");
      await says(page, "sender-status", "Delivered");
      assert.deepEqual(await axeFaults(page), []);
    });
  }
});
