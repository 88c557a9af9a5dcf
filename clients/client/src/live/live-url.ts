import { PosternError } from "../errors.ts";

/** `https://relay.example/room` with the token in it; `ws:` and `wss:` will do too. */
export function parseLiveUrl(given: string | URL, token: string | undefined): URL {
  let url: URL;
  try {
    url = new URL(given);
  } catch {
    throw invalid("expected a URL such as https://relay.example/room");
  }
  url.protocol = url.protocol.replace(/^ws/, "http");
  if (url.protocol !== "https:" && url.protocol !== "http:") throw invalid("expected http or https");
  if (url.username !== "" || url.password !== "") throw invalid("a user name or password cannot be used");
  url.hash = "";
  if (token !== undefined) url.searchParams.set("jwt", token);
  return url;
}

/** Where the relay answers a plain request of who may come in there. */
export function announcedUrl(session: URL): URL {
  const url = new URL(session);
  url.pathname = `/announced${url.pathname}`.replace(/\/+$/, "");
  return url;
}

const invalid = (why: string) =>
  new PosternError("option_invalid", { message: `url: ${why}.`, details: { option: "url" } });
