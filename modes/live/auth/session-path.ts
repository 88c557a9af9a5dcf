import { RelayError } from "#core/errors.ts";
import type { Knock } from "#wire/live/acceptor.ts";
import { joinPath, normalizePath, partsMax } from "../path.ts";

/**
 * The root of a session's names: the labels of its host name below one of `domains`, outermost first, then the path of
 * its URL, percent-decoded. Throws `bad_request` for a path no broadcast can have.
 */
export function sessionPathOf(
  { path, host }: Pick<Knock, "path" | "host">,
  domains: readonly string[],
): string {
  return parseSessionPath(joinPath(partsOfHost(host, domains), decodePath(path)));
}

/** The normal form of a path that is not percent-encoded. Throws `bad_request` for one no broadcast can have. */
export function parseSessionPath(sent: string): string {
  const path = normalizePath(sent);
  if (path === undefined)
    throw new RelayError("bad_request", { text: `A path has at most ${partsMax} parts` });
  return path;
}

/** Throws `bad_request` for what is not UTF-8, percent-encoded. */
export function decodePath(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch (cause) {
    throw new RelayError("bad_request", { text: "The path is not UTF-8, percent-encoded", cause });
  }
}

/**
 * `team.customer.cdn.example` below `cdn.example` is `customer/team`: DNS names the widest scope last, a path first.
 * `""` at a domain itself and elsewhere. The longest domain wins.
 */
function partsOfHost(host: string | undefined, domains: readonly string[]): string {
  if (host === undefined || domains.length === 0) return "";
  const name = `.${host.replace(/:\d+$/, "").replace(/\.$/, "").toLowerCase()}`;
  const suffixes = domains.map((domain) => `.${domain.replace(/^\./, "").toLowerCase()}`);
  const suffix = suffixes.sort((a, b) => b.length - a.length).find((one) => name.endsWith(one));
  if (suffix === undefined) return "";
  return name.slice(1, -suffix.length).split(".").reverse().join("/");
}
