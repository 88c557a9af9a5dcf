import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { generate, sign } from "@moq/token";
import type { Browser, Page } from "playwright-core";
import { connectLive } from "#clients/client/src/live.ts";
import { launchChromium } from "#tests/support/chromium.ts";
import { axeFaults, openDevice, tabTo } from "#tests/support/device.ts";
import { type Postern, startPostern } from "#tests/support/postern.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";

const says = (page: Page, id: string, text: string) => page.locator(`#${id}`, { hasText: text }).waitFor();
const shows = (page: Page, id: string) => page.locator(`.stage[data-on] #${id}`).waitFor();
const linkOf = async (page: Page) => {
  await page.locator("#live-device:not([hidden])").waitFor();
  return (await page.locator("#live-link").getAttribute("href"))!;
};

/** Colours of the test pattern's bars, and their middles as shares of the picture's width. */
const bars = ["c8c8c8", "c8c800", "00c8c8", "00c800", "c800c8", "c80000", "0000c8"].map(
  (colour, at, all) => ({
    rgb: colour.match(/../g)!.map((byte) => Number.parseInt(byte, 16)),
    x: (at + 0.5) / all.length,
  }),
);

/** The picture's colours at these places, as shares of its size. */
const pixels = (page: Page, places: readonly { x: number; y: number }[]) =>
  page.evaluate((wanted) => {
    const picture = document.querySelector<HTMLCanvasElement>("#watch-picture")!;
    const canvas = new OffscreenCanvas(picture.width, picture.height);
    const context = canvas.getContext("2d", { willReadFrequently: true })!;
    context.drawImage(picture, 0, 0);
    return wanted.map(({ x, y }) => [
      ...context.getImageData(x * canvas.width, y * canvas.height, 1, 1).data.slice(0, 3),
    ]);
  }, places);

async function assertBars(page: Page): Promise<void> {
  const found = await pixels(
    page,
    bars.map(({ x }) => ({ x, y: 0.15 })),
  );
  for (const [at, { rgb }] of bars.entries()) {
    const distance = Math.max(...rgb.map((value, channel) => Math.abs(value - found[at]![channel]!)));
    assert.ok(distance < 24, `bar ${at}: ${found[at]}, not ${rgb}`);
  }
}

/** Resolves once the number called `name` is between the two. */
async function untilNumber(
  page: Page,
  id: string,
  name: string,
  [min, max]: [number, number],
): Promise<void> {
  await page.waitForFunction(
    ({ id, name, min, max }) => {
      const terms = [...document.querySelectorAll(`#${id} dt`)];
      const value = terms.find((term) => term.textContent === name)?.nextElementSibling?.textContent ?? "";
      return Number.parseFloat(value) >= min && Number.parseFloat(value) <= max;
    },
    { id, name, min, max },
  );
}

/** Resolves once the picture is another one. */
async function untilPictureMoves(page: Page): Promise<void> {
  await page.evaluate(() => {
    Object.assign(window, {
      before: document.querySelector<HTMLCanvasElement>("#watch-picture")!.toDataURL(),
    });
  });
  await page.waitForFunction(
    () =>
      document.querySelector<HTMLCanvasElement>("#watch-picture")!.toDataURL() !==
      (globalThis as { before?: string }).before,
  );
}

