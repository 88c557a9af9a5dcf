import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { KeyError, newKeyFile, parseKeyFile, publicKeyFile, signingKey, verifyingKey } from "./key.ts";
import { mintToken } from "./token.ts";

const secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTI";
const shared = { kty: "oct", alg: "HS256", k: secret };
const ec = { ...(await newKeyFile("ES256", "k")) };

describe("a key file", () => {
  test("is a JWK as JSON, or that JSON in base64url", () => {
    const json = JSON.stringify({ ...shared, kid: "k_1-A" });
    assert.deepEqual(parseKeyFile(` ${json}\n`), parseKeyFile(Buffer.from(json).toString("base64url")));
    assert.deepEqual(parseKeyFile(Buffer.from(json).toString("base64")), parseKeyFile(json));
  });

  test("of the oldest kind, without kty, holds a shared secret", () => {
    assert.equal(parseKeyFile(JSON.stringify({ alg: "HS256", k: secret })).kty, "oct");
  });

  const broken: [name: string, file: unknown, says: RegExp][] = [
    ["no alg", { kty: "oct", k: secret }, /alg is none of/],
    ["an alg that signs nothing", { ...shared, alg: "none" }, /alg is none of/],
    ["a kid that is a path", { ...shared, kid: "../x" }, /kid/],
    ["key_ops that are no list", { ...shared, key_ops: "verify" }, /key_ops/],
    [
      "a secret of 31 bytes",
      { ...shared, k: Buffer.alloc(31, 1).toString("base64url") },
      /at least 32 bytes/,
    ],
    ["no secret", { kty: "oct", alg: "HS256" }, /at least 32 bytes/],
    ["an alg of another kind of key", { ...ec, alg: "RS256" }, /kty RSA/],
    ["an alg of another curve", { ...ec, alg: "ES384" }, /crv P-384/],
    ["a scope that is no object", { ...shared, scope: "room" }, /scope/],
    ["a scope that allows nothing", { ...shared, scope: { root: "room" } }, /neither put nor get/],
    ["no object", [], /JWK as JSON|JSON object/],
  ];
  for (const [name, file, says] of broken) {
    test(`is refused with ${name}`, () => {
      assert.throws(
        () => parseKeyFile(JSON.stringify(file)),
        (error) => error instanceof KeyError && says.test(error.message),
      );
    });
  }

  test("with members that are no key is refused when it is loaded", async () => {
    await assert.rejects(verifyingKey(parseKeyFile(JSON.stringify({ ...ec, x: "AAAA" }))), KeyError);
  });

  test("serves only what its key_ops allow", async () => {
    const verifies = parseKeyFile(JSON.stringify({ ...ec, key_ops: ["verify"] }));
    await assert.rejects(signingKey(verifies), /do not allow sign/);
    const signs = parseKeyFile(JSON.stringify({ ...ec, key_ops: ["sign"] }));
    await assert.rejects(verifyingKey(signs), /do not allow verify/);
    const { key_ops: _, ...says } = publicKeyFile(parseKeyFile(JSON.stringify(ec)));
    await assert.rejects(signingKey(says), /no private part/);
  });

  test("gives its public half without anything private", async () => {
    const rsa = await newKeyFile("RS256", "k");
    assert.deepEqual(Object.keys(publicKeyFile(rsa)).sort(), ["alg", "e", "key_ops", "kid", "kty", "n"]);
    assert.deepEqual(Object.keys(publicKeyFile(ec)).sort(), [
      "alg",
      "crv",
      "key_ops",
      "kid",
      "kty",
      "x",
      "y",
    ]);
    assert.throws(() => publicKeyFile(parseKeyFile(JSON.stringify(shared))), /no public half/);
  });

  test("with a scope mints nothing beyond it", async () => {
    const key = await signingKey({ ...ec, scope: { root: "room", get: "" } } as typeof ec);
    const wish = { root: "room", put: [], get: [""], cluster: false, expiresAt: undefined };
    await mintToken(key, wish, 0);
    await assert.rejects(mintToken(key, { ...wish, put: [""] }, 0), KeyError);
    await assert.rejects(mintToken(key, { ...wish, root: "" }, 0), KeyError);
  });

  test("of any content is a key or a KeyError, and the error never quotes it", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.json().map((json) => Buffer.from(json).toString("base64url")),
        ),
        (text) => {
          try {
            parseKeyFile(text);
          } catch (error) {
            assert.ok(error instanceof KeyError);
            if (text.length > 12) assert.ok(!error.message.includes(text));
          }
        },
      ),
    );
  });
});
