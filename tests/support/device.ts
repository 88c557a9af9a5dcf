import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";

export interface Device extends AsyncDisposable {
  readonly page: Page;
  readonly context: BrowserContext;
  /** What its pages complained about; a test that expects some takes it away. */
  readonly complaints: string[];
  /** Another tab of the same browser window. */
  openTab(url: string): Promise<Page>;
}

/**
 * A device of its own with the relay's page open. Whatever its pages complain about, or ask of others than the relay,
 * fails the test in the end.
 */
export async function openDevice(
  browser: Browser,
  relayUrl: string,
  options: BrowserContextOptions = {},
  { url = relayUrl, initScript }: { url?: string; initScript?: string } = {},
): Promise<Device> {
  const context = await browser.newContext(options);
  if (initScript !== undefined) await context.addInitScript(initScript);
  const complaints: string[] = [];
  const openTab = async (at: string) => {
    const page = await context.newPage();
    page.setDefaultTimeout(10_000);
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("request", (request) => {
      const { origin, protocol } = new URL(request.url());
      if (protocol !== "data:" && origin !== relayUrl) complaints.push(`asked ${origin}`);
    });
    await page.goto(at);
    await page.locator("html[data-ready]").waitFor();
    return page;
  };
  return {
    context,
    complaints,
    openTab,
    page: await openTab(url),
    async [Symbol.asyncDispose]() {
      await context.close();
      assert.deepEqual(complaints, []);
    },
  };
}

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe finds that is serious. The page's policy would refuse the checker's script: open it with `bypassCSP`. */
export async function axeFaults(page: Page): Promise<string[]> {
  await page.addScriptTag({ content: axe });
  return await page.evaluate(async () => {
    // biome-ignore lint/suspicious/noExplicitAny: the checker is a global of the page
    const { violations } = await (globalThis as any).axe.run();
    return violations
      .filter(({ impact }: { impact: string }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }: { id: string; nodes: { html: string }[] }) => `${id}: ${nodes[0]!.html}`);
  });
}

/** Presses Tab until the element with this id has the focus. */
export async function tabTo(page: Page, id: string): Promise<void> {
  for (let presses = 0; presses < 60; presses++) {
    await page.keyboard.press("Tab");
    if ((await page.evaluate(() => document.activeElement?.id)) === id) return;
  }
  assert.fail(`#${id} is not reached`);
}
