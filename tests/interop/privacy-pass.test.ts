import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  AuthorizationHeader,
  publicVerif,
  TOKEN_TYPES,
  type Token,
  TokenChallenge,
  util,
  WWWAuthenticateHeader,
} from "@cloudflare/privacypass-ts";
import { openIssuerPrivateKey } from "#edge/privacy-pass/issuer-private-key.ts";
import { authorize } from "#modes/live/auth/authorize.ts";
import { challengeRoutes } from "#modes/live/auth/challenge-route.ts";
import { credentialsOf } from "#modes/live/auth/credentials.ts";
import { issuerRoutes, openGate } from "#modes/live/auth/issuer.ts";
import { IssuerDirectory } from "#modes/live/auth/issuer-directory.ts";
import { PrivacyPass } from "#modes/live/auth/privacy-pass.ts";
import { openMemorySpentTokenStore } from "#store/memory/spent-token-store.ts";
import { simClock } from "#tests/support/sim-clock.ts";
import { decodeBase64url } from "#wire/base64url.ts";
import { type IssuerKey, parseIssuerKey } from "#wire/privacy-pass/issuer-key.ts";
import { decodeSetupToken, encodeSetupToken } from "#wire/privacy-pass/token.ts";

const clock = simClock();
const { BlindRSAMode, Client, Issuer, TokenRequest, TokenResponse, getPublicKeyBytes } = publicVerif;
const type = TOKEN_TYPES.BLIND_RSA;

function passWith(keys: () => readonly IssuerKey[]): PrivacyPass {
  const settings = {
    issuerName: "issuer.example",
    keys,
    secret: new Uint8Array(32).fill(1),
    windowMs: 3_600_000,
    bound: true,
    unboundKeepMs: 86_400_000,
    sessionMaxMs: 86_400_000,
  };
  return new PrivacyPass(settings, openMemorySpentTokenStore({ maxSpentTokens: 100 }));
}

const ours = openIssuerPrivateKey();
const routes = issuerRoutes({ ...ours, gate: openGate });
const call = async (request: Request) => {
  const match = routes(request);
  assert.ok(match);
  return match.respond();
};

/** The published client, from a challenge to a token, with our issuer over HTTP messages. */
async function fetchToken(challenge: TokenChallenge, tokenKey: Uint8Array): Promise<Token> {
  const client = new Client(BlindRSAMode.PSS);
  const request = await client.createTokenRequest(challenge, tokenKey);
  const directory = await call(
    new Request("http://issuer.example/.well-known/private-token-issuer-directory"),
  );
  const { "issuer-request-uri": uri } = (await directory.json()) as { "issuer-request-uri": string };
  const answer = await call(
    new Request(new URL(uri, "http://issuer.example"), {
      method: "POST",
      headers: { "content-type": "application/private-token-request" },
      body: request.serialize() as Uint8Array<ArrayBuffer>,
    }),
  );
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("content-type"), "application/private-token-response");
  return client.finalize(client.deserializeTokenResponse(new Uint8Array(await answer.arrayBuffer())));
}

