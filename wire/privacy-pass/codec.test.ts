import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  challengeHeader,
  decodePadded,
  headerTokensMax,
  parseTokenHeader,
  tokenHeader,
} from "./authorization.ts";
import { decodeChallenge, encodeChallenge } from "./challenge.ts";
import { decodeDirectory, decodeTokenRequest, encodeDirectory } from "./issuance.ts";
import { parseIssuerKey } from "./issuer-key.ts";
import { encodeScope } from "./scope.ts";
import { decodeSetupToken, decodeToken, encodeSetupToken, encodeToken, tokenLength } from "./token.ts";

const toHex = (value: Uint8Array) => Buffer.from(value).toString("hex");
const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const challenges = fc.record(
  {
    tokenType: fc.nat(0xffff),
    issuerName: fc.string({ minLength: 1, maxLength: 40, unit: "grapheme" }),
    redemptionContext: fc.oneof(bytesOf(0), bytesOf(32)),
    originInfo: fc.uint8Array({ maxLength: 300 }),
  },
  { noNullPrototype: true },
);
const tokens = fc.record(
  {
    nonce: bytesOf(32),
    challengeDigest: bytesOf(32),
    keyId: bytesOf(32),
    signature: bytesOf(256),
  },
  { noNullPrototype: true },
);

describe("a challenge", () => {
  test("for the original relay's clients has these bytes", () => {
    const originInfo = encodeScope({ operation: "subscribe", path: "test/room", match: "exact" }, "text");
    const fields = {
      tokenType: 2,
      issuerName: "issuer.example",
      redemptionContext: new Uint8Array(),
      originInfo,
    };
    assert.equal(
      toHex(encodeChallenge(fields)),
      "0002000e6973737565722e6578616d706c65000013" + "7375627363726962653a746573742f726f6f6d",
    );
  });

  test("is decoded to what was encoded, whole and in no other length", () => {
    fc.assert(
      fc.property(challenges, fc.nat(), (challenge, cut) => {
        const bytes = encodeChallenge(challenge);
        assert.deepEqual(decodeChallenge(bytes), challenge);
        assert.equal(decodeChallenge(bytes.subarray(0, cut % bytes.length)), undefined);
        assert.equal(decodeChallenge(Uint8Array.of(...bytes, 0)), undefined);
      }),
    );
  });

  test("has an issuer in UTF-8 and a context of 0 or 32 bytes", () => {
    const fields = { tokenType: 2, issuerName: "a", originInfo: new Uint8Array() };
    assert.equal(
      decodeChallenge(encodeChallenge({ ...fields, redemptionContext: new Uint8Array(31) })),
      undefined,
    );
    assert.equal(decodeChallenge(Uint8Array.of(0, 2, 0, 1, 0xff, 0, 0, 0)), undefined);
    assert.equal(decodeChallenge(Uint8Array.of(0, 2, 0, 0, 0, 0, 0)), undefined);
  });
});

describe("a token", () => {
  test("is decoded to what was encoded, whole and in no other length", () => {
    fc.assert(
      fc.property(tokens, fc.nat(tokenLength - 1), (token, cut) => {
        const bytes = encodeToken(token);
        assert.equal(bytes.length, tokenLength);
        assert.deepEqual(decodeToken(bytes), token);
        assert.equal(decodeToken(bytes.subarray(0, cut)), undefined);
        assert.equal(decodeToken(Uint8Array.of(...bytes, 0)), undefined);
      }),
    );
  });

  test("of another type is none", () => {
    const bytes = encodeToken(fc.sample(tokens, { numRuns: 1, seed: 1 })[0]!);
    bytes[1] = 1;
    assert.equal(decodeToken(bytes), undefined);
  });

  test("in SETUP begins 01 0162 0002, and nothing else is one", () => {
    const bytes = encodeToken(fc.sample(tokens, { numRuns: 1, seed: 1 })[0]!);
    const value = encodeSetupToken(bytes);
    assert.equal(value.length, 357);
    assert.equal(toHex(value.subarray(0, 5)), "0101620002");
    assert.deepEqual(decodeSetupToken(value), bytes);
    for (let at = 0; at < 5; at++) {
      const other = value.slice();
      other[at]! ^= 1;
      assert.equal(decodeSetupToken(other), undefined);
    }
  });
});

test("any bytes are decoded or refused, and what is decoded is encoded to the same", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const challenge = decodeChallenge(bytes);
      if (challenge) assert.deepEqual(encodeChallenge(challenge), bytes);
      const token = decodeToken(bytes);
      if (token) assert.deepEqual(encodeToken(token), bytes);
      decodeSetupToken(bytes);
      decodeTokenRequest(bytes);
      parseIssuerKey(bytes);
    }),
    { numRuns: 1000 },
  );
});

