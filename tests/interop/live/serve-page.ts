import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { build } from "esbuild";

/** A script of this folder, and an origin of its own to serve it from. */
export async function servePage(
  script: "browser-page.ts" | "client-page.ts" = "browser-page.ts",
): Promise<{ url: string; close(): void }> {
  const bundle = await build({
    entryPoints: [join(import.meta.dirname, script)],
    bundle: true,
    format: "iife",
    write: false,
    logLevel: "silent",
  });
  const text = bundle.outputFiles[0]!.text;
  const server = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? text : "<!doctype html><title>live</title><script src=/page.js></script>");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () => void server.close().closeAllConnections(),
  };
}
