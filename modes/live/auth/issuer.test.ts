import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { concatBytes } from "#core/bytes.ts";
import { openIssuerPrivateKey } from "#edge/privacy-pass/issuer-private-key.ts";
import { openMemorySpentTokenStore } from "#store/memory/spent-token-store.ts";
import { simClock } from "#tests/support/sim-clock.ts";
import { challengeRoutes } from "./challenge-route.ts";
import { type Gate, issuerRoutes, jwtGate, openGate, secretGate } from "./issuer.ts";
import { IssuerDirectory } from "./issuer-directory.ts";
import { newKeyFile, signingKey, verifyingKey } from "./key.ts";
import { oneKey } from "./key-source.ts";
import { PrivacyPass } from "./privacy-pass.ts";
import { mintToken } from "./token.ts";

const clock = simClock();
const issuer = openIssuerPrivateKey();
const lastByte = issuer.key.id.at(-1)!;
const mediaType = "application/private-token-request";

async function ask(
  body: Uint8Array,
  {
    gate = openGate,
    type = mediaType,
    authorization = "",
  }: { gate?: Gate; type?: string; authorization?: string } = {},
): Promise<Response> {
  const request = new Request("http://issuer.example/token-request", {
    method: "POST",
    headers: { "content-type": type, authorization },
    body: body as Uint8Array<ArrayBuffer>,
  });
  return issuerRoutes({ ...issuer, gate })(request)!.respond();
}

const requestOf = (...blinded: number[]) => {
  const number = new Uint8Array(256);
  number.set(blinded, 256 - blinded.length);
  return concatBytes(Uint8Array.of(0, 2, lastByte), number);
};

describe("our issuer", () => {
  test("signs what it cannot see: 1 stays 1, and 0 stays 0", async () => {
    for (const number of [0, 1]) {
      const answer = await ask(requestOf(number));
      assert.equal(answer.status, 200);
      const signature = new Uint8Array(await answer.arrayBuffer());
      assert.equal(signature.length, 256);
      assert.equal(signature.at(-1), number);
    }
  });

  test("refuses what is no request for its key", async () => {
    const good = requestOf(1);
    const changed = (at: number) => good.map((byte, index) => (index === at ? byte ^ 1 : byte));
    for (const body of [good.subarray(1), changed(0), changed(1), changed(2), new Uint8Array()])
      assert.equal((await ask(body)).status, 422);
    assert.equal((await ask(concatBytes(good, Uint8Array.of(0)))).status, 413);
    assert.equal((await ask(good, { type: "text/plain" })).status, 415);
    const beyondModulus = concatBytes(Uint8Array.of(0, 2, lastByte), new Uint8Array(256).fill(0xff));
    assert.equal((await ask(beyondModulus)).status, 422);
  });

  test("answers only its own paths and methods", async () => {
    const routes = issuerRoutes({ ...issuer, gate: openGate });
    assert.equal(routes(new Request("http://issuer.example/other")), undefined);
    assert.equal(routes(new Request("http://issuer.example/constructor")), undefined);
    const wrong = await routes(new Request("http://issuer.example/token-request"))!.respond();
    assert.equal(wrong.status, 405);
    assert.equal(wrong.headers.get("allow"), "POST");
  });

  test("behind a secret gives tokens to who knows it", async () => {
    const gate = secretGate("correct-horse-battery");
    assert.equal(
      (await ask(requestOf(1), { gate, authorization: "Bearer correct-horse-battery" })).status,
      200,
    );
    for (const authorization of [
      "",
      "Bearer correct-horse-batter",
      "Bearer correct-horse-batteryy",
      "Basic x",
    ])
      assert.equal((await ask(requestOf(1), { gate, authorization })).status, 401);
  });

  test("behind the relay's key gives tokens to who has a valid JWT", async () => {
    const file = await newKeyFile("ES256", "k");
    const gate = jwtGate(oneKey(await verifyingKey(file)), clock);
    const wish = { root: "", put: [], get: [""], cluster: false, expiresAt: clock.now() + 1000 };
    const jwt = await mintToken(await signingKey(file), wish, clock.now());
    assert.equal((await ask(requestOf(1), { gate, authorization: `Bearer ${jwt}` })).status, 200);
    await clock.advance(1000);
    assert.equal((await ask(requestOf(1), { gate, authorization: `Bearer ${jwt}` })).status, 401);
    assert.equal((await ask(requestOf(1), { gate })).status, 401);
  });

  test("takes no key but RSA of 2048 bits", () => {
    assert.throws(() => openIssuerPrivateKey("no key"));
  });
});

describe("GET /challenge", () => {
  const privacyPass = new PrivacyPass(
    {
      issuerName: "issuer.example",
      keys: () => [issuer.key],
      secret: new Uint8Array(32),
      windowMs: 1000,
      bound: true,
      unboundKeepMs: 1000,
      sessionMaxMs: 1000,
    },
    openMemorySpentTokenStore({ maxSpentTokens: 1 }),
  );
  const get = async (query: string, pass: PrivacyPass | undefined = privacyPass, method = "GET") =>
    challengeRoutes(
      pass,
      clock,
    )(new Request(`http://relay.example/challenge${query}`, { method }))!.respond();

  test("is 400 for an operation or a path that cannot be", async () => {
    for (const query of ["", "?path=room", "?path=room&op=watch", `?op=fetch&path=${"a/".repeat(33)}`])
      assert.equal((await get(query)).status, 400);
    assert.equal((await get(`?op=fetch&form=binary&path=${"a".repeat(300)}`)).status, 400);
    assert.equal((await get("?path=room&op=fetch", privacyPass, "POST")).status, 405);
  });

  test("is 501 where Privacy Pass is off", async () => {
    const match = challengeRoutes(
      undefined,
      clock,
    )(new Request("http://relay.example/challenge?path=a&op=fetch"))!;
    assert.equal((await match.respond()).status, 501);
  });

  test("is never kept by a cache, and another path is not its own", async () => {
    assert.equal((await get("?path=room&op=fetch")).headers.get("cache-control"), "no-store");
    assert.equal(challengeRoutes(privacyPass, clock)(new Request("http://relay.example/")), undefined);
  });
});

describe("an issuer's directory", () => {
  const text = JSON.stringify({
    "token-keys": [{ "token-type": 2, "token-key": Buffer.from(issuer.key.spki).toString("base64url") }],
  });

  test("that fails or is empty leaves the keys there are", async () => {
    const answers: (string | Error)[] = [text, new Error("down"), '{"token-keys":[]}', "<html>", text];
    const directory = new IssuerDirectory(
      "issuer.example",
      async () => {
        const answer = answers.shift()!;
        if (answer instanceof Error) throw answer;
        return answer;
      },
      clock,
    );
    assert.equal(directory.keys.length, 0);
    await directory.refresh();
    const [first] = directory.keys;
    for (let i = 0; i < 3; i++) await assert.rejects(directory.refresh());
    await directory.refresh();
    assert.equal(directory.keys.length, 1);
    assert.equal(directory.keys[0], first);
  });
});
