import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { DhkemX25519HkdfSha256 } from "@hpke/core";
import { systemEntropy } from "#core/clock.ts";
import { padJson, unpadJson } from "#tests/support/mailbox-api.ts";
import { startPostern } from "#tests/support/postern.ts";
import { decodeBinaryHttp } from "#wire/bhttp/decode.ts";
import { encodeBinaryHttp } from "#wire/bhttp/encode.ts";
import { encapsulateRequest } from "#wire/ohttp/client.ts";
import { openRequest } from "#wire/ohttp/gateway.ts";
import { decodeKeyConfig, encodeKeyConfig, keyConfigOf } from "#wire/ohttp/key-config.ts";
import { deriveGatewayKey } from "#wire/ohttp/suite.ts";

// Talks to Mozilla's OHTTP, live and in both roles, and with --write stores what was said as vectors for
// `ohttp.test.ts`, which needs no Rust. Run by hand where cargo is at hand:
//
//     node tests/interop/ohttp-live.ts [--write]

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const unhex = (text: string) => new Uint8Array(Buffer.from(text, "hex"));
const peerFolder = fileURLToPath(new URL("ohttp-peer", import.meta.url));
const target = join(tmpdir(), "postern-ohttp-peer");

/** The Rust program, a line at a time. */
class Peer {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor() {
    mkdirSync(target, { recursive: true });
    this.#child = spawn("cargo", ["run", "--quiet", "--locked"], {
      cwd: peerFolder,
      env: { ...process.env, CARGO_TARGET_DIR: target },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  async ask(...words: string[]): Promise<string> {
    this.#child.stdin!.write(`${words.join(" ")}\n`);
    const { value } = await this.#lines.next();
    assert.match(String(value), /^ok /, `the peer answers ${words[0]}: ${value}`);
    return String(value).slice(3);
  }

