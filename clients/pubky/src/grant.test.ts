import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { simEntropy } from "../../../tests/support/sim-clock.ts";
import { throwsCode } from "../tests/assert-code.ts";
import { counted, filled, hex } from "../tests/sdk-vectors.ts";
import { utf8 } from "./bytes.ts";
import { parseCapabilities } from "./capabilities.ts";
import type { PubkyErrorCode } from "./errors.ts";
import {
  decodeGrant,
  type Grant,
  randomGrantId,
  signGrant,
  signPop,
  verifyGrant,
  verifyPop,
} from "./grant.ts";
import { signJws } from "./jws.ts";
import { Keypair } from "./keys.ts";
import { seal } from "./sealed-box.ts";

const user = Keypair.fromSecret(filled(7));
const client = Keypair.fromSecret(filled(8));
const homeserver = Keypair.fromSecret(filled(0)).publicKey;
const now = 1_700_000_000_000;

const terms = {
  clientId: "demo.app",
  capabilities: parseCapabilities("/pub/demo.app/:rw"),
  clientKey: client.publicKey,
  grantId: "AAECAwQFBgcICQoLDA0ODw",
  issuedAt: now,
  expiresAt: 1_763_072_000_000,
};
const grantJws = await signGrant(user, terms);
const expected = { now, clientKey: client.publicKey, clientId: "demo.app" };
const grant: Grant = { issuer: user.publicKey, ...terms };
const proof = { homeserver, grantId: terms.grantId, nonce: "EBESExQVFhcYGRobHB0eHw", issuedAt: now };
const popJws = await signPop(client, proof);

const claims = {
  iss: user.publicKey.z32,
  client_id: "demo.app",
  caps: ["/pub/demo.app/:rw"],
  cnf: client.publicKey.z32,
  jti: "AAECAwQFBgcICQoLDA0ODw",
  iat: 1_700_000_000,
  exp: 1_763_072_000,
};
const signed = (change: object, by = user, typ = "pubky-grant") => signJws(by, typ, { ...claims, ...change });

test("grant and proof are those of the vectors, byte for byte", () => {
  assert.equal(grantJws.length, 455);
  assert.equal(
    grantJws.split(".")[2],
    "CeSNQrhg5uU40GX-OJcKM2y--NUyLDc8dBo8g8AsD0JJ-pJPHmJyShhpOwe7L2KOZkTo-tUMMflh6At6sp_wAw",
  );
  assert.equal(popJws.length, 323);
  assert.equal(
    popJws.split(".")[2],
    "HxmOvnf52PUVJ7cnWOezyQGNUYtG9vlp8MB8IoadhItV9gDQs3hch-79eEp7jpqS0M6_GG2HVlOtTlUcbcWoBQ",
  );
});

test("the sealed grant is that of the vector", () => {
  const body = seal(counted, filled(0x42, 24), utf8(grantJws));
  assert.equal(body.length, 495);
  assert.equal(hex(body.subarray(24, 40)), "aebbac64ed269a551c5fed161ccb312d");
  const digest = createHash("sha256").update(body).digest("hex");
  assert.equal(digest, "114f07868bab8836e3c32b93f51b78b31dc5dc65704c61506c0180aeb270131d");
});

test("a grant that fits is accepted and read", () => {
  const read = verifyGrant(grantJws, expected);
  assert.deepEqual({ ...read, issuer: 0, clientKey: 0 }, { ...grant, issuer: 0, clientKey: 0 });
  assert.ok(read.issuer.equals(user.publicKey) && read.clientKey.equals(client.publicKey));
  assert.equal(decodeGrant(grantJws).clientId, "demo.app");
});

test("each of signature, client key, client id and time must fit", async () => {
  const cases: [string, Partial<typeof expected>, PubkyErrorCode][] = [
    [await signed({}, client), {}, "jws_signature"],
    [grantJws, { clientKey: user.publicKey }, "grant_client_key"],
    [grantJws, { clientId: "other.app" }, "grant_client_id"],
    [grantJws, { now: terms.expiresAt }, "grant_expired"],
    [grantJws, { now: now - 180_001 }, "grant_from_future"],
  ];
  for (const [jws, change, code] of cases)
    throwsCode(() => verifyGrant(jws, { ...expected, ...change }), code);
  verifyGrant(grantJws, { ...expected, now: terms.expiresAt - 1 });
  verifyGrant(grantJws, { ...expected, now: now - 180_000 });
});

test("a claim that is missing or out of bounds is told by its name", async () => {
  const bad: [string, unknown[]][] = [
    ["iss", [undefined, 1, "", `pubky${user.publicKey.z32}`, "y".repeat(51), null]],
    ["client_id", [undefined, "", "x".repeat(254), 5]],
    ["caps", [undefined, "/pub/a/:r", [1], {}, null]],
    ["cnf", [undefined, "nonsense", []]],
    ["jti", [undefined, "", "x".repeat(23)]],
    ["iat", [undefined, -1, 1.5, "1700000000", 1e300, Number.MAX_SAFE_INTEGER]],
    ["exp", [undefined, null, -1]],
  ];
  for (const [name, values] of bad) {
    for (const value of values) {
      const jws = await signed({ [name]: value });
      assert.equal(throwsCode(() => decodeGrant(jws), "grant_malformed").details.parameter, name);
    }
  }
  const jws = await signed({ caps: ["/pub/a/:r", "bogus"] });
  assert.deepEqual(throwsCode(() => decodeGrant(jws), "capabilities_invalid").details.capabilities, [
    "bogus",
  ]);
});

