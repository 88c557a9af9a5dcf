import assert from "node:assert/strict";
import { constants, createHash, generateKeyPairSync, sign } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { RelayError } from "#core/errors.ts";
import { openMemorySpentTokenStore } from "#store/memory/spent-token-store.ts";
import { simEntropy } from "#tests/support/sim-clock.ts";
import { encodeBase64url } from "#wire/base64url.ts";
import { tokenHeader } from "#wire/privacy-pass/authorization.ts";
import { decodeChallenge, encodeChallenge } from "#wire/privacy-pass/challenge.ts";
import { type IssuerKey, parseIssuerKey } from "#wire/privacy-pass/issuer-key.ts";
import type { Operation, Scope } from "#wire/privacy-pass/scope.ts";
import { encodeToken, signedPart, tokenLength } from "#wire/privacy-pass/token.ts";
import { type AccessPolicy, authorize } from "./authorize.ts";
import { credentialsOf } from "./credentials.ts";
import { PrivacyPass, type PrivacyPassSettings, tokensMax } from "./privacy-pass.ts";

const hourMs = 3_600_000;
// The begin of a window of an hour.
const now = 1_700_000_000_000 - (1_700_000_000_000 % hourMs);
const entropy = simEntropy(7);
const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const key = parseIssuerKey(publicKey.export({ type: "spki", format: "der" }))!;

function passOf(changes: Partial<PrivacyPassSettings> = {}, maxSpentTokens = 100): PrivacyPass {
  const settings: PrivacyPassSettings = {
    issuerName: "issuer.example",
    keys: () => [key],
    secret: new Uint8Array(32).fill(1),
    windowMs: hourMs,
    bound: true,
    unboundKeepMs: 24 * hourMs,
    sessionMaxMs: hourMs / 2,
    ...changes,
  };
  return new PrivacyPass(settings, openMemorySpentTokenStore({ maxSpentTokens }));
}

/** A token as a client ends up with it: the issuer's signature unblinded is an ordinary RSA-PSS signature. */
function tokenFor(challenge: Uint8Array, nonce: Uint8Array = entropy.bytes(32)): Uint8Array {
  const challengeDigest = createHash("sha256").update(challenge).digest();
  const token = { nonce, challengeDigest, keyId: key.id, signature: new Uint8Array(256) };
  const pss = { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 48 };
  return encodeToken({ ...token, signature: sign("sha384", signedPart(token), pss) });
}

const scope = (operation: Operation, path: string, match: Scope["match"] = "exact"): Scope => ({
  operation,
  path,
  match,
});
const refused = (text: string) => (error: unknown) =>
  error instanceof RelayError && error.code === "unauthorized" && error.message === text;
const elsewhere = refused("The private token is for another path or time");

