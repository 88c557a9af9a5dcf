import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { SignJWT } from "jose";
import { type ErrorCode, RelayError } from "#core/errors.ts";
import { AuthService } from "./auth-service.ts";
import { type AccessPolicy, authorize } from "./authorize.ts";
import { algorithms, type KeyFile, newKeyFile, publicKeyFile, signingKey, verifyingKey } from "./key.ts";
import { firstOf, keyFolder, oneKey } from "./key-source.ts";
import { publicAccess, publicAccessWarning } from "./public-access.ts";
import { jwtMaxLength, mintToken, type TokenWish, tokenId } from "./token.ts";

const now = 1_700_000_000_000;
const hourMs = 3_600_000;
const file = await newKeyFile("ES256", "key-1");
const nothingPublic = { authPublic: undefined, authPublicSubscribe: undefined, authPublicPublish: undefined };

async function policyOf(key: KeyFile = file, open?: string): Promise<AccessPolicy> {
  const publicGrants = publicAccess({
    ...nothingPublic,
    authPublic: open === undefined ? undefined : [open],
  });
  return { keys: oneKey(await verifyingKey(key)), public: publicGrants };
}

async function mint(wish: Partial<TokenWish> = {}, key: KeyFile = file): Promise<string> {
  const whole = { root: "room", put: ["me"], get: [""], cluster: false, expiresAt: now + hourMs, ...wish };
  return mintToken(await signingKey(key), whole, now);
}

/** A token with any payload, signed as it should be. */
async function forge(
  payload: Record<string, unknown>,
  header: Record<string, unknown> = {},
): Promise<string> {
  const { key } = await signingKey(file);
  return new SignJWT(payload).setProtectedHeader({ alg: "ES256", ...header }).sign(key);
}

/** A session that knocks with a JWT, or with nothing. */
const knock = (
  { path, jwt, now }: { path: string; jwt: string | undefined; now: number },
  policy: AccessPolicy,
) => authorize(path, { jwt, privateTokens: [] }, now, policy);

function refusal(code: ErrorCode, text?: string) {
  return (error: unknown) => {
    assert.ok(error instanceof RelayError);
    assert.equal(error.code, code);
    if (text !== undefined) assert.equal(error.message, text);
    return true;
  };
}

