import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type { Browser } from "playwright-core";
import { connectLive } from "#clients/client/src/live.ts";
import { launchChromium } from "#tests/support/chromium.ts";
import { type Postern, startPostern } from "#tests/support/postern.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import type { ClientPage } from "./live/client-page.ts";
import { servePage } from "./live/serve-page.ts";

declare const page: ClientPage;

describe("the live client in Chromium", { timeout: 120_000 }, () => {
  const folder = temporaryFolder();
  let browser: Browser;
  let plain: Postern;
  let secure: Postern;
  let site: Awaited<ReturnType<typeof servePage>>;
  let hash: string;

  before(async () => {
    // A browser trusts a certificate by its hash if it is ECDSA and valid for 14 days at most.
    const [cert, key] = [folder.file("tls.crt"), folder.file("tls.key")];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
    const request = ["req", "-x509", ...curve, "-nodes", "-days", "10", ...names];
    execFileSync("openssl", [...request, "-keyout", key, "-out", cert], { stdio: "ignore" });
    hash = new X509Certificate(readFileSync(cert)).fingerprint256.replaceAll(":", "");
    const tls = ["--tls-cert", cert, "--tls-key", key];
    [browser, plain, secure, site] = await Promise.all([
      launchChromium(),
      startPostern(["--auth-public", "open"]),
      startPostern(["--auth-public", "", "--webtransport", "quiche", ...tls]),
      servePage("client-page.ts"),
    ]);
  });
  after(async () => {
    await browser.close();
    await plain[Symbol.asyncDispose]();
    await secure[Symbol.asyncDispose]();
    site.close();
    folder[Symbol.dispose]();
  });

  const open = async () => {
    const tab = await browser.newPage();
    await tab.goto(site.url);
    return tab;
  };
  const trusting = () => ({ url: secure.url, options: { certificateHashes: [hash] } });
  const assertCounts = (groups: string[][]) => {
    const first = Number(groups[0]![0]);
    assert.deepEqual(
      groups.flat(),
      groups.flat().map((_, at) => String(first + at)),
    );
  };

  test("one tab to another over WebTransport", async () => {
    const [from, to] = [await open(), await open()];
    const publish = ({ url, options }: ReturnType<typeof trusting>) => page.publish(url, "tab", options);
    assert.deepEqual(await from.evaluate(publish, trusting()), { transport: "webtransport", version: 5 });
    const watch = ({ url, options }: ReturnType<typeof trusting>) => page.watch(url, "tab", 20, options);
    const { transport, groups } = await to.evaluate(watch, trusting());
    assert.equal(transport, "webtransport");
    assertCounts(groups);
    await from.close();
    await to.close();
  });

  test("falls back to a WebSocket where there is no WebTransport", async () => {
    const [from, to] = [await open(), await open()];
    const url = `${plain.url}/open`;
    const session = await from.evaluate((at) => page.publish(at, "tab", {}), url);
    assert.deepEqual(session, { transport: "websocket", version: 5 });
    const { transport, groups } = await to.evaluate((at) => page.watch(at, "tab", 20, {}), url);
    assert.equal(transport, "websocket");
    assertCounts(groups);
    await from.close();
    await to.close();
  });

  test("a tab publishes, Node watches", async () => {
    const tab = await open();
    const url = `${plain.url}/open`;
    await tab.evaluate((at) => page.publish(at, "to-node", {}), url);
    const viewer = await connectLive(url);
    let groups = 0;
    for await (const group of viewer.subscribe("to-node", "count", { follow: true })) {
      for await (const { payload } of group) assert.match(new TextDecoder().decode(payload), /^\d+$/);
      if (++groups === 5) break;
    }
    viewer.close();
    await tab.close();
  });

  test("a refusal is told as such, which a WebSocket keeps to itself", async () => {
    const tab = await open();
    const refused = { code: "relay_refused", status: 401 };
    for (const path of ["/elsewhere", "/open?jwt=forged"]) {
      const told = await tab.evaluate((at) => page.refusal(at, {}), plain.url + path);
      assert.deepEqual(told, refused);
    }
    await tab.close();
  });

  for (const over of ["WebTransport", "WebSocket"]) {
    test(`reads over ${over} why its session ended`, async () => {
      await using postern =
        over === "WebSocket"
          ? await startPostern(["--auth-public", "", "--live-drain", "100ms"])
          : await startPostern([
              ...["--auth-public", "", "--live-drain", "100ms", "--webtransport", "quiche"],
              ...["--tls-cert", folder.file("tls.crt"), "--tls-key", folder.file("tls.key")],
            ]);
      const tab = await open();
      const given = { url: postern.url, options: over === "WebSocket" ? {} : trusting().options };
      const closing = tab.evaluate(({ url, options }) => page.untilClosed(url, options), given);
      await tab.waitForFunction(() => (globalThis as { connected?: boolean }).connected);
      postern.process.kill("SIGTERM");
      assert.deepEqual(await closing, { code: 0, reason: "the relay is going down" });
      await tab.close();
    });
  }
});
