import { gzipSync } from "node:zlib";
import { type HeaderList, Reply } from "#wire/http/reply.ts";
import { acceptsExplicitly, pathOf, type RelayRequest } from "#wire/http/request.ts";
import { emptyReply, type Routes } from "#wire/http/router.ts";
import { bundlePage, type PageBundle } from "./bundle.ts";
import type { RelayFacts } from "./relay-facts.ts";

/** The page may run its own files and ask its own relay; nothing else, and nobody may frame it. */
export const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const assetsAt = "/assets/";

/**
 * `GET /` for browsers, `/assets/{name}` and `/relay.json`. Whoever does not name `text/html` in `Accept` is left to
 * the next part, and so keeps the original relay's greeting.
 *
 * The page is bundled when it is first asked for.
 */
export function pageRoutes(facts: RelayFacts, bundle: () => Promise<PageBundle> = bundlePage): Routes {
  let bundled: Promise<PageBundle> | undefined;
  const page = () => {
    bundled ??= bundle().catch((error) => {
      // The next visitor tries again.
      bundled = undefined;
      throw error;
    });
    return bundled;
  };
  const factsText = JSON.stringify(facts);

  return (request) => {
    const path = pathOf(request);
    const isRead = request.method === "GET" || request.method === "HEAD";
    if (path === "/" && isRead && acceptsExplicitly(request, "text/html")) {
      return { route: "/", respond: async () => documentReply(request, (await page()).html) };
    }
    const route = path.startsWith(assetsAt)
      ? "/assets/{name}"
      : path === "/relay.json"
        ? "/relay.json"
        : undefined;
    if (route === undefined) return undefined;
    if (!isRead) return { route, respond: async () => emptyReply(405, [["allow", "GET,HEAD"]]) };
    if (route === "/relay.json") return { route, respond: async () => factsReply(request, factsText) };
    return { route, respond: async () => assetReply(request, await page(), path.slice(assetsAt.length)) };
  };
}

function documentReply(request: RelayRequest, html: string): Reply {
  return compressed(request, html, [
    ["content-type", "text/html; charset=utf-8"],
    ["content-security-policy", PAGE_POLICY],
    ["referrer-policy", "no-referrer"],
    ["cache-control", "no-cache"],
    ["vary", "accept"],
  ]);
}

function factsReply(request: RelayRequest, text: string): Reply {
  return compressed(request, text, [
    ["content-type", "application/json"],
    ["cache-control", "no-cache"],
  ]);
}

function assetReply(request: RelayRequest, { assets }: PageBundle, name: string): Reply {
  const asset = assets.get(name);
  if (!asset) return emptyReply(404);
  return compressed(request, asset.content, [
    ["content-type", asset.contentType],
    ["cache-control", "public, max-age=31536000, immutable"],
  ]);
}

/** Nothing here is secret or depends on the asker, so compressing it gives nothing away. */
function compressed(request: RelayRequest, content: string | Uint8Array, headers: HeaderList): Reply {
  headers.push(["x-content-type-options", "nosniff"], ["vary", "accept-encoding"]);
  const accepted = request.headers.get("accept-encoding") ?? "";
  if (!/\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/i.test(accepted)) return new Reply(200, headers, content);
  return new Reply(200, [...headers, ["content-encoding", "gzip"]], gzipOf(content));
}

const gzipByContent = new Map<string | Uint8Array, Uint8Array>();

/** Compressed once: the contents are a handful of constants. */
function gzipOf(content: string | Uint8Array): Uint8Array {
  let gzipped = gzipByContent.get(content);
  if (!gzipped) {
    gzipped = gzipSync(content, { level: 9 });
    gzipByContent.set(content, gzipped);
  }
  return gzipped;
}
