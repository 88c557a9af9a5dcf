import type { ValuesOf } from "#core/options.ts";
import { normalizePath, partsMax } from "../path.ts";
import type { Grants } from "./grants.ts";
import type { liveAuthOptions } from "./options.ts";

type PublicPrefixes = Pick<
  ValuesOf<typeof liveAuthOptions>,
  "authPublic" | "authPublicSubscribe" | "authPublicPublish"
>;

/** What anybody may do without a token; undefined: nothing. Throws `RangeError` for a prefix no broadcast can have. */
export function publicAccess(prefixes: PublicPrefixes): Grants | undefined {
  const put = normalized(prefixes.authPublic, prefixes.authPublicPublish);
  const get = normalized(prefixes.authPublic, prefixes.authPublicSubscribe);
  return put.length + get.length === 0 ? undefined : { root: "", put, get };
}

function normalized(...lists: readonly (readonly string[] | undefined)[]): string[] {
  const paths = lists
    .flatMap((prefixes) => prefixes ?? [])
    .map((prefix) => {
      // Newer relays of this family write `anon/**` for all below `anon`, which a prefix means anyway.
      const path = normalizePath(prefix.replace(/(^|\/)\*\*$/, ""));
      if (path === undefined) throw new RangeError(`a public prefix has at most ${partsMax} parts`);
      return path;
    });
  return [...new Set(paths)];
}

/** What the operator must read when the relay starts, loudly; undefined where nothing is open to the whole world. */
export function publicAccessWarning(open: Grants | undefined): string | undefined {
  const everything = (prefixes: readonly string[] = []) => prefixes.includes("");
  const words = [everything(open?.put) ? "PUBLISH" : "", everything(open?.get) ? "WATCH" : ""].filter(
    Boolean,
  );
  if (words.length === 0) return undefined;
  return `auth-public is empty: ANYBODY may ${words.join(" and ")} every live broadcast of this relay without a token. Use this for development only.`;
}
