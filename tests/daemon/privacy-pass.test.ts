import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { publicVerif, TokenChallenge, WWWAuthenticateHeader } from "@cloudflare/privacypass-ts";
import WebSocket from "ws";
import { netClient } from "#tests/interop/live/clients.ts";
import { runPostern, startPostern } from "#tests/support/postern.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import { decodeBase64url, encodeBase64url } from "#wire/base64url.ts";
import { tokenHeader } from "#wire/privacy-pass/authorization.ts";
import { encodeSetupToken } from "#wire/privacy-pass/token.ts";

const connect = netClient();
const own = ["--privacypass-enabled", "--privacypass-serve", "--privacypass-issuer", "relay.example"];
const open = [...own, "--privacypass-serve-gate", "open"];

/** The published client, with the issuer of the relay at `url`. */
async function fetchToken(url: string, challenge: TokenChallenge, tokenKey: Uint8Array): Promise<Uint8Array> {
  const client = new publicVerif.Client(publicVerif.BlindRSAMode.PSS);
  const request = await client.createTokenRequest(challenge, tokenKey);
  const directory = await fetch(new URL("/.well-known/private-token-issuer-directory", url));
  const { "issuer-request-uri": uri } = (await directory.json()) as { "issuer-request-uri": string };
  const answer = await fetch(new URL(uri, url), {
    method: "POST",
    headers: { "content-type": "application/private-token-request" },
    body: Uint8Array.from(request.serialize()),
  });
  assert.equal(answer.status, 200);
  const signed = client.deserializeTokenResponse(new Uint8Array(await answer.arrayBuffer()));
  return (await client.finalize(signed)).serialize();
}

/** A token as a page gets it: `/challenge`, then the issuer. */
async function tokenFor(url: string, path: string, op: string): Promise<Uint8Array> {
  const answer = await fetch(new URL(`/challenge?path=${path}&op=${op}`, url));
  const { challenge, token_key } = (await answer.json()) as { challenge: string; token_key: string };
  return fetchToken(
    url,
    TokenChallenge.deserialize(decodeBase64url(challenge)!),
    decodeBase64url(token_key)!,
  );
}

function knock(url: URL, headers: Record<string, string> = {}): Promise<{ status: number; asks: string }> {
  url.protocol = "ws:";
  const socket = new WebSocket(url, ["qmux-02.moq-lite-05"], { headers });
  return new Promise((resolve) => {
    socket.on("open", () => {
      resolve({ status: 101, asks: "" });
      socket.terminate();
    });
    socket.on("unexpected-response", (request, response) => {
      resolve({ status: response.statusCode!, asks: response.headers["www-authenticate"] ?? "" });
      request.destroy();
    });
    socket.on("error", () => {});
  });
}

/** The relay's first message to a client of moq-lite 02 in the oldest framing. */
async function setUp(url: URL, token?: Uint8Array): Promise<Uint8Array> {
  url.protocol = "ws:";
  const socket = new WebSocket(url, ["webtransport"]);
  await once(socket, "open");
  // One version, ff0dad02; parameters: an even one, and the token.
  const parameters = token ? [2, 0x02, 0x05, 0x03, 0x41, 0x65, ...encodeSetupToken(token)] : [0];
  const body = [1, 0xc0, 0, 0, 0, 0xff, 0x0d, 0xad, 0x02, ...parameters];
  socket.send(Uint8Array.of(0x08, 0, 0x20, body.length >> 8, body.length & 0xff, ...body));
  const [message] = (await once(socket, "message")) as [Buffer];
  socket.terminate();
  return Uint8Array.from(message);
}