describe("a private token", () => {
  for (const [operation, put, get] of [
    ["subscribe", [], [""]],
    ["fetch", [], [""]],
    ["publish", [""], []],
    ["announce", [""], []],
  ] as const) {
    test(`for ${operation} gives that right at its path, until the session's end`, async () => {
      const pass = passOf();
      const token = tokenFor(pass.challenge(scope(operation, "room/a"), now));
      assert.deepEqual(await pass.redeem("room/a", [token], now), {
        root: "room/a",
        put,
        get,
        cluster: false,
        expiresAt: now + hourMs / 2,
      });
    });
  }

  test("is good once, even for two sessions at the same time", async () => {
    const pass = passOf();
    const token = tokenFor(pass.challenge(scope("subscribe", "room"), now));
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => pass.redeem("room", [token], now)));
    assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
    await assert.rejects(pass.redeem("room", [token], now), refused("The private token was used before"));
  });

  test("stays spent for as long as its challenge is good", async () => {
    const pass = passOf();
    const token = tokenFor(pass.challenge(scope("subscribe", "room"), now));
    await pass.redeem("room", [token], now);
    const last = now + 2 * hourMs - 1;
    await assert.rejects(pass.redeem("room", [token], last), refused("The private token was used before"));
    await assert.rejects(pass.redeem("room", [token], last + 1), elsewhere);
  });

  test("is good in the window of its challenge and the next, not before and not after", async () => {
    const pass = passOf();
    const challenge = pass.challenge(scope("subscribe", "room"), now);
    await pass.redeem("room", [tokenFor(challenge)], now + 2 * hourMs - 1);
    await assert.rejects(pass.redeem("room", [tokenFor(challenge)], now + 2 * hourMs), elsewhere);
    await assert.rejects(pass.redeem("room", [tokenFor(challenge)], now - 1), elsewhere);
  });

  test("is good at no other path, and for no path that only begins alike", async () => {
    const pass = passOf();
    const challenge = pass.challenge(scope("subscribe", "room/a"), now);
    for (const path of ["room", "room/a/b", "room/ab", "", "room/b"])
      await assert.rejects(pass.redeem(path, [tokenFor(challenge)], now), elsewhere);
  });

  test("for a prefix is good at the prefix and below, and nowhere else", async () => {
    const pass = passOf();
    const challenge = pass.challenge(scope("publish", "room", "prefix"), now);
    for (const path of ["room", "room/a", "room/a/b"])
      assert.deepEqual((await pass.redeem(path, [tokenFor(challenge)], now)).put, [""]);
    for (const path of ["", "roomy", "other"])
      await assert.rejects(pass.redeem(path, [tokenFor(challenge)], now), elsewhere);
    const all = pass.challenge(scope("publish", "", "prefix"), now);
    await pass.redeem("any/path", [tokenFor(all)], now);
  });

  test("for a scope in the newer form is as good as one in text", async () => {
    const pass = passOf();
    const challenge = pass.challenge(scope("publish", "room", "prefix"), now, "binary");
    assert.deepEqual((await pass.redeem("room/a", [tokenFor(challenge)], now)).put, [""]);
    await assert.rejects(pass.redeem("other", [tokenFor(challenge)], now), elsewhere);
  });

  test("for a challenge of another secret, issuer name or without context is refused", async () => {
    const pass = passOf();
    for (const other of [
      passOf({ secret: new Uint8Array(32).fill(2) }),
      passOf({ issuerName: "other.example" }),
      passOf({ bound: false }),
    ]) {
      const challenge = other.challenge(scope("subscribe", "room"), now);
      await assert.rejects(pass.redeem("room", [tokenFor(challenge)], now), elsewhere);
    }
  });

  test("without a context is good at any time, once", async () => {
    const pass = passOf({ bound: false });
    const challenge = pass.challenge(scope("subscribe", "test/room"), now);
    assert.deepEqual(decodeChallenge(challenge)?.redemptionContext, new Uint8Array());
    const token = tokenFor(challenge);
    await pass.redeem("test/room", [token], now + 100 * hourMs);
    await assert.rejects(
      pass.redeem("test/room", [token], now + 124 * hourMs - 1),
      refused("The private token was used before"),
    );
  });

  test("of a key that the issuer no longer names is refused", async () => {
    let keys = [key];
    const pass = passOf({ keys: () => keys });
    const token = tokenFor(pass.challenge(scope("subscribe", "room"), now));
    keys = [];
    await assert.rejects(
      pass.redeem("room", [token], now),
      refused("The private token is of another issuer"),
    );
  });

  test("with any bit changed is refused, and stays good unchanged", async () => {
    const pass = passOf();
    const token = tokenFor(pass.challenge(scope("subscribe", "room"), now));
    for (let at = 0; at < tokenLength; at++) {
      const broken = token.slice();
      broken[at]! ^= 1 << (at % 8);
      await assert.rejects(pass.redeem("room", [broken], now), RelayError, `byte ${at}`);
    }
    await pass.redeem("room", [token], now);
  });

  test("of any bytes is refused", async () => {
    const pass = passOf();
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), async (bytes) => {
        await assert.rejects(pass.redeem("room", [bytes], now), refused("The private token is malformed"));
      }),
    );
  });

  test("adds to another for the other right; too many are refused unread", async () => {
    const pass = passOf();
    const tokens = [scope("subscribe", "room"), scope("publish", "room")].map((wanted) =>
      tokenFor(pass.challenge(wanted, now)),
    );
    const { put, get } = await pass.redeem("room", tokens, now);
    assert.deepEqual({ put, get }, { put: [""], get: [""] });
    const many = Array.from({ length: tokensMax + 1 }, () => new Uint8Array());
    await assert.rejects(pass.redeem("room", many, now), refused("Too many private tokens"));
  });

  test("beside one that is not good is not spent", async () => {
    const pass = passOf();
    const token = tokenFor(pass.challenge(scope("subscribe", "room"), now));
    await assert.rejects(pass.redeem("room", [token, new Uint8Array()], now), RelayError);
    await pass.redeem("room", [token], now);
  });

  test("is refused, and not spent, while nothing more can be remembered", async () => {
    const pass = passOf({}, 1);
    const [first, second] = [1, 2].map(() => tokenFor(pass.challenge(scope("subscribe", "room"), now)));
    await pass.redeem("room", [first!], now);
    const full = (error: unknown) => error instanceof RelayError && error.code === "at_capacity";
    await assert.rejects(pass.redeem("room", [second!], now), full);
  });
});

