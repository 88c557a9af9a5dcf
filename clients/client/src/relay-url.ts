import { PosternError } from "./errors.ts";

/**
 * The relay's base URL without a slash at its end, unless it is all of the path; a trailing `/inbox` is taken away.
 *
 * @throws PosternError `option_invalid`
 */
export function parseRelay(relay: string | URL): string {
  let url: URL;
  try {
    url = new URL(String(relay));
  } catch {
    throw invalid("expected a URL such as https://relay.example");
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") throw invalid("expected http or https");
  // fetch refuses such URLs, and a password in a code or a log would be somebody's accident.
  if (url.username !== "" || url.password !== "") throw invalid("a user name or password cannot be used");
  if (url.search !== "" || url.hash !== "") throw invalid("nothing may follow the path");
  url.pathname = url.pathname.replace(/\/+$/, "").replace(/\/inbox$/, "");
  return url.href;
}

/** `https://relay.example/inbox/ID`, and what comes after the id. */
export function inboxUrl(relay: string, id: string, rest: "" | "/ack" | "/await" = ""): string {
  return `${relay.replace(/\/$/, "")}/inbox/${encodeURIComponent(id)}${rest}`;
}

const invalid = (why: string) =>
  new PosternError("option_invalid", { message: `relay: ${why}.`, details: { option: "relay" } });
