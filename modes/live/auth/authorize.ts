import type { Instant } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import type { Grant } from "../grant.ts";
import type { AuthService } from "./auth-service.ts";
import type { Credentials } from "./credentials.ts";
import { type Grants, grantsAt } from "./grants.ts";
import type { KeySource } from "./key-source.ts";
import type { PrivacyPass } from "./privacy-pass.ts";
import { parseSessionPath } from "./session-path.ts";
import { kidOf, tokenId, verifyToken } from "./token.ts";

export interface AccessPolicy {
  /** Undefined: no JWT is accepted. */
  readonly keys: KeySource | undefined;
  /** Ids (`tokenId`) of the tokens that are no longer good. */
  readonly revoked?: (() => Promise<ReadonlySet<string>>) | undefined;
  /** What anybody may do without a token; undefined: nothing. */
  readonly public: Grants | undefined;
  /** What anybody may do below a path where `public` gives nothing. Rejects with `auth_unavailable`. */
  readonly publicAt?: ((path: string) => Promise<Grants | undefined>) | undefined;
  /** Undefined: no private token is accepted. */
  readonly privacyPass?: PrivacyPass | undefined;
  /** Decides instead of `keys` and `public`, where there is one. */
  readonly service?: AuthService | undefined;
  /** Label of the traffic of sessions with a client certificate. */
  readonly mtlsTier?: string | undefined;
}

/**
 * Decides what a session may do at a path, in normal form or not: by its client certificate or its JWT alone where it
 * has one, else by what is public and by its private tokens, which are spent. Throws `unauthorized` where that is
 * nothing or a token is not good, with a challenge for a private token where those are accepted; `bad_request` for a
 * path no broadcast can have; `auth_unavailable` where somebody else was to decide and did not. All have a sentence that
 * is safe to send.
 */
export async function authorize(
  sentPath: string,
  credentials: Credentials,
  now: Instant,
  policy: AccessPolicy,
): Promise<Grant> {
  const path = parseSessionPath(sentPath);
  try {
    if (credentials.clientCertificate) return await authorizeCertified(path, credentials, now, policy);
    if (policy.service) return await authorizeByService(path, credentials, now, policy, policy.service);
    return await (credentials.jwt
      ? authorizeJwt(path, credentials.jwt, now, policy)
      : authorizeOpen(path, credentials.privateTokens, now, policy));
  } catch (error) {
    if (!(error instanceof RelayError) || error.code !== "unauthorized" || !policy.privacyPass) throw error;
    const authenticate = policy.privacyPass.authenticateHeader(path, now);
    throw new RelayError("unauthorized", { text: error.message, cause: error.cause, authenticate });
  }
}

/** The certificate is the credential: everything below the path, for as long as the certificate is good. */
async function authorizeCertified(
  path: string,
  { clientCertificate, transport }: Credentials,
  now: Instant,
  { service, mtlsTier }: AccessPolicy,
): Promise<Grant> {
  const { expiresAt } = clientCertificate!;
  if (expiresAt <= now) return refuse("The certificate has expired");
  const told = await service?.ask({ root: path, mtls: true, transport });
  return withTier(told?.tier ?? mtlsTier, {
    root: told?.alias ?? path,
    put: [""],
    get: [""],
    // At the root it is another relay as much as a program: it sees everything.
    cluster: path === "",
    expiresAt,
  });
}

/** One question decides about key, public access, name and tier; private tokens remain ours to redeem. */
async function authorizeByService(
  path: string,
  { jwt, privateTokens, transport }: Credentials,
  now: Instant,
  policy: AccessPolicy,
  service: AuthService,
): Promise<Grant> {
  const kid = jwt === undefined ? undefined : kidOf(jwt);
  const told = await service.ask({ root: path, kid, transport });
  const keys: KeySource | undefined = told.key && (async () => told.key);
  const { public: open } = told;
  const grant = await (jwt
    ? authorizeJwt(path, jwt, now, { ...policy, keys: keys ?? (async () => undefined) })
    : authorizeOpen(path, privateTokens, now, { ...policy, public: open, publicAt: undefined }));
  // What is granted was reckoned at the path that was asked for; it holds where the service says that this is.
  return withTier(told.tier, { ...grant, root: told.alias ?? path });
}

const withTier = (tier: string | undefined, grant: Grant): Grant => (tier ? { ...grant, tier } : grant);

async function authorizeOpen(
  path: string,
  privateTokens: readonly Uint8Array[],
  now: Instant,
  policy: AccessPolicy,
): Promise<Grant> {
  const fixed = policy.public && grantsAt(path, policy.public);
  const redeemed = await redeem(path, privateTokens, now, policy.privacyPass);
  const open = fixed ?? (redeemed ? undefined : await policy.publicAt?.(path));
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