describe("the page's live view", { timeout: 180_000 }, () => {
  let browser: Browser;
  let relay: Postern;
  before(async () => {
    [browser, relay] = await Promise.all([
      launchChromium(["--use-fake-device-for-media-stream"]),
      startPostern(["--auth-public", "demo"]),
    ]);
  });
  after(async () => {
    await browser?.close();
    await relay?.[Symbol.asyncDispose]();
  });

  test("says how to switch live on where it is off", async () => {
    await using off = await startPostern();
    await using device = await openDevice(browser, off.url);
    await says(device.page, "live-off", "postern serve --auth-public demo");
    assert.equal(await device.page.locator("#broadcast-pattern").isVisible(), false);
  });

  test("a second tab shows what the first broadcasts from the background", async () => {
    await using device = await openDevice(browser, relay.url);
    const { page } = device;
    await page.click("#broadcast-pattern");
    const link = await linkOf(page);
    await says(page, "broadcast-status", "Nobody watches");
    // The first tab is in the background from now on, where a page's own clock almost stops.
    const tab = await device.openTab(link);
    await tab.bringToFront();
    await shows(tab, "watch-picture");
    await says(tab, "watch-status", "Live.");
    await assertBars(tab);
    await untilNumber(tab, "watch-numbers", "frames a second", [10, 60]);
    await untilNumber(tab, "watch-numbers", "received", [1, 5_000]);
    await untilNumber(tab, "watch-numbers", "latency", [0, 1_000]);
    await untilPictureMoves(tab);
    await untilNumber(page, "broadcast-numbers", "frames a second", [10, 60]);
    await says(page, "broadcast-status", "On air, and watched.");
    await page.click("#broadcast-stop");
    await says(page, "broadcast-status", "Stopped.");
    await says(tab, "watch-status", "Waiting for the broadcast");
  });

  test("the relay carries ciphertext, and never sees the secret", async () => {
    await using device = await openDevice(browser, relay.url);
    const { page } = device;
    const seen: string[] = [];
    page.on("request", (request) => seen.push(request.url() + (request.postData() ?? "")));
    page.on("websocket", (socket) => {
      seen.push(socket.url());
      socket.on("framesent", ({ payload }) => seen.push(payload.toString("latin1")));
    });
    await page.click("#broadcast-pattern");
    const link = await linkOf(page);
    const [, secret, path] = /#live=([\w-]{43})\/(.+)$/.exec(link)!;
    await page.click("#watch-start");
    await shows(page, "watch-picture");
    assert.ok(seen.some((text) => text.includes(path!)));
    assert.ok(!seen.some((text) => text.includes(secret!) || text.includes('"codec"')));

    const session = await connectLive(relay.url);
    for await (const group of session.subscribe(path!, "about")) {
      for await (const { payload } of group) assert.doesNotMatch(new TextDecoder().decode(payload), /codec/);
      break;
    }
    for await (const group of session.subscribe(path!, "about", { secret: secret! })) {
      for await (const { payload } of group) assert.match(new TextDecoder().decode(payload), /"codec":"vp8"/);
      break;
    }
    session.close();

    const wrong = link.replace(secret!, `${secret!.slice(0, -1)}${secret!.endsWith("A") ? "E" : "A"}`);
    const tab = await device.openTab(wrong);
    await says(tab, "watch-status", "The link's key does not open this broadcast.");
  });

  test("stills reach a browser that decodes no video, and come from one that encodes none", async () => {
    const initScript = "delete globalThis.VideoDecoder; delete globalThis.VideoEncoder;";
    await using plain = await openDevice(browser, relay.url, {}, { initScript });
    await using full = await openDevice(browser, relay.url);
    for (const [from, to] of [
      [full, plain],
      [plain, full],
    ] as const) {
      await from.page.click("#broadcast-pattern");
      const tab = await to.openTab(await linkOf(from.page));
      await shows(tab, "watch-picture");
      await says(tab, "watch-numbers", "stills");
      await assertBars(tab);
      await untilNumber(tab, "watch-numbers", "frames a second", [3, 60]);
      await tab.close();
    }
  });

  test("broadcasts the camera, and says so when it may not", async () => {
    await using allowed = await openDevice(browser, relay.url, { permissions: ["camera"] });
    await allowed.page.click("#broadcast-camera");
    await using viewer = await openDevice(browser, relay.url, {}, { url: await linkOf(allowed.page) });
    await shows(viewer.page, "watch-picture");
    await untilNumber(viewer.page, "watch-numbers", "frames a second", [10, 60]);
    // Chromium's own test picture is green where nothing moves.
    const [[red, green, blue] = []] = await pixels(viewer.page, [{ x: 0.5, y: 0.9 }]);
    assert.ok(green! > red! + 40 && green! > blue! + 40, `${red} ${green} ${blue}`);

    const initScript =
      "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotAllowedError'); };";
    await using refused = await openDevice(browser, relay.url, {}, { initScript });
    await refused.page.click("#broadcast-camera");
    await says(refused.page, "broadcast-status", "The browser did not allow the camera.");
    await refused.page.click("#broadcast-pattern");
    await linkOf(refused.page);
  });

  test("goes on after the relay was away", async () => {
    const first = await startPostern(["--auth-public", ""]);
    const device = await openDevice(browser, first.url);
    const { page } = device;
    await page.click("#broadcast-pattern");
    await linkOf(page);
    await page.click("#watch-start");
    await says(page, "watch-status", "Live.");
    first.process.kill("SIGKILL");
    await first.exited;
    await says(page, "watch-status", "The connection was lost. Connecting again");
    await says(page, "broadcast-status", "The connection was lost. Connecting again");
    await using _second = await startPostern(["--auth-public", "", "--port", new URL(first.url).port]);
    await says(page, "watch-status", "Live.");
    await says(page, "broadcast-status", "On air, and watched.");
    // Chromium reports every attempt that failed.
    for (const complaint of device.complaints.splice(0)) assert.match(complaint, /ERR_CONNECTION_REFUSED/);
    await device[Symbol.asyncDispose]();
  });

  test("asks for a token where nothing is open to everybody", async () => {
    using folder = temporaryFolder();
    const key = await generate("ES256", "test");
    const file = folder.file("key.jwk");
    writeFileSync(file, JSON.stringify(key));
    await using closed = await startPostern(["--auth-key", file]);
    await using device = await openDevice(browser, closed.url);
    const { page } = device;
    await page.click("#broadcast-pattern");
    await says(page, "broadcast-status", "Paste a token first.");
    await page.fill("#broadcast-token", "nonsense");
    await page.click("#broadcast-pattern");
    await says(page, "broadcast-status", "This token does not allow publishing.");
    const token = await sign(key, { root: "room", put: "alice", get: "" });
    await page.fill("#broadcast-token", `${token}x`);
    await page.click("#broadcast-pattern");
    await says(page, "broadcast-status", "The relay does not accept this token here.");
    assert.match(device.complaints.splice(0).join(), /401/);
    await page.fill("#broadcast-token", token);
    await page.click("#broadcast-pattern");
    const link = await linkOf(page);
    assert.match(link, /\/room\/alice\/page-/);
    assert.ok(!link.includes(token));
    const tab = await device.openTab(link);
    await says(tab, "watch-status", "This relay asks for a token here.");
    await tab.fill("#watch-token", token);
    await tab.click("#watch-start");
    await says(tab, "watch-status", "Live.");
  });

  test("goes over WebTransport where the relay and the browser have it", async () => {
    using folder = temporaryFolder();
    const [cert, key] = [folder.file("tls.crt"), folder.file("tls.key")];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
    const request = ["req", "-x509", ...curve, "-nodes", "-days", "10", ...names];
    execFileSync("openssl", [...request, "-keyout", key, "-out", cert], { stdio: "ignore" });
    const spki = new X509Certificate(readFileSync(cert)).publicKey.export({ type: "spki", format: "der" });
    const trusted = createHash("sha256").update(spki).digest("base64");
    const tls = ["--tls-cert", cert, "--tls-key", key, "--webtransport", "quiche"];
    await using secure = await startPostern(["--auth-public", "demo", ...tls]);
    const trusting = await launchChromium([
      `--ignore-certificate-errors-spki-list=${trusted}`,
      // WebTransport wants an authority that is known to everybody, without this.
      "--webtransport-developer-mode",
    ]);
    try {
      await using device = await openDevice(trusting, secure.url);
      const { page } = device;
      await page.click("#broadcast-pattern");
      await linkOf(page);
      await page.click("#watch-start");
      await says(page, "watch-status", "Live.");
      await says(page, "broadcast-numbers", "WebTransport, moq-lite 05");
      await says(page, "watch-numbers", "WebTransport, moq-lite 05");
      await assertBars(page);
    } finally {
      await trusting.close();
    }
  });

  test("goes over WebTransport beside a page over plain HTTP, trusting the certificate by its hash", async () => {
    const generated = ["--tls-generate", "localhost,127.0.0.1", "--webtransport", "quiche"];
    await using plain = await startPostern(["--auth-public", "demo", ...generated]);
    assert.match(plain.url, /^http:/);
    await using device = await openDevice(browser, plain.url);
    const { page } = device;
    await page.click("#broadcast-pattern");
    await linkOf(page);
    await says(page, "broadcast-numbers", "WebTransport, moq-lite 05");
  });

  test("can be done with the keyboard alone", async () => {
    await using device = await openDevice(browser, relay.url);
    const { page } = device;
    await tabTo(page, "broadcast-pattern");
    await page.keyboard.press("Enter");
    await page.locator("#broadcast-stop:focus").waitFor();
    await tabTo(page, "watch-start");
    await page.keyboard.press("Space");
    await says(page, "watch-status", "Live.");
    await page.locator("#watch-stop:focus").waitFor();
    await page.keyboard.press("Enter");
    await says(page, "watch-status", "Stopped.");
    await page.locator("#watch-start:focus").waitFor();
    await page.focus("#broadcast-stop");
    await page.keyboard.press("Enter");
    await page.locator("#broadcast-pattern:focus").waitFor();
  });

  for (const colorScheme of ["light", "dark"] as const) {
    test(`fits a phone, and axe finds no serious fault, ${colorScheme}`, async () => {
      const phone = { colorScheme, viewport: { width: 360, height: 740 }, bypassCSP: true } as const;
      await using device = await openDevice(browser, relay.url, { ...phone, reducedMotion: "reduce" });
      const { page } = device;
      assert.deepEqual(await axeFaults(page), []);
      await page.click("#broadcast-pattern");
      const link = await linkOf(page);
      const tab = await device.openTab(link);
      await says(tab, "watch-status", "Live.");
      assert.deepEqual(await axeFaults(tab), []);
      assert.deepEqual(await axeFaults(page), []);
      for (const each of [page, tab]) {
        assert.equal(await each.evaluate(() => document.documentElement.scrollWidth), 360);
      }
    });
  }
});
