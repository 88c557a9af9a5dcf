import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type { Browser } from "playwright-core";
import { launchChromium } from "#tests/support/chromium.ts";
import { type Postern, startPostern } from "#tests/support/postern.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import type { Page as BroadcastPage } from "./live/browser-page.ts";
import { servePage } from "./live/serve-page.ts";

declare const page: BroadcastPage;

describe("@moq/net in Chromium, over WebTransport", { timeout: 120_000 }, () => {
  const folder = temporaryFolder();
  let browser: Browser;
  let postern: Postern;
  let site: Awaited<ReturnType<typeof servePage>>;
  let hash: string;

  before(async () => {
    // A browser trusts a certificate by its hash if it is ECDSA and valid for 14 days at most.
    const [cert, key] = [folder.file("tls.crt"), folder.file("tls.key")];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
    const request = ["req", "-x509", ...curve, "-nodes", "-days", "10", ...names];
    execFileSync("openssl", [...request, "-keyout", key, "-out", cert], { stdio: "ignore" });
    hash = new X509Certificate(readFileSync(cert)).fingerprint256.replaceAll(":", "").toLowerCase();
    const tls = ["--tls-cert", cert, "--tls-key", key];
    [browser, postern, site] = await Promise.all([
      launchChromium(),
      startPostern(["--auth-public", "", "--webtransport", "quiche", ...tls]),
      servePage(),
    ]);
  });
  after(async () => {
    await browser.close();
    await postern[Symbol.asyncDispose]();
    site.close();
    folder[Symbol.dispose]();
  });

  const open = async () => {
    const tab = await browser.newPage();
    await tab.goto(site.url);
    return tab;
  };
  const at = (path = "/") => ({ url: new URL(path, postern.url).href, hash });

  test("a page publishes its canvas, another watches it, in moq-lite-05", async () => {
    const [from, to] = [await open(), await open()];
    const session = await from.evaluate(({ url, hash }) => page.publish(url, "canvas", hash), at("/room"));
    assert.deepEqual(session, { version: "moq-lite-05", transport: "webtransport" });
    const watch = ({ url, hash }: ReturnType<typeof at>) => page.watch(url, "room/canvas", "video", 20, hash);
    const pictures = await to.evaluate(watch, at());
    assert.equal(pictures.length, 20);
    for (const picture of pictures) assert.match(picture, /^.PNG/);
    await from.close();
    await to.close();
  });

  test("the daemon stops with a session open: the page reads why", async () => {
    const tab = await open();
    const closing = tab.evaluate(({ url, hash }) => page.untilClosed(url, hash), at());
    await tab.waitForFunction(() => (globalThis as { connected?: boolean }).connected);
    postern.process.kill("SIGTERM");
    assert.deepEqual(await closing, { closeCode: 0, reason: "the relay is going down" });
    assert.equal(await postern.exited, 0);
    await tab.close();
  });
});