describe("Privacy Pass in the daemon", { timeout: 60_000 }, () => {
  test("lets @moq/net publish and watch with a token each, and nobody without", async () => {
    await using postern = await startPostern(open);
    const at = (token: Uint8Array) => new URL(`/room?pp=${encodeBase64url(token)}`, postern.url);
    const publisher = await connect(at(await tokenFor(postern.url, "room", "publish")));
    publisher.publish("cam", (track) => track.group("hello"));
    const watcher = await connect(at(await tokenFor(postern.url, "room", "subscribe")));
    assert.deepEqual(await watcher.announced()(), { path: "cam", active: true });
    watcher.close();
    publisher.close();
  });

  test("asks for a token in a 401, takes it in a header, and takes it once", async () => {
    await using postern = await startPostern(open);
    const { status, asks } = await knock(new URL("/room", postern.url));
    assert.equal(status, 401);
    const [first] = WWWAuthenticateHeader.parse(asks);
    const token = await fetchToken(postern.url, first!.challenge, first!.tokenKey);
    const authorization = tokenHeader(token);
    assert.equal((await knock(new URL("/other", postern.url), { authorization })).status, 401);
    assert.equal((await knock(new URL("/room", postern.url), { authorization })).status, 101);
    assert.equal((await knock(new URL("/room", postern.url), { authorization })).status, 401);
  });

  test("closes a session of the older protocol with a challenge, and lets it in with the token in its SETUP", async () => {
    await using postern = await startPostern(open);
    const asked = await setUp(new URL("/room", postern.url));
    assert.deepEqual(asked.subarray(0, 2), Uint8Array.of(0x1d, 0x02));
    const reason = new TextDecoder().decode(asked.subarray(2));
    assert.match(reason, /^pp:[A-Za-z0-9_-]+$/);
    const challenge = TokenChallenge.deserialize(decodeBase64url(reason.slice(3))!);
    assert.deepEqual(challenge.originInfo, ["subscribe:room"]);
    const answer = await fetch(new URL("/challenge?path=room&op=subscribe", postern.url));
    const { token_key } = (await answer.json()) as { token_key: string };
    const token = await fetchToken(postern.url, challenge, decodeBase64url(token_key)!);
    const tampered = token.map((byte, at) => (at === 300 ? byte ^ 1 : byte));
    assert.equal((await setUp(new URL("/room", postern.url), tampered))[0], 0x1d);
    assert.equal((await setUp(new URL("/other", postern.url), token))[0], 0x1d);
    // Stream data of the first stream: the server's SETUP.
    const welcome = await setUp(new URL("/room", postern.url), token);
    assert.deepEqual(welcome.subarray(0, 3), Uint8Array.of(0x08, 0x00, 0x21));
    assert.equal((await setUp(new URL("/room", postern.url), token))[0], 0x1d);
  });

  test("guards the HTTP endpoints alike", async () => {
    await using postern = await startPostern(open);
    const refused = await fetch(new URL("/announced/room", postern.url));
    assert.equal(refused.status, 401);
    const [asked] = WWWAuthenticateHeader.parse(refused.headers.get("www-authenticate")!);
    const token = await fetchToken(postern.url, asked!.challenge, asked!.tokenKey);
    const headers = { authorization: tokenHeader(token) };
    assert.equal((await fetch(new URL("/announced/room", postern.url), { headers })).status, 200);
    assert.equal((await fetch(new URL("/announced/room", postern.url), { headers })).status, 401);
  });

  test("keeps a spent token spent over a restart, where challenges outlive it", async () => {
    using folder = temporaryFolder();
    const lasting = [...open, "--persist-db", folder.file("postern.db")];
    const secret = ["--privacypass-secret", "an operator's secret of some length"];
    const key = writeKey(folder.file("issuer.pem"));
    const args = [...lasting, ...secret, "--privacypass-serve-key", key];
    let authorization: string;
    let unspent: string;
    {
      await using postern = await startPostern(args);
      authorization = tokenHeader(await tokenFor(postern.url, "room", "subscribe"));
      unspent = tokenHeader(await tokenFor(postern.url, "room", "subscribe"));
      assert.equal((await knock(new URL("/room", postern.url), { authorization })).status, 101);
    }
    await using postern = await startPostern(args);
    assert.equal((await knock(new URL("/room", postern.url), { authorization })).status, 401);
    assert.equal((await knock(new URL("/room", postern.url), { authorization: unspent })).status, 101);
  });

  test("is off unless it is switched on, and gives tokens to nobody unasked", async () => {
    await using off = await startPostern(["--auth-public", ""]);
    assert.equal((await fetch(new URL("/challenge?path=a&op=fetch", off.url))).status, 501);
    assert.equal((await fetch(new URL("/token-request", off.url), { method: "POST" })).status, 404);
    await using gated = await startPostern([
      ...own,
      "--privacypass-serve-gate",
      "secret",
      "--privacypass-serve-secret",
      "sixteen-characters-or-more",
    ]);
    assert.equal((await fetch(new URL("/token-request", gated.url), { method: "POST" })).status, 401);
  });
});

describe("a Privacy Pass option that cannot be", { timeout: 60_000 }, () => {
  for (const [name, args, says] of [
    [
      "a key file that is absent",
      ["--privacypass-enabled", "--privacypass-issuer-key", "none.pem"],
      /cannot be read/,
    ],
    [
      "a key file that holds none",
      ["--privacypass-enabled", "--privacypass-issuer-key", "package.json"],
      /no RSA key/,
    ],
    [
      "our issuer's key that is none",
      ["--privacypass-serve", "--privacypass-serve-key", "package.json"],
      /auth-key/,
    ],
    [
      "the gate `secret` without one",
      ["--privacypass-serve", "--privacypass-serve-gate", "secret"],
      /serve-secret/,
    ],
    ["a short secret", ["--privacypass-secret", "short"], /at least 32 characters/],
  ] as const) {
    test(`stops the start: ${name}`, async () => {
      const { code, stderr } = await runPostern(["serve", "--port", "0", "--ops-listen", "off", ...args]);
      assert.equal(code, 2);
      assert.match(stderr, says);
      assert.ok(!stderr.includes("short"));
    });
  }
});

function writeKey(file: string): string {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  writeFileSync(file, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  return file;
}