describe("a session with a token", () => {
  test("has the token's rights, seen from its path", async () => {
    const policy = await policyOf();
    assert.deepEqual(await knock({ path: "//room///me/", jwt: await mint(), now }, policy), {
      root: "room/me",
      put: [""],
      get: [""],
      cluster: false,
      expiresAt: now + hourMs,
    });
  });

  for (const alg of algorithms) {
    test(`is let in with ${alg}, and not by another key of the kind`, async () => {
      const key = await newKeyFile(alg, "k");
      const jwt = await mint({}, key);
      const verifies = alg.startsWith("HS") ? key : publicKeyFile(key);
      assert.equal((await knock({ path: "room", jwt, now }, await policyOf(verifies))).root, "room");
      const other = await policyOf(await newKeyFile(alg, "k"));
      await assert.rejects(
        knock({ path: "room", jwt, now }, other),
        refusal("unauthorized", "The token's signature does not verify"),
      );
    });
  }

  test("ends when the token expires, and does not begin then", async () => {
    const policy = await policyOf();
    const jwt = await mint();
    const last = await knock({ path: "room", jwt, now: now + hourMs - 1 }, policy);
    assert.equal(last.expiresAt, now + hourMs);
    await assert.rejects(
      knock({ path: "room", jwt, now: now + hourMs }, policy),
      refusal("unauthorized", "The token has expired"),
    );
  });

  test("never ends by itself with a token that does not expire", async () => {
    const jwt = await mint({ expiresAt: undefined });
    assert.equal((await knock({ path: "room", jwt, now }, await policyOf())).expiresAt, undefined);
  });

  test("is a cluster peer only where the token says so", async () => {
    const policy = await policyOf();
    assert.equal(
      (await knock({ path: "room", jwt: await mint({ cluster: true }), now }, policy)).cluster,
      true,
    );
    assert.equal((await knock({ path: "room", jwt: await mint(), now }, policy)).cluster, false);
  });

  test("is refused where the token gives nothing", async () => {
    const text = "The token gives no right at this path";
    const jwt = await mint();
    await assert.rejects(knock({ path: "roomy", jwt, now }, await policyOf()), refusal("unauthorized", text));
  });

  test("is refused with the wrong time, type of claim, algorithm or length", async () => {
    const policy = await policyOf();
    const cases: Record<string, Promise<string> | string> = {
      "The token is malformed": "no token",
      "The token is too long": "x".repeat(jwtMaxLength + 1),
      "The token is not valid now": forge({ root: "room", get: "", nbf: now / 1000 + 60 }),
      "The token's root is not a string": forge({ root: 7, get: "" }),
      "The token's put is neither a string nor a list of strings": forge({ put: [{}], get: "" }),
      "The token's get is neither a string nor a list of strings": forge({ get: 1 }),
      "The token's cluster is not true or false": forge({ get: "", cluster: "yes" }),
      "The token's neither put nor get allows anything": forge({ root: "room", put: [], pub: [""], sub: "" }),
      "The token's get has more than 32 parts": forge({ get: "a/".repeat(33) }),
    };
    for (const [text, jwt] of Object.entries(cases))
      await assert.rejects(
        knock({ path: "room", jwt: await jwt, now }, policy),
        refusal("unauthorized", text),
      );
  });

  test("reads a grant that is a single string", async () => {
    const jwt = await forge({ root: "/room/", put: "//me", get: "" });
    const { put, get } = await knock({ path: "room", jwt, now }, await policyOf());
    assert.deepEqual({ put, get }, { put: ["me"], get: [""] });
  });

  test("is not fooled by an unsigned token or by the public key as a shared secret", async () => {
    const policy = await policyOf(publicKeyFile(file));
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const unsigned = `${encode({ alg: "none" })}.${encode({ get: "" })}.`;
    await assert.rejects(knock({ path: "", jwt: unsigned, now }, policy), refusal("unauthorized"));
    const secret = new TextEncoder().encode(JSON.stringify(publicKeyFile(file)));
    const confused = await new SignJWT({ get: "" }).setProtectedHeader({ alg: "HS256" }).sign(secret);
    await assert.rejects(knock({ path: "", jwt: confused, now }, policy), refusal("unauthorized"));
  });

  test("is refused when any character of the token is another", async () => {
    const policy = await policyOf();
    const jwt = await mint();
    await fc.assert(
      fc.asyncProperty(
        fc.nat(jwt.length - 2),
        fc.constantFrom("A", "b", "-", ".", "="),
        async (at, letter) => {
          fc.pre(jwt[at] !== letter);
          const broken = jwt.slice(0, at) + letter + jwt.slice(at + 1);
          await assert.rejects(knock({ path: "room", jwt: broken, now }, policy), refusal("unauthorized"));
        },
      ),
    );
  });

  test("is refused whole when its token goes beyond the key's scope", async () => {
    const scoped = { ...file, scope: { root: "room", put: "me", get: "" } };
    const policy = await policyOf(scoped);
    assert.deepEqual((await knock({ path: "room", jwt: await mint(), now }, policy)).put, ["me"]);
    await assert.rejects(
      knock({ path: "room", jwt: await mint({ put: ["me", "you"] }), now }, policy),
      refusal("unauthorized", "The token allows more than its key may"),
    );
    const peer = { path: "room", jwt: await mint({ cluster: true }), now };
    await assert.rejects(
      knock(peer, policy),
      refusal("unauthorized", "The token allows more than its key may"),
    );
    const forPeers = { ...file, scope: { ...scoped.scope, cluster: true } };
    assert.equal((await knock(peer, await policyOf(forPeers))).cluster, true);
  });

  test("is refused once it was revoked, however its signature is written", async () => {
    const jwt = await mint();
    const { key } = await signingKey(file);
    const [head, body] = jwt.split(".");
    const algorithm = { name: "ECDSA", hash: "SHA-256" };
    const input = new TextEncoder().encode(`${head}.${body}`);
    const again = await crypto.subtle.sign(algorithm, key as CryptoKey, input);
    const other = `${head}.${body}.${Buffer.from(again).toString("base64url")}`;
    assert.notEqual(other, jwt);
    const policy = await policyOf();
    assert.equal((await knock({ path: "room", jwt: other, now }, policy)).root, "room");
    const revoked = async () => new Set([tokenId(jwt)]);
    for (const text of [jwt, other])
      await assert.rejects(
        knock({ path: "room", jwt: text, now }, { ...policy, revoked }),
        refusal("unauthorized", "The token was revoked"),
      );
    const different = await mint({ expiresAt: now + 1000 });
    assert.equal((await knock({ path: "room", jwt: different, now }, { ...policy, revoked })).root, "room");
  });

  test("is refused by a relay without a key", async () => {
    const jwt = await mint();
    await assert.rejects(
      knock({ path: "", jwt, now }, { keys: undefined, public: { root: "", put: [""], get: [""] } }),
      refusal("unauthorized", "This relay accepts no tokens"),
    );
  });

  test("finds its key by kid in a folder, and reads no other file", async () => {
    const asked: string[] = [];
    const files: Record<string, string> = {
      "key-1.jwk": JSON.stringify(publicKeyFile(file)),
      "broken.jwk": "{}",
    };
    const folder = keyFolder(async (name) => {
      asked.push(name);
      return files[name];
    });
    const policy: AccessPolicy = { keys: firstOf(folder, async () => undefined), public: undefined };
    assert.equal((await knock({ path: "room", jwt: await mint(), now }, policy)).root, "room");
    for (const kid of ["../key-1", "key-2", "broken", "a".repeat(129)]) {
      await assert.rejects(
        knock({ path: "room", jwt: await forge({ get: "" }, { kid }), now }, policy),
        refusal("unauthorized", "The token's key is unknown"),
      );
    }
    assert.deepEqual(asked, ["key-1.jwk", "key-2.jwk", "broken.jwk"]);
  });
});

