import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { sha256 } from "@noble/hashes/sha2.js";
import { openIssuerPrivateKey } from "#edge/privacy-pass/issuer-private-key.ts";
import { decodeChallenge, encodeChallenge } from "./challenge.ts";
import { decodeTokenRequest } from "./issuance.ts";
import { parseIssuerKey } from "./issuer-key.ts";
import { decodeToken, encodeToken, signedPart } from "./token.ts";

const read = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../protocol/vectors/${name}`, import.meta.url), "utf8"));
const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"));
const toHex = (value: Uint8Array | undefined) => Buffer.from(value ?? []).toString("hex");

interface Issuance {
  readonly key: number;
  readonly token_challenge: string;
  readonly nonce: string;
  readonly token_request: string;
  readonly token_response: string;
  readonly token: string;
}

describe("RFC 9578, Appendix B.2", () => {
  const { keys, vectors } = read("privacy-pass-rfc9578.json") as {
    keys: { skS: string; pkS: string }[];
    vectors: Issuance[];
  };
  for (const [at, vector] of vectors.entries()) {
    const { skS, pkS } = keys[vector.key]!;
    const key = parseIssuerKey(bytes(pkS))!;

    test(`vector ${at + 1}: the token answers the challenge and is signed by the key`, async () => {
      const token = decodeToken(bytes(vector.token))!;
      assert.equal(toHex(token.nonce), vector.nonce);
      assert.equal(toHex(token.challengeDigest), toHex(sha256(bytes(vector.token_challenge))));
      assert.deepEqual(token.keyId, key.id);
      assert.equal(toHex(encodeToken(token)), vector.token);
      const algorithm = { name: "RSA-PSS", hash: "SHA-384", saltLength: 48 };
      const verifier = await crypto.subtle.importKey("spki", key.webCryptoSpki, algorithm, false, ["verify"]);
      const signature = token.signature.slice();
      assert.ok(await crypto.subtle.verify(algorithm, verifier, signature, signedPart(token)));
    });

    test(`vector ${at + 1}: our issuer gives the same answer to the request`, () => {
      const issuer = openIssuerPrivateKey(
        bytes(skS).reduce((pem, byte) => pem + String.fromCharCode(byte), ""),
      );
      assert.equal(toHex(issuer.key.spki), pkS);
      const request = decodeTokenRequest(bytes(vector.token_request))!;
      assert.equal(request.truncatedKeyId, issuer.key.id.at(-1));
      assert.equal(toHex(issuer.rawRsaSign(request.blinded)), vector.token_response);
    });

    test(`vector ${at + 1}: the challenge is decoded and encoded`, () => {
      const challenge = decodeChallenge(bytes(vector.token_challenge))!;
      assert.equal(toHex(encodeChallenge(challenge)), vector.token_challenge);
    });
  }
});

test("RFC 9577, Appendix A: what a token signs", () => {
  for (const vector of read("privacy-pass-rfc9577.json").vectors) {
    const challenge = encodeChallenge({
      tokenType: Number.parseInt(vector.token_type, 16),
      issuerName: Buffer.from(vector.issuer_name, "hex").toString(),
      redemptionContext: bytes(vector.redemption_context),
      originInfo: bytes(vector.origin_info),
    });
    const token = {
      nonce: bytes(vector.nonce),
      challengeDigest: sha256(challenge),
      keyId: bytes(vector.token_key_id),
      signature: new Uint8Array(256),
    };
    assert.equal(toHex(signedPart(token)), vector.token_authenticator_input);
  }
});