  [Symbol.dispose](): void {
    this.#child.stdin!.end();
  }
}

using peer = new Peer();
const request = encodeBinaryHttp({
  kind: "request",
  method: "POST",
  scheme: "https",
  authority: "relay.test",
  path: "/inbox/some-id",
  headers: [["content-type", "text/plain"]],
  content: new TextEncoder().encode("hello"),
});
const response = encodeBinaryHttp({
  kind: "response",
  status: 200,
  headers: [["content-type", "text/plain"]],
  content: new TextEncoder().encode("answer"),
});

// Binary HTTP: what we write they read and write again, in both forms; what they write we read.
for (const message of [request, response]) {
  assert.equal(await peer.ask("known", hex(message)), hex(message));
  const indeterminate = await peer.ask("indeterminate", hex(message));
  assert.deepEqual(decodeBinaryHttp(unhex(indeterminate)), decodeBinaryHttp(message));
  const ours = encodeBinaryHttp(decodeBinaryHttp(message), { length: "indeterminate" });
  assert.equal(await peer.ask("known", hex(ours)), hex(message));
}

const vectors = [];
const kem = new DhkemX25519HkdfSha256();
for (const [name, aeadId] of [
  ["aes-128-gcm", 1],
  ["chacha20-poly1305", 3],
] as const) {
  // Their client, our gateway.
  const seed = new Uint8Array(32).fill(aeadId);
  const key = await deriveGatewayKey(9, seed);
  const config = encodeKeyConfig({ ...keyConfigOf(key), suites: [{ kdfId: 1, aeadId }] });
  const theirCapsule = await peer.ask("encapsulate", hex(config), hex(request));
  const opened = await openRequest(key, unhex(theirCapsule));
  assert.equal(hex(opened.request), hex(request));
  assert.equal(await peer.ask("open", hex(opened.sealResponse(response, systemEntropy))), hex(response));

  // Our client, their gateway.
  const theirConfig = await peer.ask("serve", "200", name, hex(seed));
  const ephemeralSeed = new Uint8Array(32).fill(100 + aeadId);
  const ephemeral = await kem.deriveKeyPair(ephemeralSeed.slice().buffer);
  const ours = await encapsulateRequest(decodeKeyConfig(unhex(theirConfig)), request, ephemeral);
  assert.equal(await peer.ask("decapsulate", hex(ours.capsule)), hex(request));
  const theirResponse = await peer.ask("seal", hex(response));
  assert.equal(hex(ours.openResponse(unhex(theirResponse))), hex(response));
  vectors.push({
    aead: name,
    aeadId,
    request: hex(request),
    response: hex(response),
    gatewaySeed: hex(seed),
    theirCapsule,
    theirConfig,
    ephemeralSeed: hex(ephemeralSeed),
    ourCapsule: hex(ours.capsule),
    theirResponse,
  });
}

// Their client against a running relay: a message goes in and comes out through the standard gateway.
{
  await using postern = await startPostern();
  const gateway = `${postern.url}/.well-known/ohttp-gateway`;
  const list = new Uint8Array(await (await fetch(gateway)).arrayBuffer());
  const capsule = await peer.ask("encapsulate", hex(list.subarray(2)), hex(request));
  const headers = { "content-type": "message/ohttp-req" };
  const answer = await fetch(gateway, { method: "POST", headers, body: unhex(capsule) });
  const opened = decodeBinaryHttp(
    unhex(await peer.ask("open", hex(new Uint8Array(await answer.arrayBuffer())))),
  );
  assert.equal(opened.kind === "response" && opened.status, 200);
  assert.equal(await (await fetch(`${postern.url}/inbox/some-id`)).text(), "hello");
}

// The same through an OHTTP relay, in both forms: their client has the keys from the hop and sees the hop alone.
{
  await using postern = await startPostern();
  const standard = ["--ohttp-relay-target", `${postern.url}/.well-known/ohttp-gateway`];
  await using hop = await startPostern(standard);
  const list = await (await fetch(`${hop.url}/ohttp-relay`)).bytes();
  const capsule = await peer.ask("encapsulate", hex(list.subarray(2)), hex(request));
  const headers = { "content-type": "message/ohttp-req" };
  const answer = await fetch(`${hop.url}/ohttp-relay`, { method: "POST", headers, body: unhex(capsule) });
  const opened = decodeBinaryHttp(unhex(await peer.ask("open", hex(await answer.bytes()))));
  assert.equal(opened.kind === "response" && opened.status, 200);
  assert.equal(await (await fetch(`${postern.url}/inbox/some-id`)).text(), "hello");

  const mailbox = ["--ohttp-relay-target", `${postern.url}/v2/ohttp`, "--no-ohttp", "--no-mailbox"];
  await using mailboxHop = await startPostern(mailbox);
  const key = await (await fetch(`${mailboxHop.url}/v2/ohttp-key`)).bytes();
  const call = async (inner: object) => {
    const sealed = await peer.ask("encapsulate", hex(key), hex(padJson({ version: 2, ...inner })));
    const sent = await fetch(`${mailboxHop.url}/v2/ohttp`, { method: "POST", headers, body: unhex(sealed) });
    return unpadJson(unhex(await peer.ask("open", hex(await sent.bytes()))));
  };
  const name = "e0".repeat(32);
  const { blob_id } = await call({ action: "send", recipient_id: name, ciphertext: "aGk=" });
  const { blobs } = await call({ action: "fetch", mailbox_tokens: [name] });
  assert.deepEqual(
    (blobs as { blob_id: string }[]).map((blob) => blob.blob_id),
    [blob_id],
  );
}

if (process.argv.includes("--write")) {
  const file = new URL("../../protocol/vectors/ohttp-mozilla.json", import.meta.url);
  writeFileSync(file, `${JSON.stringify(vectors, null, 2)}\n`);
}
process.stdout.write("Mozilla's ohttp and bhttp agree with ours in every role.\n");