describe("a session without a token", () => {
  test("is refused unless something is public", async () => {
    await assert.rejects(
      knock({ path: "room", jwt: undefined, now }, await policyOf()),
      refusal("unauthorized", "This path needs a token"),
    );
  });

  test("may do everything at and below the public prefix, and nothing beside it", async () => {
    const policy = await policyOf(file, "/anon/");
    const at = (path: string) => knock({ path, jwt: undefined, now }, policy);
    assert.deepEqual(await at("anon/room"), {
      root: "anon/room",
      put: [""],
      get: [""],
      cluster: false,
      expiresAt: undefined,
    });
    assert.deepEqual((await at("")).get, ["anon"]);
    await assert.rejects(at("other"), refusal("unauthorized"));
  });

  test("may watch and publish where each is public", async () => {
    const open = publicAccess({ ...nothingPublic, authPublicSubscribe: [""], authPublicPublish: ["anon"] });
    const rights = await knock({ path: "room", jwt: "", now }, { keys: undefined, public: open });
    assert.deepEqual(rights, { root: "room", put: [], get: [""], cluster: false, expiresAt: undefined });
  });

  test("is refused with a path no broadcast can have", async () => {
    const policy = await policyOf(file, "");
    await assert.rejects(
      knock({ path: "a/".repeat(33), jwt: undefined, now }, policy),
      refusal("bad_request", "A path has at most 32 parts"),
    );
  });
});

test("a relay that is open to the whole world says so, one that is not says nothing", () => {
  const warning = (prefixes: Partial<Record<keyof typeof nothingPublic, readonly string[]>>) =>
    publicAccessWarning(publicAccess({ ...nothingPublic, ...prefixes }));
  assert.match(warning({ authPublic: [""] }) ?? "", /ANYBODY may PUBLISH and WATCH/);
  assert.match(warning({ authPublicSubscribe: ["/"] }) ?? "", /ANYBODY may WATCH/);
  assert.equal(warning({ authPublic: ["anon"] }), undefined);
  assert.equal(warning({}), undefined);
});

describe("a session with a certificate", () => {
  const policy: AccessPolicy = { keys: undefined, public: undefined, mtlsTier: "trusted" };
  const at = (path: string, expiresAt: number, more: Partial<AccessPolicy> = {}) =>
    authorize(path, { jwt: "not.even.one", privateTokens: [], clientCertificate: { expiresAt } }, now, {
      ...policy,
      ...more,
    });

  test("has everything below its path until the certificate ends", async () => {
    assert.deepEqual(await at("room", now + hourMs), {
      root: "room",
      put: [""],
      get: [""],
      cluster: false,
      expiresAt: now + hourMs,
      tier: "trusted",
    });
    assert.equal((await at("/", now + hourMs)).cluster, true);
    await assert.rejects(at("room", now), refusal("unauthorized", "The certificate has expired"));
  });

  test("is where the service says, and refused when that fails", async () => {
    const asked: string[] = [];
    const service = new AuthService("https://auth.example/", async (url) => {
      asked.push(url);
      return '{"alias":"x7k2","tier":"region"}';
    });
    const { root, tier } = await at("room", now + hourMs, { service });
    assert.deepEqual([root, tier], ["x7k2", "region"]);
    assert.deepEqual(asked, ["https://auth.example/?root=room&mtls=true"]);
    const down = new AuthService("https://auth.example/", () => Promise.reject(new Error("no")));
    await assert.rejects(at("room", now + hourMs, { service: down }), refusal("auth_unavailable"));
  });
});