test("neither the order of the claims nor unknown ones matter", async () => {
  const jws = await signJws(
    user,
    "pubky-grant",
    Object.fromEntries(Object.entries({ x: 1, ...claims }).reverse()),
  );
  assert.equal(verifyGrant(jws, expected).grantId, terms.grantId);
});

test("another type, algorithm or header extension is malformed", async () => {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const [, payload, signature] = grantJws.split(".");
  for (const header of [
    { alg: "none", typ: "pubky-grant" },
    { alg: "EdDSA", typ: "pubky-pop" },
    { alg: "EdDSA" },
    { alg: "EdDSA", typ: "pubky-grant", crit: ["x"] },
    [],
    null,
    "x",
  ]) {
    throwsCode(() => decodeGrant(`${part(header)}.${payload}.${signature}`), "jws_malformed");
  }
  throwsCode(() => decodeGrant(popJws), "jws_malformed");
  for (const text of [
    "",
    ".",
    "..",
    "a.b.c",
    `${grantJws}.`,
    `${grantJws}=`,
    ` ${grantJws}`,
    `${"a".repeat(9000)}.${"a".repeat(9000)}.a`,
  ]) {
    throwsCode(() => decodeGrant(text), "jws_malformed");
  }
  throwsCode(
    () => decodeGrant(`${part({ alg: "EdDSA", typ: "pubky-grant" })}.${part([1])}.${signature}`),
    "jws_malformed",
  );
});

test("an error about a grant repeats nothing of it", () => {
  const header = grantJws.split(".")[0];
  const payload = Buffer.from("a secret that is no JSON").toString("base64url");
  const error = throwsCode(() => decodeGrant(`${header}.${payload}.`), "jws_malformed");
  assert.ok(!inspect(error).includes("secret"));
});

test("no other letter anywhere in grant or proof is accepted, and none is a crash", () => {
  const proofExpected = { now, grant, homeserver };
  for (const [jws, verify] of [
    [grantJws, (text: string) => verifyGrant(text, expected)],
    [popJws, (text: string) => verifyPop(text, proofExpected)],
  ] as const) {
    verify(jws);
    for (let at = 0; at < jws.length; at++) {
      for (const letter of ["A", "B", "_", ".", "=", "\0", "é"]) {
        if (jws[at] === letter) continue;
        const broken = jws.slice(0, at) + letter + jws.slice(at + 1);
        assert.throws(() => verify(broken), { name: "PubkyError" });
      }
    }
  }
});

test("a proof must be the client's, for this homeserver and grant, and of now", async () => {
  const good = { now, grant, homeserver };
  assert.equal(verifyPop(popJws, good).nonce, proof.nonce);
  verifyPop(popJws, { ...good, now: now + 180_000 });
  const cases: [string, Partial<typeof good>, PubkyErrorCode][] = [
    [await signPop(user, proof), {}, "jws_signature"],
    [popJws, { homeserver: user.publicKey }, "pop_audience"],
    [popJws, { grant: { ...grant, grantId: "other" } }, "pop_grant"],
    [popJws, { now: now + 180_001 }, "pop_time"],
    [popJws, { now: now - 180_001 }, "pop_time"],
    [
      await signJws(client, "pubky-pop", { aud: homeserver.z32, gid: "x", nonce: "", iat: 1 }),
      {},
      "pop_malformed",
    ],
  ];
  for (const [jws, change, code] of cases) throwsCode(() => verifyPop(jws, { ...good, ...change }), code);
});

test("ids are 22 letters of 16 random bytes", () => {
  const id = randomGrantId(simEntropy(5));
  assert.match(id, /^[\w-]{22}$/);
  assert.notEqual(id, randomGrantId(simEntropy(6)));
});

test("whatever terms are signed are read again", async () => {
  const seconds = fc.integer({ min: 0, max: 4e9 }).map((value) => value * 1000);
  const arbitrary = fc.record({
    clientId: fc.string({ unit: "grapheme", minLength: 1, maxLength: 50 }).filter((id) => id.length >= 1),
    grantId: fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 22 }),
    issuedAt: seconds,
    expiresAt: seconds,
  });
  await fc.assert(
    fc.asyncProperty(arbitrary, async (random) => {
      const read = decodeGrant(await signGrant(user, { ...terms, ...random }));
      const { clientId, grantId, issuedAt, expiresAt } = read;
      assert.deepEqual({ clientId, grantId, issuedAt, expiresAt }, { ...random });
    }),
    { numRuns: 50 },
  );
});
