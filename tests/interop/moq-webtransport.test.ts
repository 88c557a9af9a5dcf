import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type { Browser } from "playwright-core";
import { systemEntropy } from "#core/clock.ts";
import { openDevelopmentCertificate } from "#edge/tls/development-certificate.ts";
import { launchChromium } from "#tests/support/chromium.ts";
import { hasNativeWebTransport, startWithNativeWebTransport } from "#tests/support/native-webtransport.ts";
import type { Postern } from "#tests/support/postern.ts";
import { simClock } from "#tests/support/sim-clock.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import type { Page as BroadcastPage } from "./live/browser-page.ts";
import { servePage } from "./live/serve-page.ts";

declare const page: BroadcastPage;

const dayMs = 86_400_000;

/** What serves WebTransport, and the version that clients come to speak with it. */
const libraries = [
  { library: "quiche", version: "moq-lite-05" },
  ...(hasNativeWebTransport() ? [{ library: "moq", version: "moq-lite-02" }] : []),
];

for (const { library, version } of libraries) {
  describe(`@moq/net in Chromium, over WebTransport (${library})`, { timeout: 120_000 }, () => {
    let browser: Browser;
    let site: Awaited<ReturnType<typeof servePage>>;

    before(async () => {
      [browser, site] = await Promise.all([launchChromium(), servePage()]);
    });
    after(async () => {
      await browser.close();
      site.close();
    });

    const serve = (...args: string[]): Promise<Postern> =>
      startWithNativeWebTransport([
        "--auth-public",
        "",
        "--webtransport",
        library,
        "--tls-generate",
        "localhost",
        ...args,
      ]);
    const open = async () => {
      const tab = await browser.newPage();
      await tab.goto(site.url);
      return tab;
    };
    const hashOf = async ({ url }: Postern) => await (await fetch(`${url}/certificate.sha256`)).text();

    test("a page publishes its canvas, another watches it, in the newest version the library allows", async () => {
      await using postern = await serve();
      const hash = await hashOf(postern);
      const url = postern.url.replace("http:", "https:");
      const [from, to] = [await open(), await open()];
      const session = await from.evaluate(({ url, hash }) => page.publish(`${url}/room`, "canvas", hash), {
        url,
        hash,
      });
      assert.deepEqual(session, { version, transport: "webtransport" });
      const watch = ({ url, hash }: { url: string; hash: string }) =>
        page.watch(url, "room/canvas", "video", 20, hash);
      const pictures = await to.evaluate(watch, { url, hash });
      assert.equal(pictures.length, 20);
      for (const picture of pictures) assert.match(picture, /^.PNG/);
      await from.close();
      await to.close();
    });

    test("given a plain URL it asks for the hash by itself, before and after the certificate is made anew", async () => {
      using folder = temporaryFolder();
      // Kept from a run that began almost half a certificate's life ago: soon it is time for the next.
      const aged = await openDevelopmentCertificate({
        hosts: ["localhost"],
        store: {
          read: () => undefined,
          write: (pem) => writeFileSync(folder.file("development-tls.pem"), pem),
        },
        clock: simClock(Date.now() - 6 * dayMs + 6_000),
        entropy: systemEntropy,
        failed: (error) => assert.fail(String(error)),
      });
      aged[Symbol.dispose]();
      await using postern = await serve("--persist-db", folder.file("relay.db"));
      const url = postern.url.replace("127.0.0.1", "localhost");
      const old = await hashOf(postern);
      let from = await open();
      const publish = (url: string) => page.publish(url, "canvas", "asked");
      assert.deepEqual(await from.evaluate(publish, url), { version, transport: "webtransport" });
      // This library takes the new one when no session is left.
      if (library === "moq") await from.close();

      while ((await hashOf(postern)) === old);
      const told = (await (await fetch(`${url}/certificates.json`)).json()) as { certificates: object[] };
      assert.deepEqual(told.certificates, [{ sha256: await hashOf(postern) }, { sha256: old }]);
      if (library === "moq") {
        from = await open();
        await from.evaluate(publish, url);
      }
      // The session that began with the old certificate goes on, a new one begins with the new.
      const to = await open();
      const pictures = await to.evaluate((url) => page.watch(url, "canvas", "video", 5, "asked"), url);
      assert.equal(pictures.length, 5);
      await from.close();
      await to.close();
    });

    test("the daemon stops with a session open: the page reads why", async () => {
      await using postern = await serve();
      const tab = await open();
      const at = { url: postern.url.replace("http:", "https:"), hash: await hashOf(postern) };
      const closing = tab.evaluate(({ url, hash }) => page.untilClosed(url, hash), at);
      await tab.waitForFunction(() => (globalThis as { connected?: boolean }).connected);
      postern.process.kill("SIGTERM");
      assert.deepEqual(await closing, { closeCode: 0, reason: "the relay is going down" });
      assert.equal(await postern.exited, 0);
      await tab.close();
    });
  });
}
