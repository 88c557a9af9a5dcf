import assert from "node:assert/strict";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { DhkemX25519HkdfSha256 } from "@hpke/core";
import { createMailbox, createOhttpFetch, isPosternError } from "#clients/client/src/mailbox.ts";
import vectors from "#protocol/vectors/ohttp-mozilla.json" with { type: "json" };
import { startPostern } from "#tests/support/postern.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import { decodeBinaryHttp } from "#wire/bhttp/decode.ts";
import { encapsulateRequest } from "#wire/ohttp/client.ts";
import { openRequest } from "#wire/ohttp/gateway.ts";
import { decodeKeyConfig } from "#wire/ohttp/key-config.ts";
import { deriveGatewayKey } from "#wire/ohttp/suite.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const unhex = (text: string) => new Uint8Array(Buffer.from(text, "hex"));
const bytes = (text: string) => new TextEncoder().encode(text);

// What Mozilla's implementation said, stored by `ohttp-live.ts`.
for (const vector of vectors) {
  test(`a capsule of Mozilla's client is opened (${vector.aead})`, async () => {
    const key = await deriveGatewayKey(9, unhex(vector.gatewaySeed));
    const { request } = await openRequest(key, unhex(vector.theirCapsule));
    assert.equal(hex(request), vector.request);
    const message = decodeBinaryHttp(request);
    assert.equal(message.kind === "request" && message.path, "/inbox/some-id");
  });

  test(`an answer of Mozilla's gateway to our capsule is opened (${vector.aead})`, async () => {
    const ephemeral = await new DhkemX25519HkdfSha256().deriveKeyPair(unhex(vector.ephemeralSeed).buffer);
    const config = decodeKeyConfig(unhex(vector.theirConfig));
    const { capsule, openResponse } = await encapsulateRequest(config, unhex(vector.request), ephemeral);
    assert.equal(hex(capsule), vector.ourCapsule);
    assert.equal(hex(openResponse(unhex(vector.theirResponse))), vector.response);
  });
}

async function keysOf(url: string): Promise<Uint8Array> {
  return new Uint8Array(await (await fetch(`${url}/.well-known/ohttp-gateway`)).arrayBuffer());
}

test("any request goes through an OHTTP relay to a gateway: rendezvous and mailbox, keys through the relay too", async () => {
  await using gateway = await startPostern();
  const target = `${gateway.url}/.well-known/ohttp-gateway`;
  await using hop = await startPostern(["--ohttp-relay-target", target]);
  const relayUrl = `${hop.url}/ohttp-relay`;
  const keyConfig = async () => new Uint8Array(await (await fetch(relayUrl)).arrayBuffer());
  const ohttpFetch = createOhttpFetch({ relayUrl, keyConfig });

  const stored = await ohttpFetch(`${gateway.url}/inbox/sealed-place`, { method: "POST", body: "hello" });
  assert.equal(stored.status, 200);
  const read = await ohttpFetch(`${gateway.url}/inbox/sealed-place`);
  assert.equal(await read.text(), "hello");
  assert.equal((await ohttpFetch(`${gateway.url}/nowhere`)).status, 404);
  const nested = await ohttpFetch(target, { method: "POST", body: "x" });
  assert.equal(nested.status, 404, "no capsule in a capsule");

  const mailbox = createMailbox({ relay: gateway.url, fetch: (url, init) => ohttpFetch(url, init) });
  const name = "ab".repeat(32);
  const blobId = await mailbox.send(name, bytes("blob"));
  assert.equal((await mailbox.fetch([name])).messages[0]?.blobId, blobId);
});

test("the mailbox's own OHTTP goes through an OHTTP relay, and a stale key is fetched again", async () => {
  await using gateway = await startPostern(["--ohttp-key-window-secs", "3600"]);
  await using hop = await startPostern(["--ohttp-relay-target", `${gateway.url}/v2/ohttp`]);
  const relayUrl = `${hop.url}/ohttp-relay`;
  // A configuration with a key id that the gateway never held.
  const stale = unhex(vectors[1]!.theirConfig);
  let fetches = 0;
  const keyConfig = async () => {
    if (fetches++ === 0) return stale;
    return new Uint8Array(await (await fetch(`${gateway.url}/v2/ohttp-key`)).arrayBuffer());
  };
  stale[0] =
    (new Uint8Array(await (await fetch(`${gateway.url}/v2/ohttp-key`)).arrayBuffer())[0]! + 100) % 256;
  const mailbox = createMailbox({ relay: gateway.url, ohttp: { relayUrl, keyConfig } });
  const name = "cd".repeat(32);
  const blobId = await mailbox.send(name, bytes("sealed"));
  assert.equal(fetches, 2);
  const { messages } = await mailbox.fetch([name]);
  assert.deepEqual(
    [messages[0]!.blobId, new TextDecoder().decode(messages[0]!.ciphertext)],
    [blobId, "sealed"],
  );
  assert.equal(await mailbox.ack(name, blobId), true);
});

test("an OHTTP relay lets its gateway know nothing of who asks", async () => {
  const seen: IncomingMessage[] = [];
  const gateway = createServer((request, response) => {
    seen.push(request);
    if (request.method === "GET") return void response.end(Buffer.from(vectors[0]!.theirConfig, "hex"));
    response.writeHead(200, { "content-type": "message/ohttp-res", "set-cookie": "id=1", "x-trace": "1" });
    response.end("sealed answer");
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => gateway.once("listening", resolve));
  try {
    const { port } = gateway.address() as AddressInfo;
    await using hop = await startPostern(["--ohttp-relay-target", `http://127.0.0.1:${port}/gateway`]);
    const answer = await fetch(`${hop.url}/ohttp-relay?user=me`, {
      method: "POST",
      headers: {
        "content-type": "message/ohttp-req",
        cookie: "session=secret",
        authorization: "Bearer secret",
        "x-forwarded-for": "203.0.113.9",
        forwarded: "for=203.0.113.9",
        "user-agent": "secret-agent",
      },
      body: "capsule",
    });
    assert.equal(await answer.text(), "sealed answer");
    assert.equal(answer.headers.get("set-cookie"), null);
    assert.equal(answer.headers.get("x-trace"), null);
    const forwarded = seen.at(-1)!;
    assert.equal(forwarded.url, "/gateway");
    const everything = JSON.stringify(forwarded.rawHeaders);
    for (const secret of ["secret", "203.0.113.9", "user=me"])
      assert.ok(!everything.includes(secret), secret);
  } finally {
    gateway.closeAllConnections();
    gateway.close();
  }
});

test("an OHTTP relay refuses to serve its own gateway", async () => {
  using folder = temporaryFolder();
  const port = await freePort();
  const args = ["--port", String(port), "--persist-db", folder.file("p.db")];
  await using own = await startPostern([
    ...args,
    "--ohttp-relay-target",
    `http://127.0.0.1:${port}/.well-known/ohttp-gateway`,
  ]);
  const ohttpFetch = createOhttpFetch({
    relayUrl: `${own.url}/ohttp-relay`,
    keyConfig: await keysOf(own.url),
  });
  await assert.rejects(
    ohttpFetch(`${own.url}/health`),
    (error) => isPosternError(error, "relay_refused") && error.details.status === 502,
  );
  assert.match(own.log(), /own gateway/);
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
