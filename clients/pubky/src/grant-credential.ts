import { decodeBase64url, encodeBase64url } from "./base64url.ts";
import { PubkyError } from "./errors.ts";
import { readSignedGrant } from "./grant.ts";
import { Keypair, PublicKey } from "./keys.ts";

const FAMILY = "pubky-grant-credential-";
const PREFIX = `${FAMILY}v1`;

/** Everything an app keeps to use a grant again: it holds the client key's secret, treat it as one. */
export interface GrantCredential {
  readonly homeserver: PublicKey;
  readonly clientKeypair: Keypair;
  readonly grantJws: string;
}

export function formatGrantCredential(credential: GrantCredential): string {
  const secret = encodeBase64url(credential.clientKeypair.secretBytes());
  return `${PREFIX}:${credential.homeserver.z32}:${secret}:${credential.grantJws}`;
}

/**
 * @throws PubkyError `credential_version`, `credential_malformed`, `grant_client_key` when the key is not the grant's
 */
export function parseGrantCredential(text: string): GrantCredential {
  const parts = text.split(":");
  if (parts[0] !== PREFIX && parts[0]?.startsWith(FAMILY)) throw new PubkyError("credential_version");
  if (parts[0] !== PREFIX || parts.length !== 4) throw new PubkyError("credential_malformed");
  const grantJws = parts[3]!;
  let credential: GrantCredential;
  let clientKey: PublicKey;
  try {
    const clientKeypair = Keypair.fromSecret(decodeBase64url(parts[2]!));
    credential = { homeserver: PublicKey.parseZ32(parts[1]!), clientKeypair, grantJws };
    clientKey = readSignedGrant(grantJws).clientKey;
  } catch {
    // Without the cause: what failed to parse here is a secret.
    throw new PubkyError("credential_malformed");
  }
  if (!clientKey.equals(credential.clientKeypair.publicKey)) throw new PubkyError("grant_client_key");
  return credential;
}
