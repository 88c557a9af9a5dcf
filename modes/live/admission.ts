import type { Clock } from "#core/clock.ts";
import { type Knock, KnockRefusedError } from "#wire/live/acceptor.ts";
import type { Grant } from "./grant.ts";
import { joinPath, normalizePath, stripPrefix } from "./path.ts";
import { type Claims, type TokenKey, TokenRefusedError } from "./token.ts";

export interface AdmissionRules {
  /** Checks tokens; without it none counts. */
  key: TokenKey | undefined;
  /** What everybody may do without a token: all below this path. `undefined`: nothing. */
  publicPrefix: string | undefined;
}

/** Decides what whoever knocks may do. Deny is the default: no key and no public prefix let nobody in. */
export class Admission {
  readonly #rules: AdmissionRules;
  readonly #clock: Clock;

  constructor(rules: AdmissionRules, clock: Clock) {
    this.#rules = rules;
    this.#clock = clock;
  }

  /** Rejects with `KnockRefusedError`: 400 for a path that cannot be, 401 for everything else. */
  async admit(knock: Knock): Promise<Grant> {
    const path = normalizePath(decodePath(knock.path));
    if (path === undefined) throw new KnockRefusedError(400, "The path has too many parts.");
    const grant = grantAt(path, await this.#claimsOf(knock));
    if (grant === undefined) throw new KnockRefusedError(401, "The token does not allow this path.");
    return grant;
  }

  async #claimsOf(knock: Knock): Promise<Claims> {
    const { key, publicPrefix } = this.#rules;
    const token = knock.query.get("jwt");
    if (token !== null) {
      if (key === undefined) throw new KnockRefusedError(401, "This relay takes no tokens.");
      try {
        return await key.verify(token, this.#clock.now());
      } catch (error) {
        if (error instanceof TokenRefusedError) throw new KnockRefusedError(401, "The token does not count.");
        throw error;
      }
    }
    if (publicPrefix === undefined) throw new KnockRefusedError(401, "A token is needed.");
    return { root: publicPrefix, put: [""], get: [""], cluster: false, expiresAt: undefined };
  }
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new KnockRefusedError(400, "The path is not UTF-8.");
  }
}

/**
 * What the claims leave of themselves at `path`, to which the session's names are relative from then on; `undefined`:
 * nothing.
 */
export function grantAt(path: string, claims: Claims): Grant | undefined {
  const below = stripPrefix(claims.root, path);
  const above = stripPrefix(path, claims.root);
  const relative =
    below !== undefined
      ? (prefixes: readonly string[]) => prefixes.flatMap((prefix) => narrowed(prefix, below))
      : above !== undefined
        ? (prefixes: readonly string[]) => prefixes.map((prefix) => joinPath(above, prefix))
        : () => [];
  const put = relative(claims.put);
  const get = relative(claims.get);
  if (put.length === 0 && get.length === 0) return undefined;
  return { root: path, put, get, cluster: claims.cluster, expiresAt: claims.expiresAt };
}

/** A granted prefix as seen from `suffix` below its root: what is left of it, all of it, or nothing. */
function narrowed(prefix: string, suffix: string): string[] {
  const left = stripPrefix(suffix, prefix);
  if (left !== undefined) return [left];
  return stripPrefix(prefix, suffix) === undefined ? [] : [""];
}
