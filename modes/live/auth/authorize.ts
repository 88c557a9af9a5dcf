import type { Instant } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import type { Grant } from "../grant.ts";
import { normalizePath, partsMax } from "../path.ts";
import { type Grants, grantsAt } from "./grants.ts";
import type { KeySource } from "./key-source.ts";
import { verifyToken } from "./token.ts";

export interface AccessPolicy {
  /** Undefined: no token is accepted. */
  readonly keys: KeySource | undefined;
  /** What anybody may do without a token; undefined: nothing. */
  readonly public: Grants | undefined;
}

export interface Claim {
  /** The path of the session's URL, as sent, without its query. */
  readonly path: string;
  /** The value of `?jwt=`; undefined where there is none. */
  readonly jwt: string | undefined;
  readonly now: Instant;
}

/**
 * Decides what a session at a path may do. Throws `unauthorized` without a token that gives a right there, `bad_request`
 * for a path no broadcast can have; both with a sentence that is safe to send.
 */
export async function authorize({ path: sent, jwt, now }: Claim, policy: AccessPolicy): Promise<Grant> {
  const path = parseSessionPath(sent);
  if (jwt === undefined || jwt === "") return authorizePublic(path, policy.public);
  if (!policy.keys) throw new RelayError("unauthorized", { text: "This relay accepts no tokens" });
  const { expiresAt, cluster, ...claims } = await verifyToken(jwt, policy.keys, now);
  const grants = grantsAt(path, claims);
  if (!grants) throw new RelayError("unauthorized", { text: "The token gives no right at this path" });
  return { ...grants, cluster, expiresAt };
}

/** The root of a session's names. Throws `bad_request` for a path that is none. */
export function parseSessionPath(sent: string): string {
  const path = normalizePath(sent);
  if (path === undefined)
    throw new RelayError("bad_request", { text: `A path has at most ${partsMax} parts` });
  return path;
}

function authorizePublic(path: string, open: Grants | undefined): Grant {
  const grants = open && grantsAt(path, open);
  if (!grants) throw new RelayError("unauthorized", { text: "This path needs a token" });
  return { ...grants, cluster: false, expiresAt: undefined };
}

/**
 * Throws `forbidden` where a remote says that it comes to publish, or to subscribe, and may do neither of what it came
 * for. A remote that says nothing is let in with what it has.
 */
export function assertRole(
  rights: Grants,
  role: { readonly publishes: boolean; readonly subscribes: boolean },
): void {
  const lacks = (wanted: boolean, prefixes: readonly string[]) => wanted && prefixes.length === 0;
  if (lacks(role.publishes, rights.put) || lacks(role.subscribes, rights.get))
    throw new RelayError("forbidden");
}
