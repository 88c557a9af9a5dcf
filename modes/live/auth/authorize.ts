import type { Instant } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import type { Grant } from "../grant.ts";
import { normalizePath, partsMax } from "../path.ts";
import type { Credentials } from "./credentials.ts";
import { type Grants, grantsAt } from "./grants.ts";
import type { KeySource } from "./key-source.ts";
import type { PrivacyPass } from "./privacy-pass.ts";
import { tokenId, verifyToken } from "./token.ts";

export interface AccessPolicy {
  /** Undefined: no JWT is accepted. */
  readonly keys: KeySource | undefined;
  /** Ids (`tokenId`) of the tokens that are no longer good. */
  readonly revoked?: (() => Promise<ReadonlySet<string>>) | undefined;
  /** What anybody may do without a token; undefined: nothing. */
  readonly public: Grants | undefined;
  /** Undefined: no private token is accepted. */
  readonly privacyPass?: PrivacyPass | undefined;
}

/**
 * Decides what a session may do at a path, as sent: by its JWT alone where it has one, else by what is public and by its
 * private tokens, which are spent. Throws `unauthorized` where that is nothing or a token is not good, with a challenge
 * for a private token where those are accepted; `bad_request` for a path no broadcast can have. Both have a sentence
 * that is safe to send.
 */
export async function authorize(
  sentPath: string,
  credentials: Credentials,
  now: Instant,
  policy: AccessPolicy,
): Promise<Grant> {
  const path = parseSessionPath(sentPath);
  try {
    return await (credentials.jwt
      ? authorizeJwt(path, credentials.jwt, now, policy)
      : authorizeOpen(path, credentials.privateTokens, now, policy));
  } catch (error) {
    if (!(error instanceof RelayError) || error.code !== "unauthorized" || !policy.privacyPass) throw error;
    const authenticate = policy.privacyPass.authenticateHeader(path, now);
    throw new RelayError("unauthorized", { text: error.message, cause: error.cause, authenticate });
  }
}

async function authorizeOpen(
  path: string,
  privateTokens: readonly Uint8Array[],
  now: Instant,
  policy: AccessPolicy,
): Promise<Grant> {
  const open = policy.public && grantsAt(path, policy.public);
  const redeemed = await redeem(path, privateTokens, now, policy.privacyPass);
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
  { keys, revoked }: AccessPolicy,
): Promise<Grant> {
  if (!keys) return refuse("This relay accepts no tokens");
  const { expiresAt, cluster, ...claims } = await verifyToken(jwt, keys, now);
  if ((await revoked?.())?.has(tokenId(jwt))) refuse("The token was revoked");
  const grants = grantsAt(path, claims) ?? refuse("The token gives no right at this path");
  return { ...grants, cluster, expiresAt };
}

async function redeem(
  path: string,
  tokens: readonly Uint8Array[],
  now: Instant,
  privacyPass: PrivacyPass | undefined,
): Promise<Grant | undefined> {
  if (tokens.length === 0) return undefined;
  return privacyPass ? privacyPass.redeem(path, tokens, now) : refuse("This relay accepts no private tokens");
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