describe("a session with private tokens", () => {
  const nothing: AccessPolicy = { keys: undefined, public: undefined };

  test("has their rights together with the public ones", async () => {
    const privacyPass = passOf();
    const policy = { ...nothing, privacyPass, public: { root: "", put: [], get: ["room"] } };
    const credentials = {
      jwt: undefined,
      privateTokens: [tokenFor(privacyPass.challenge(scope("publish", "room"), now))],
    };
    assert.deepEqual(await authorize("/room/", credentials, now, policy), {
      root: "room",
      put: [""],
      get: [""],
      cluster: false,
      expiresAt: now + hourMs / 2,
    });
    await assert.rejects(
      authorize("/room/", credentials, now, policy),
      refused("The private token was used before"),
    );
  });

  test("is refused where the relay takes none", async () => {
    await assert.rejects(
      authorize("room", { jwt: undefined, privateTokens: [new Uint8Array()] }, now, nothing),
      refused("This relay accepts no private tokens"),
    );
  });

  test("is asked for them where it brings nothing, or a JWT that is not good", async () => {
    let keys: readonly IssuerKey[] = [key];
    const privacyPass = passOf({ keys: () => keys });
    const knock = async (jwt?: string) => {
      const credentials = { jwt, privateTokens: [] };
      const outcome = await authorize("room", credentials, now, { ...nothing, privacyPass }).catch(
        (error) => error,
      );
      assert.ok(outcome instanceof RelayError && outcome.code === "unauthorized");
      return outcome.authenticate;
    };
    const header = await knock();
    assert.match(
      header ?? "",
      /^PrivateToken challenge="[^"]+", token-key="[^"]+", PrivateToken challenge="/,
    );
    assert.equal(await knock("no.jwt"), header);
    keys = [];
    assert.equal(await knock(), undefined);
  });

  test("may bring them in the query and in a header", () => {
    const bytes = Uint8Array.of(1, 2, 3, 4);
    const text = encodeBase64url(bytes);
    const of = (query: string, authorization?: string) =>
      credentialsOf({ query: new URLSearchParams(query), authorization });
    assert.deepEqual(of(`jwt=x.y.z&pp=${text}&pp=${text}==`, tokenHeader(bytes)), {
      jwt: "x.y.z",
      privateTokens: [bytes, bytes, bytes],
    });
    assert.deepEqual(of(""), { jwt: undefined, privateTokens: [] });
    assert.deepEqual(of("pp=!").privateTokens, [new Uint8Array()]);
  });
});

test("the reason of a close is the challenge for exactly that session", () => {
  const expected = encodeChallenge({
    tokenType: 2,
    issuerName: "issuer.example",
    redemptionContext: new Uint8Array(),
    originInfo: new TextEncoder().encode("subscribe:test/room"),
  });
  const reason = passOf({ bound: false }).closeReason("test/room", "subscribe", now);
  assert.equal(reason, `pp:${encodeBase64url(expected)}`);
});
