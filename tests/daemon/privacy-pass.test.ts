import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { publicVerif, TokenChallenge, WWWAuthenticateHeader } from "@cloudflare/privacypass-ts";
import WebSocket from "ws";
import { netClient } from "#tests/interop/live/clients.ts";
import { startPostern } from "#tests/support/postern.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import { decodeBase64url, encodeBase64url } from "#wire/base64url.ts";
import { tokenHeader } from "#wire/privacy-pass/authorization.ts";

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

function writeKey(file: string): string {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  writeFileSync(file, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  return file;
}
