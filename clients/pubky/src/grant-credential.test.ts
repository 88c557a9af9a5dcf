import assert from "node:assert/strict";
import { test } from "node:test";
import { throwsCode } from "../tests/assert-code.ts";
import { filled } from "../tests/sdk-vectors.ts";
import { signGrant } from "./grant.ts";
import { formatGrantCredential, parseGrantCredential } from "./grant-credential.ts";
import { Keypair } from "./keys.ts";

const user = Keypair.fromSecret(filled(7));
const clientKeypair = Keypair.fromSecret(filled(8));
const homeserver = Keypair.fromSecret(filled(0)).publicKey;
const grantJws = await signGrant(user, {
  clientId: "demo.app",
  capabilities: [],
  clientKey: clientKeypair.publicKey,
  grantId: "x",
  issuedAt: 0,
  expiresAt: 1_000,
});
const text = formatGrantCredential({ homeserver, clientKeypair, grantJws });

test("a stored credential comes back", () => {
  assert.equal(text, `pubky-grant-credential-v1:${homeserver.z32}:${"CAgI".repeat(10)}CAg:${grantJws}`);
  const read = parseGrantCredential(text);
  assert.ok(read.homeserver.equals(homeserver));
  assert.ok(read.clientKeypair.publicKey.equals(clientKeypair.publicKey));
  assert.equal(read.grantJws, grantJws);
});

test("another version, another key and anything malformed are told apart, and show no secret", () => {
  throwsCode(() => parseGrantCredential(text.replace("v1", "v2")), "credential_version");
  for (const broken of ["", "nonsense", text.slice(0, -3), `${text}:`, text.replace("CAgI", "CAg")]) {
    const error = throwsCode(() => parseGrantCredential(broken), "credential_malformed");
    assert.equal(error.cause, undefined);
  }
  const others = formatGrantCredential({ homeserver, clientKeypair: user, grantJws });
  throwsCode(() => parseGrantCredential(others), "grant_client_key");
});
