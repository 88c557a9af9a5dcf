import type { Instant } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import type { Grant } from "../grant.ts";
import { normalizePath, partsMax } from "../path.ts";
import { type Grants, grantsAt } from "./grants.ts";
import type { KeySource } from "./key-source.ts";
import type { PrivacyPass } from "./privacy-pass.ts";
import { verifyToken } from "./token.ts";

export interface AccessPolicy {
  /** Undefined: no JWT is accepted. */
  readonly keys: KeySource | undefined;
  /** What anybody may do without a token; undefined: nothing. */
  readonly public: Grants | undefined;
  /** Undefined: no private token is accepted. */
  readonly privacyPass?: PrivacyPass | undefined;
}

/** What a remote brings along to open a session. */
export interface Claim {
  /** The path of the session's URL, as sent, without its query. */
  readonly path: string;
  /** The value of `?jwt=`; undefined where there is none. */
  readonly jwt: string | undefined;
  /** Privacy Pass tokens from wherever they may arrive. */
  readonly privateTokens?: readonly Uint8Array[];
  readonly now: Instant;
}

/**
 * Decides what a session at a path may do: by its JWT alone where it has one, else by what is public and by its private
 * tokens, which are spent. Throws `unauthorized` where that is nothing or a token is not good, `bad_request` for a path
 * no broadcast can have; both with a sentence that is safe to send.
 */
export async function authorize(claim: Claim, policy: AccessPolicy): Promise<Grant> {
  const path = parseSessionPath(claim.path);
  if (claim.jwt) return authorizeJwt(path, claim.jwt, claim.now, policy.keys);
  const open = policy.public && grantsAt(path, policy.public);
  const redeemed = await redeem(path, claim, policy.privacyPass);
  if (!open && !redeemed) refuse("This path needs a token");
  return {
    root: path,
    put: [...new Set([...(open?.put ?? []), ...(redeemed?.put ?? [])])],
    get: [...new Set([...(open?.get ?? []), ...(redeemed?.get ?? [])])],
    cluster: false,
    expiresAt: redeemed?.expiresAt,
  };
}

function refuse(text: string): never {
  throw new RelayError("unauthorized", { text });
}

async function authorizeJwt(
  path: string,
  jwt: string,
  now: Instant,
  keys: KeySource | undefined,
): Promise<Grant> {
  if (!keys) return refuse("This relay accepts no tokens");
  const { expiresAt, cluster, ...claims } = await verifyToken(jwt, keys, now);
  const grants = grantsAt(path, claims) ?? refuse("The token gives no right at this path");
  return { ...grants, cluster, expiresAt };
}

async function redeem(
  path: string,
  { privateTokens = [], now }: Claim,
  privacyPass: PrivacyPass | undefined,
): Promise<Grant | undefined> {
  if (privateTokens.length === 0) return undefined;
  return privacyPass
    ? privacyPass.redeem(path, privateTokens, now)
    : refuse("This relay accepts no private tokens");
}

/** The root of a session's names. Throws `bad_request` for a path that is none. */
export function parseSessionPath(sent: string): string {
  const path = normalizePath(sent);
  if (path === undefined)
    throw new RelayError("bad_request", { text: `A path has at most ${partsMax} parts` });
  return path;
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