describe("a scope", () => {
  test("in text is operation, path, and a star for all below", () => {
    const text = (path: string, match: "exact" | "prefix") =>
      new TextDecoder().decode(encodeScope({ operation: "publish", path, match }, "text"));
    assert.equal(text("room/alice", "exact"), "publish:room/alice");
    assert.equal(text("room", "prefix"), "publish:room/*");
    assert.equal(text("", "prefix"), "publish:*");
    assert.equal(text("", "exact"), "publish:");
  });

  test("in the newer form names an action, a match on the parts, and any track", () => {
    const binary = encodeScope({ operation: "subscribe", path: "room/a", match: "prefix" }, "binary");
    assert.equal(toHex(binary), `11${"0104"}${"01"}${"0009"}${"0004726f6f6d"}${"000161"}${"01"}${"0000"}`);
  });

  test("too long for the newer form is refused", () => {
    assert.throws(
      () => encodeScope({ operation: "fetch", path: "a".repeat(260), match: "exact" }, "binary"),
      RangeError,
    );
  });
});

describe("headers", () => {
  const bytes = Uint8Array.of(0xfb, 0xff, 1, 2);

  test("write bytes with padding and read them with or without, quoted or not", () => {
    assert.equal(challengeHeader(bytes, bytes), 'PrivateToken challenge="-_8BAg==", token-key="-_8BAg=="');
    assert.equal(tokenHeader(bytes), 'PrivateToken token="-_8BAg=="');
    for (const value of [
      'PrivateToken token="-_8BAg=="',
      "PrivateToken token=-_8BAg==",
      'privatetoken  token = "-_8BAg"',
      'Basic eA==, PrivateToken token="-_8BAg=="',
    ])
      assert.deepEqual(parseTokenHeader(value), [bytes], value);
  });

  test("give no token where there is none", () => {
    for (const value of [
      undefined,
      "",
      "Bearer x",
      "PrivateToken",
      'PrivateToken token="',
      "PrivateToken token=+/",
      "XPrivateToken token=AA",
    ])
      assert.deepEqual(parseTokenHeader(value), [], String(value));
  });

  test("give a bounded number of tokens from any text", () => {
    const many = Array.from({ length: 50 }, () => tokenHeader(bytes)).join(", ");
    assert.equal(parseTokenHeader(many).length, headerTokensMax);
    fc.assert(
      fc.property(fc.string(), (text) => {
        assert.ok(parseTokenHeader(`PrivateToken token=${text}`).length <= headerTokensMax);
      }),
    );
  });

  test("take the text of any bytes back", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (some) => {
        assert.deepEqual(decodePadded(Buffer.from(some).toString("base64url")), some);
      }),
    );
  });
});

describe("an issuer's key", () => {
  const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const der = publicKey.export({ type: "spki", format: "der" });
  const expected = parseIssuerKey(der)!;

  test("is the same from DER, PEM and base64url, under either name of the algorithm", () => {
    const pem = new TextEncoder().encode(publicKey.export({ type: "spki", format: "pem" }) as string);
    const text = new TextEncoder().encode(Buffer.from(expected.spki).toString("base64url"));
    for (const file of [pem, text, expected.spki]) assert.deepEqual(parseIssuerKey(file), expected);
    assert.deepEqual(expected.webCryptoSpki, new Uint8Array(der));
    assert.equal(toHex(expected.spki.subarray(0, 8)), "30820152303d0609");
  });

  test("of another length or kind is refused", () => {
    const small = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey;
    const curve = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;
    for (const key of [small, curve])
      assert.equal(parseIssuerKey(key.export({ type: "spki", format: "der" })), undefined);
  });

  test("with any byte of its structure changed or cut is refused or another key", () => {
    for (let at = 0; at < der.length; at++) {
      const other = Uint8Array.from(der);
      other[at]! ^= 0x40;
      assert.notDeepEqual(parseIssuerKey(other)?.id, expected.id);
      assert.equal(parseIssuerKey(der.subarray(0, at)), undefined);
    }
  });

  test("is found in a directory, behind keys of other types and keys to come", () => {
    const key = Buffer.from(expected.spki).toString("base64url");
    const directory = {
      "issuer-request-uri": "/x",
      "token-keys": [
        { "token-type": 1, "token-key": key },
        { "token-type": 2, "token-key": key, "not-before": 101 },
        { "token-type": 2, "token-key": "AAAA" },
        null,
        { "token-type": 2, "token-key": key, "not-before": 100 },
      ],
    };
    assert.deepEqual(decodeDirectory(JSON.stringify(directory), 100), [expected]);
    assert.deepEqual(decodeDirectory(encodeDirectory("/x", [key]), 0), [expected]);
    for (const text of ["", "null", "[]", "{}", '{"token-keys":1}'])
      assert.equal(decodeDirectory(text, 0), undefined);
  });
});
