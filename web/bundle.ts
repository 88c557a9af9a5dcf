import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";

/** What a browser gets: the document, and the files it names by a name that changes with their content. */
export interface PageBundle {
  readonly html: string;
  readonly assets: ReadonlyMap<string, Asset>;
}

export interface Asset {
  readonly contentType: string;
  readonly content: Uint8Array;
}

const source = (name: string) => fileURLToPath(new URL(`./src/${name}`, import.meta.url));
const contentTypes = { js: "text/javascript; charset=utf-8", css: "text/css; charset=utf-8" };

/** Bundles `web/src`. The bundler is loaded here and stopped again, so that a relay nobody looks at pays nothing. */
export async function bundlePage(): Promise<PageBundle> {
  const esbuild = await import("esbuild");
  try {
    const { outputFiles } = await esbuild.build({
      entryPoints: [source("main.ts"), source("page.css"), source("live/ticker.ts")],
      bundle: true,
      // What `main.ts` imports when it is asked for is a file of its own.
      splitting: true,
      minify: true,
      write: false,
      outdir: "assets",
      entryNames: "[name]-[hash]",
      chunkNames: "[name]-[hash]",
      format: "esm",
      platform: "browser",
      target: "es2022",
      legalComments: "none",
      logLevel: "silent",
    });
    const assets = new Map<string, Asset>();
    let html = await readFile(source("index.html"), "utf8");
    for (const { path, contents } of outputFiles) {
      const name = basename(path);
      const isScript = name.endsWith(".js");
      assets.set(name, { contentType: contentTypes[isScript ? "js" : "css"], content: contents });
      // Relative, so that the page works below a path of a proxy.
      const written = name.replace(/-[^-]*$/, isScript ? ".ts" : ".css");
      html = html.replace(`"${written}"`, `"assets/${name}"`);
    }
    return { html, assets };
  } finally {
    await esbuild.stop();
  }
}
