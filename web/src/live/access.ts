import { joinPath, normalizePath, stripPrefix } from "../../../wire/live/path.ts";
import type { Relay } from "../relay.ts";

/** Where something may be published, and with what. */
export interface PublishAccess {
  readonly prefix: string;
  readonly token: string | undefined;
}

/** What a token, or the relay to everybody, allows; undefined: the token says nothing of publishing. */
export function publishAccess(relay: Relay, token: string): PublishAccess | undefined {
  if (token === "") {
    const [prefix] = relay.facts.live!.publicPublish;
    return prefix === undefined ? undefined : { prefix, token: undefined };
  }
  const claims = claimsOf(token);
  const [put] = [claims?.put].flat();
  if (typeof put !== "string") return undefined;
  const root = typeof claims?.root === "string" ? claims.root : "";
  const prefix = normalizePath(joinPath(root, put));
  return prefix === undefined ? undefined : { prefix, token };
}

/** Whether anybody may watch at this path. */
export const isPublicToWatch = (relay: Relay, path: string): boolean =>
  relay.facts.live!.publicWatch.some((prefix) => stripPrefix(prefix, path) !== undefined);

/** What a JSON Web Token says (RFC 7519, 3); whether it is true is the relay's to find out. */
function claimsOf(token: string): { root?: unknown; put?: unknown } | undefined {
  try {
    const [, payload = ""] = token.split(".");
    return JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/")));
  } catch {
    return undefined;
  }
}
