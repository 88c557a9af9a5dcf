import { blake3 } from "@noble/hashes/blake3.js";
import { encodeBase64url } from "./base64url.ts";
import { PubkyError } from "./errors.ts";

/** How the relay hands over: `inbox` stores and waits for an acknowledgement, in `link` the read is one. */
export type ChannelBinding = "inbox" | "link";

/** The relay id of a request: 43 letters that tell nothing of the secret. */
export function channelId(clientSecret: Uint8Array): string {
  if (clientSecret.length !== 32) throw new PubkyError("secret_malformed");
  return encodeBase64url(blake3(clientSecret));
}

/** `relay` with the channel as its last path segment; the relay's own query string stays. */
export function channelUrl(relay: string | URL, clientSecret: Uint8Array): URL {
  const url = new URL(relay);
  url.pathname = `${url.pathname.replace(/\/$/, "")}/${channelId(clientSecret)}`;
  url.hash = "";
  return url;
}

/** A relay whose path ends in `/link` is a link relay; every other one is an inbox. */
export function channelBinding(relay: string | URL): ChannelBinding {
  return /\/link\/?$/.test(new URL(relay).pathname) ? "link" : "inbox";
}

/** The relay as a URL that can be fetched, or `undefined`: only `http:` and `https:` are. */
export function parseRelay(text: string): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url && (url.protocol === "https:" || url.protocol === "http:") ? url : undefined;
}