describe("@cloudflare/privacypass-ts", () => {
  test("its client answers our header with a token from our issuer, good once", async () => {
    const privacyPass = passWith(() => [ours.key]);
    const header = privacyPass.authenticateHeader("test/room", clock.now())!;
    const asked = WWWAuthenticateHeader.parse(header);
    assert.deepEqual(
      asked.map(({ challenge }) => challenge.originInfo),
      [["subscribe:test/room"], ["publish:test/room"]],
    );
    const [{ challenge, tokenKey }] = asked as [WWWAuthenticateHeader];
    assert.equal(challenge.issuerName, "issuer.example");
    const token = await fetchToken(challenge, tokenKey);
    const given = (authorization: string) => credentialsOf({ query: new URLSearchParams(), authorization });
    const credentials = given(new AuthorizationHeader(token).toString());
    assert.deepEqual(credentials.privateTokens, [token.serialize()]);
    assert.deepEqual(given(new AuthorizationHeader(token).toString(true)), credentials);
    const policy = { keys: undefined, public: undefined, privacyPass };
    assert.deepEqual((await authorize("/test/room", credentials, clock.now(), policy)).get, [""]);
    await assert.rejects(authorize("/test/room", credentials, clock.now(), policy), /used before/);
  });

  test("its client answers the reason of a close, as the original relay's clients do", async () => {
    const privacyPass = passWith(() => [ours.key]);
    const reason = privacyPass.closeReason("test/room", "subscribe", clock.now());
    const challenge = TokenChallenge.deserialize(decodeBase64url(reason.slice("pp:".length))!);
    const token = await fetchToken(challenge, ours.key.spki);
    const value = encodeSetupToken(token.serialize());
    const rights = await privacyPass.redeem("test/room", [decodeSetupToken(value)!], clock.now());
    assert.deepEqual(rights.get, [""]);
  });

  for (const [query, path, right] of [
    ["path=/room/a&op=publish", "room/a", "put"],
    ["path=room/*&op=publish", "room/a/b", "put"],
    ["path=room&op=fetch&form=binary", "room", "get"],
  ] as const) {
    test(`its client answers /challenge?${query}`, async () => {
      const privacyPass = passWith(() => [ours.key]);
      const request = new Request(`http://relay.example/challenge?${query}`);
      const answer = await challengeRoutes(privacyPass, clock)(request)!.respond();
      const { challenge, token_key, issuer } = (await answer.json()) as Record<string, string>;
      assert.equal(issuer, "issuer.example");
      const asked = TokenChallenge.deserialize(decodeBase64url(challenge!)!);
      const token = await fetchToken(asked, decodeBase64url(token_key!)!);
      assert.deepEqual((await privacyPass.redeem(path, [token.serialize()], clock.now()))[right], [""]);
    });
  }

  test("its issuer's tokens are good here, with the key from a directory like its own", async () => {
    const pair = await Issuer.generateKey(BlindRSAMode.PSS, {
      modulusLength: 2048,
      publicExponent: Uint8Array.of(1, 0, 1),
    });
    const issuer = new Issuer(BlindRSAMode.PSS, "issuer.example", pair.privateKey, pair.publicKey);
    const published = await getPublicKeyBytes(pair.publicKey);
    const keyText = Buffer.from(published).toString("base64url");
    const directory = new IssuerDirectory(
      "issuer.example",
      async (url) => {
        assert.equal(url, "https://issuer.example/.well-known/private-token-issuer-directory");
        return JSON.stringify({ "token-keys": [{ "token-type": type.value, "token-key": keyText }] });
      },
      clock,
    );
    await directory.refresh();
    assert.deepEqual(directory.keys[0]!.id, await issuer.tokenKeyID());
    const privacyPass = passWith(() => directory.keys);
    const client = new Client(BlindRSAMode.PSS);
    const challenge = TokenChallenge.deserialize(
      privacyPass.challenge({ operation: "announce", path: "room", match: "exact" }, clock.now()),
    );
    const request = TokenRequest.deserialize(
      type,
      (await client.createTokenRequest(challenge, published)).serialize(),
    );
    const token = await client.finalize(TokenResponse.deserialize((await issuer.issue(request)).serialize()));
    assert.deepEqual((await privacyPass.redeem("room", [token.serialize()], clock.now())).put, [""]);
  });

  test("its origin accepts what our issuer signed", async () => {
    const origin = new publicVerif.Origin(BlindRSAMode.PSS, ["relay.example"]);
    const token = await fetchToken(
      origin.createTokenChallenge("issuer.example", new Uint8Array()),
      ours.key.spki,
    );
    const algorithm = { name: "RSA-PSS", hash: "SHA-384" };
    const spki = Uint8Array.from(util.convertRSASSAPSSToEnc(ours.key.spki));
    assert.deepEqual(parseIssuerKey(spki)?.spki, ours.key.spki);
    const publicKey = await crypto.subtle.importKey("spki", spki, algorithm, true, ["verify"]);
    assert.equal(await origin.verify(token, publicKey), true);
  });
});
