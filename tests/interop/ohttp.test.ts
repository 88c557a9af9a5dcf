import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { DhkemX25519HkdfSha256 } from "@hpke/core";
import { createMailbox, createOhttpFetch, isPosternError } from "#clients/client/src/mailbox.ts";
import vectors from "#protocol/vectors/ohttp-mozilla.json" with { type: "json" };
import { ohttpApi } from "#tests/support/mailbox-api.ts";
import { runPostern, startPostern } from "#tests/support/postern.ts";
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
  const looked = await ohttpFetch(`${gateway.url}/inbox/sealed-place`, { method: "HEAD" });
  assert.deepEqual([looked.status, await looked.text()], [200, ""]);
  // A stream has no end that could be sealed.
  const accept = { headers: { accept: "text/event-stream" } };
  assert.equal((await ohttpFetch(`${gateway.url}/inbox/sealed-place`, accept)).status, 406);
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

test("through an OHTTP relay nothing goes to the mailbox relay itself, the question for its key included", async () => {
  await using gateway = await startPostern();
  await using hop = await startPostern(["--ohttp-relay-target", `${gateway.url}/v2/ohttp`]);
  const asked: string[] = [];
  const watched: typeof fetch = (input, init) => {
    asked.push(new URL(String(input)).origin);
    return fetch(input, init);
  };
  const name = "ef".repeat(32);
  for (const relayUrl of [`${hop.url}/ohttp-relay`, `${hop.url}/ohttp-relay/v2/ohttp`]) {
    const mailbox = createMailbox({ relay: gateway.url, ohttp: { relayUrl }, fetch: watched });
    assert.match(await mailbox.send(name, bytes("sealed")), /^[0-9a-f-]{36}$/);
  }
  assert.deepEqual([...new Set(asked)], [hop.url]);

  // So does the command line, which is told a relay that nobody could reach.
  using folder = temporaryFolder();
  const fetchBy = (...more: string[]) =>
    runPostern(["mailbox", "fetch", name, "--json", "--relay", "http://127.0.0.1:9", ...more]);
  const viaHop = await fetchBy("--ohttp-relay", `${hop.url}/ohttp-relay`);
  assert.equal(viaHop.stdout.trim().split("\n").length, 2, viaHop.stderr);

  // A key from elsewhere is taken as it is.
  const key = folder.file("key");
  writeFileSync(key, await (await fetch(`${gateway.url}/v2/ohttp-key`)).bytes());
  const pinned = await fetchBy("--ohttp-relay", `${hop.url}/ohttp-relay`, "--ohttp-key", key);
  assert.equal(pinned.stdout, viaHop.stdout, pinned.stderr);
  writeFileSync(key, await (await fetch(`${hop.url}/v2/ohttp-key`)).bytes());
  const wrong = await fetchBy("--ohttp-relay", `${hop.url}/ohttp-relay`, "--ohttp-key", key);
  assert.deepEqual([wrong.code, wrong.stdout], [4, ""]);

  const nowhere = await fetchBy("--ohttp-relay", `${hop.url}/nowhere`);
  assert.equal(nowhere.code, 4);
  assert.match(nowhere.stderr, /No OHTTP key is to be had where the capsules go \(status 404\)/);
  assert.equal((await fetchBy("--ohttp-relay", "hop.example")).code, 2);
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

test("clients of the mailbox find the hop where they look for one", async () => {
  await using gateway = await startPostern();
  const target = `${gateway.url}/v2/ohttp`;
  await using alone = await startPostern(["--no-ohttp", "--no-mailbox", "--ohttp-relay-target", target]);
  await using beside = await startPostern(["--ohttp-relay-target", target]);
  const own = await (await fetch(target.concat("-key"))).bytes();
  for (const [at, base] of [alone.url, `${beside.url}/ohttp-relay`].entries()) {
    const key = await fetch(`${base}/v2/ohttp-key`);
    assert.deepEqual(await key.bytes(), own);
    assert.equal(key.headers.get("content-type"), "application/ohttp-keys");
    assert.equal(key.headers.get("cache-control"), "no-store");
    const fingerprint = new Uint8Array(await crypto.subtle.digest("SHA-256", own));
    assert.equal(key.headers.get("key-fingerprint"), hex(fingerprint));

    const client = ohttpApi((path, init) => fetch(base + path, init));
    const mailbox = `0${at}`.repeat(32);
    const { body: sent } = await client.call("send", { recipient_id: mailbox, ciphertext: "aGk=" });
    const { body: found } = await client.call("fetch", { mailbox_tokens: [mailbox] });
    assert.equal(found.blobs[0].blob_id, sent.blob_id);
    const { body: gone } = await client.call("ack", { recipient_id: mailbox, blob_id: sent.blob_id });
    assert.equal(gone.acknowledged, true);
    for (const [method, path, status] of [
      ["GET", "/v2/ohttp", 405],
      ["POST", "/v2/ohttp-key", 405],
    ] as const) {
      assert.equal((await fetch(base + path, { method })).status, status);
    }
    const garbage = await fetch(`${base}/v2/ohttp`, { method: "POST", body: new Uint8Array(100) });
    assert.equal(garbage.status, 400);
  }
  assert.deepEqual(await (await fetch(`${alone.url}/health`)).json(), { status: "healthy" });
  assert.equal((await fetch(`${alone.url}/v2/send`, { method: "POST" })).status, 404);
  // Where there is a gateway of our own, its path stays its own.
  assert.notDeepEqual(await (await fetch(`${beside.url}/v2/ohttp-key`)).bytes(), own);
});

test("an OHTTP relay keeps its gateway's keys for five minutes and says so", async () => {
  let asked = 0;
  await using gateway = await gatewayThat((_, response) => {
    asked++;
    response.end(Buffer.from(vectors[0]!.theirConfig, "hex"));
  });
  await using hop = await startPostern(["--ohttp-relay-target", gateway.url]);
  const answers = await Promise.all(Array.from({ length: 8 }, () => fetch(`${hop.url}/ohttp-relay`)));
  assert.equal(asked, 1);
  for (const { headers } of answers) {
    const seconds = Number(/^public, max-age=(\d+)$/.exec(headers.get("cache-control")!)?.[1]);
    assert.ok(seconds > 200 && seconds <= 300, String(seconds));
  }
});

const post = (body: string | Uint8Array<ArrayBuffer>): RequestInit => ({
  method: "POST",
  headers: { "content-type": "message/ohttp-req" },
  body,
});

for (const [name, misbehave] of [
  ["redirects", (_, response) => response.writeHead(307, { location: "http://127.0.0.1:1/" }).end()],
  ["fails", (_, response) => response.writeHead(500).end("secret of the gateway")],
  ["answers something else", (_, response) => response.end("<html>")],
  [
    "answers too much, and says so",
    (_, response) => response.writeHead(200, { ...sealed, "content-length": 5000 }).end(Buffer.alloc(5000)),
  ],
  [
    "answers without an end",
    (_, response) => {
      response.writeHead(200, sealed);
      const timer = setInterval(() => response.write(Buffer.alloc(100)), 1);
      response.once("close", () => clearInterval(timer));
    },
  ],
  ["does not answer", () => {}],
  ["stops in the middle", (_, response) => response.writeHead(200, sealed).write("half")],
  ["hangs up", ({ socket }) => socket.destroy()],
] as readonly [string, RequestListener][]) {
  test(`an OHTTP relay answers a bare 502 where its gateway ${name}`, async () => {
    await using gateway = await gatewayThat((request, response) => {
      if (request.method === "POST") return misbehave(request, response as never);
      response.end(Buffer.from(vectors[0]!.theirConfig, "hex"));
    });
    const limits = ["--ohttp-relay-max", "2KiB", "--ohttp-relay-timeout", "300ms"];
    await using hop = await startPostern(["--ohttp-relay-target", gateway.url, ...limits]);
    const answer = await fetch(`${hop.url}/ohttp-relay`, post("capsule"));
    assert.deepEqual([answer.status, await answer.text()], [502, ""]);
    assert.ok(!hop.log().includes("capsule") && !hop.log().includes("secret of the gateway"));
  });
}

test("an OHTTP relay bounds what it passes on, and how much at once", async () => {
  let passed = 0;
  const open: ServerResponse[] = [];
  await using gateway = await gatewayThat((request, response) => {
    if (request.method === "GET") return void response.end(Buffer.from(vectors[0]!.theirConfig, "hex"));
    passed++;
    if (passed > 2) return void response.writeHead(200, sealed).end("again");
    open.push(response);
  });
  const limits = ["--ohttp-relay-max", "2KiB", "--ohttp-relay-max-passing", "1"];
  await using hop = await startPostern(["--ohttp-relay-target", gateway.url, ...limits]);
  const url = `${hop.url}/ohttp-relay`;
  assert.equal((await fetch(url, post(new Uint8Array(2049)))).status, 413);
  assert.equal((await fetch(url, { method: "POST", body: "x" })).status, 415);
  assert.equal((await fetch(url, { method: "DELETE" })).status, 405);
  assert.equal(passed, 0);

  const first = fetch(url, post("capsule"));
  while (open.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const second = await fetch(url, post("capsule"));
  assert.deepEqual([second.status, second.headers.get("retry-after")], [429, "1"]);
  open[0]!.writeHead(200, sealed).end("sealed answer");
  assert.equal(await (await first).text(), "sealed answer");

  // A client that hangs up takes its request along, and gives its place back.
  const stop = new AbortController();
  const third = fetch(url, { ...post("capsule"), signal: stop.signal });
  while (open.length === 1) await new Promise((resolve) => setImmediate(resolve));
  const dropped = once(open[1]!, "close");
  stop.abort();
  await assert.rejects(third);
  await dropped;
  let fourth: Response;
  do fourth = await fetch(url, post("capsule"));
  while (fourth.status === 429);
  assert.equal(await fourth.text(), "again");
  assert.equal(hop.log(), "", "that clients hang up is no failure of ours");
});

test("an OHTTP relay tells its operator why the gateway cannot be reached", async () => {
  const target = `http://127.0.0.1:${await freePort()}/v2/ohttp`;
  await using hop = await startPostern(["--ohttp-relay-target", target]);
  assert.equal((await fetch(`${hop.url}/ohttp-relay`)).status, 502);
  assert.match(hop.log(), /the gateway cannot be reached: .*ECONNREFUSED/);
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

const sealed = { "content-type": "message/ohttp-res" };

async function gatewayThat(answers: RequestListener): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer(answers).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/gateway`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
