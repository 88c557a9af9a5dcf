import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readFileSync, unlinkSync } from "node:fs";
import { createServer, type RequestListener, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { DescribedApi } from "#tests/support/described-api.ts";
import { ohttpApi, padJson, sendCapsule, unpadJson } from "#tests/support/mailbox-api.ts";
import { startPostern } from "#tests/support/postern.ts";
import { RawPeer } from "#tests/support/raw-peer.ts";
import { signedGuardians } from "#tests/support/signed-guardians.ts";
import { signedPurge } from "#tests/support/signed-purge.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import { encodeBinaryHttp } from "#wire/bhttp/encode.ts";
import { encapsulateRequest } from "#wire/ohttp/client.ts";
import { decodeKeyConfig } from "#wire/ohttp/key-config.ts";

const api = new DescribedApi();
/** What this file is about: the mailbox, OHTTP, and what the relay tells of itself. */
const described = /^\/(v2\/|\.well-known\/ohttp|ohttp-relay|federation|relay\.json|health|up|ready|assets)/;
const mailboxPosts = api.operations(/^\/v2\/(?!ohttp|health)/).map(([, path]) => path);
const now = () => Math.floor(Date.now() / 1000);
const mailbox = (byte: number) => byte.toString(16).padStart(2, "0").repeat(32);
const json = (members: unknown): RequestInit => ({
  headers: { "content-type": "application/json" },
  body: JSON.stringify(members),
});
const capsuleOf = (body: Uint8Array | string): RequestInit => ({
  headers: { "content-type": "message/ohttp-req" },
  body: body as Uint8Array<ArrayBuffer>,
});
/** A body that begins and does not end. */
const endless = (contentType: string): RequestInit =>
  ({
    headers: { "content-type": contentType },
    body: new ReadableStream({ start: (body) => body.enqueue(new TextEncoder().encode("{")) }),
    duplex: "half",
  }) as RequestInit;
/** A request that each endpoint takes for what it should be. */
const wellFormed = (): Readonly<Record<string, unknown>> => ({
  "/v2/send": { recipient_id: mailbox(1), ciphertext: "aGk=" },
  "/v2/fetch": { mailbox_tokens: [mailbox(1)] },
  "/v2/ack": { recipient_id: mailbox(1), blob_id: "none" },
  "/v2/register": { mailbox_tokens: [mailbox(1)] },
  "/v2/purge": signedPurge(mailbox(1), now()),
  "/v2/exchange/offer": { payload: "P" },
  "/v2/exchange/claim": { code: "000000", response: "R" },
  "/v2/exchange/complete": { code: "000000" },
  "/v2/recovery/store": { key_hash: mailbox(2), proof_data: "aGk=" },
  "/v2/recovery/query": { key_hashes: [mailbox(2)] },
  "/v2/guardian/store": { ...signedGuardians("guardian-store", now()), entries: [{ data: "aGk=" }] },
  "/v2/guardian/query": { guardian_hash: mailbox(3) },
  "/v2/guardian/delete": signedGuardians("guardian-delete", now()),
});

/** A stand-in for somebody else's gateway. */
async function gatewayThat(answers: RequestListener) {
  const server = createServer(answers).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v2/ohttp`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Asks for a WebSocket without the rest of the handshake. */
async function upgradeAt(url: string, path: string, method = "POST"): Promise<Response> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1").setEncoding("latin1");
  socket.write(`${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
  let text = "";
  for await (const chunk of socket) text += chunk;
  const [head, body] = text.split("\r\n\r\n");
  const [start, ...lines] = head!.split("\r\n");
  const headers = lines.map((line) => line.split(": ") as [string, string]);
  return new Response(body!, { status: Number(start!.split(" ")[1]), headers });
}

describe("the OpenAPI description of the mailbox and OHTTP", { timeout: 120_000 }, () => {
  test("every endpoint succeeds and refuses as it says", async () => {
    await using postern = await startPostern([
      "--max-mailbox-blobs",
      "2",
      "--exchange-max-offers",
      "3",
      "--no-recovery-overwrite",
      "--max-message-size",
      "256KiB",
    ]);
    const ask = async (path: string, members: unknown, status: number, headers: HeadersInit = {}) => {
      const init = json(members);
      const answer = await api.ask(postern.url, "POST", path, {
        ...init,
        headers: { ...(init.headers as object), ...(headers as object) },
      });
      assert.equal(answer.status, status, `${path}: ${await answer.clone().text()}`);
      return answer.json();
    };
    await api.ask(postern.url, "GET", "/v2/health");
    const sent = await ask("/v2/send", { recipient_id: mailbox(1), ciphertext: "aGk=" }, 200);
    await ask("/v2/send", { recipient_id: mailbox(1), ciphertext: "" }, 200);
    assert.equal(
      (await ask("/v2/send", { recipient_id: mailbox(1), ciphertext: "" }, 429)).error,
      "quota exceeded for recipient",
    );
    await ask("/v2/send", { recipient_id: "short", ciphertext: "" }, 400);
    const named = { recipient_id: mailbox(6), ciphertext: "", idempotency_key: "n" };
    assert.deepEqual(await ask("/v2/send", named, 200), await ask("/v2/send", named, 200));
    await ask("/v2/send", { ...named, idempotency_key: "n".repeat(256) }, 400);
    await ask("/v2/send", { recipient_id: mailbox(1), ciphertext: "not-base64!" }, 400);
    await ask("/v2/send", [], 400);

    const wait = { prefer: "wait=1" };
    assert.equal((await ask("/v2/fetch", { mailbox_tokens: [mailbox(1)] }, 200, wait)).blobs.length, 2);
    assert.equal(
      (await ask("/v2/fetch", { mailbox_tokens: [mailbox(9)], wait: null }, 200, wait)).blobs.length,
      0,
    );
    await ask("/v2/fetch", { mailbox_tokens: [] }, 400);
    const large = Buffer.alloc(150_000).toString("base64");
    for (const _ of [1, 2]) await ask("/v2/send", { recipient_id: mailbox(4), ciphertext: large }, 200);
    const page = await ask("/v2/fetch", { mailbox_tokens: [mailbox(4)] }, 200);
    assert.equal(page.truncated, true);
    await ask("/v2/fetch", { mailbox_tokens: [mailbox(4)], after: page.cursor }, 200);

    await ask("/v2/ack", { recipient_id: mailbox(1), blob_id: sent.blob_id }, 200);
    await ask("/v2/ack", {}, 400);
    await ask("/v2/register", { mailbox_tokens: [mailbox(1)] }, 200);
    await ask("/v2/register", { mailbox_tokens: ["x"] }, 400);
    await ask("/v2/register", { mailbox_tokens: Array<string>(1901).fill("x") }, 400);

    const purge = signedPurge(mailbox(1), now());
    assert.equal((await ask("/v2/purge", purge, 200)).blobs_deleted, 1);
    await ask("/v2/purge", purge, 401);
    await ask("/v2/purge", signedPurge(mailbox(1), now() - 300), 401);
    await ask("/v2/purge", { ...purge, public_key: "zz" }, 401);
    await ask("/v2/purge", { ...purge, purge_token: "ab" }, 401);
    await ask("/v2/purge", { ...signedPurge(mailbox(1), now()), signature: "ff".repeat(64) }, 401);
    await ask("/v2/purge", { recipient_id: mailbox(1) }, 400);

    const { code } = await ask(
      "/v2/exchange/offer",
      { payload: "P", expires_secs: null, code_digits: null },
      200,
    );
    await ask("/v2/exchange/complete", { code }, 400);
    await ask("/v2/exchange/claim", { code, response: "R" }, 200);
    await ask("/v2/exchange/claim", { code, response: "R" }, 400);
    await ask("/v2/exchange/complete", { code, completion_secret: null }, 200);
    await ask("/v2/exchange/complete", { code }, 400);
    await ask("/v2/exchange/claim", { code: "12345", response: "R" }, 400);
    const long = { payload: "P", expires_secs: 30, code_digits: 8, completion_secret: true };
    const offered = await ask("/v2/exchange/offer", long, 200);
    await ask("/v2/exchange/claim", { code: offered.code, response: "R" }, 200);
    await ask(
      "/v2/exchange/complete",
      { code: offered.code, completion_secret: offered.completion_secret },
      200,
    );
    for (const wrong of [{ expires_secs: 29 }, { code_digits: 7 }, { payload: "x".repeat(65_537) }]) {
      await ask("/v2/exchange/offer", { payload: "P", ...wrong }, 400);
    }
    for (const status of [200, 200, 400]) await ask("/v2/exchange/offer", { payload: "P" }, status);

    await ask("/v2/recovery/store", { key_hash: mailbox(2), proof_data: "aGk=" }, 200);
    await ask("/v2/recovery/store", { key_hash: mailbox(2), proof_data: "b3RoZXI=" }, 400);
    await ask("/v2/recovery/store", { key_hash: "ab", proof_data: "aGk=" }, 400);
    await ask("/v2/recovery/store", { key_hash: mailbox(2), proof_data: "!" }, 400);
    const proofs = await ask("/v2/recovery/query", { key_hashes: [mailbox(2), mailbox(5)] }, 200);
    assert.equal(proofs.proofs.length, 1);
    await ask("/v2/recovery/query", { key_hashes: ["x"] }, 400);
    await ask("/v2/recovery/query", { key_hashes: Array<string>(51).fill(mailbox(2)) }, 400);

    const set = { ...signedGuardians("guardian-store", now()), entries: [{ data: "aGk=" }] };
    await ask("/v2/guardian/store", set, 200);
    await ask("/v2/guardian/store", set, 401);
    await ask("/v2/guardian/store", { ...set, entries: Array(11).fill({ data: "" }) }, 400);
    const { guardian_hash } = set;
    assert.equal((await ask("/v2/guardian/query", { guardian_hash }, 200)).guardians.length, 1);
    await ask("/v2/guardian/query", { guardian_hash: "x" }, 400);
    await ask("/v2/guardian/delete", signedGuardians("guardian-delete", now()), 200);
    await ask("/v2/guardian/delete", signedGuardians("guardian-store", now()), 401);
    await ask("/v2/guardian/delete", { guardian_hash: "x" }, 400);
  });

  test("every path refuses other methods, other types, and bodies that are too large or too slow", async () => {
    await using postern = await startPostern(["--body-timeout", "200ms", "--max-message-size", "4096"]);
    const key = await (await fetch(`${postern.url}/v2/ohttp-key`)).bytes();
    await using gateway = await gatewayThat((_, response) => response.end(key));
    await using hop = await startPostern([
      "--body-timeout",
      "200ms",
      "--no-ohttp",
      "--ohttp-relay-max",
      "4KiB",
      "--ohttp-relay-target",
      gateway.url,
    ]);
    const at = (path: string) => (path.startsWith("/ohttp-relay") ? hop.url : postern.url);
    const large = new Uint8Array(300_000);
    const withMethods = api.operations(described).filter(([, path]) => path !== "/federation");
    await Promise.all(
      [...new Set(withMethods.map(([, path]) => path))].map(async (path) => {
        const refused = await api.ask(at(path), "PUT", path);
        assert.equal(refused.status, 405, path);
      }),
    );
    await Promise.all(
      mailboxPosts.flatMap((path) => [
        api.ask(postern.url, "POST", path, { body: "{}" }).then(({ status }) => assert.equal(status, 415)),
        api
          .ask(postern.url, "POST", path, { ...json(""), body: large })
          .then(({ status }) => assert.equal(status, 413)),
        api
          .ask(postern.url, "POST", path, endless("application/json"))
          .then(({ status }) => assert.equal(status, 408)),
      ]),
    );
    for (const path of ["/v2/ohttp", "/.well-known/ohttp-gateway", "/ohttp-relay", "/ohttp-relay/v2/ohttp"]) {
      assert.equal((await api.ask(at(path), "POST", path, capsuleOf(large))).status, 413);
      assert.equal((await api.ask(at(path), "POST", path, endless("message/ohttp-req"))).status, 408);
    }
    for (const path of ["/.well-known/ohttp-gateway", "/ohttp-relay"]) {
      assert.equal((await api.ask(at(path), "POST", path, { body: "x" })).status, 415);
    }
  });

  test("too often is 429, in the words of the endpoint and of the general limit", async () => {
    const trusted = ["--trusted-proxies", "127.0.0.1"];
    const from = { "x-forwarded-for": "203.0.113.7" };
    await using counted = await startPostern([...trusted, "--mailbox-client-rate-limit", "1"]);
    await fetch(`${counted.url}/v2/health`, { headers: from });
    for (const [method, path] of api.operations(/^\/v2\/(?!ohttp)/)) {
      const answer = await api.ask(counted.url, method, path, { headers: from });
      assert.equal(answer.status, 429);
      assert.match(await answer.text(), /rate limit exceeded/);
    }
    const target = ["--ohttp-relay-target", `${counted.url}/v2/ohttp`];
    await using strict = await startPostern([
      ...trusted,
      ...target,
      "--rate-limit",
      "1",
      "--rate-burst",
      "1",
    ]);
    await fetch(strict.url, { headers: from });
    for (const [method, path] of api.operations(described)) {
      for (const accept of ["*/*", "application/problem+json"]) {
        const answer = await api.ask(strict.url, method, path, { headers: { ...from, accept } });
        assert.equal(answer.status, 429, path);
      }
    }
  });

  test("a client that is too old, and one that wants a WebSocket, is told 426; in its grace when that ends", async () => {
    await using strict = await startPostern(["--version-min", "2", "--version-grace", "0"]);
    await using lenient = await startPostern(["--version-min", "2"]);
    for (const [method, path] of api.operations(/^\/v2\/(?!ohttp)/)) {
      const answer = await api.ask(strict.url, method, path, { headers: { "x-app-compat-version": "1" } });
      assert.deepEqual(await answer.json(), { error: "upgrade_required", min_version: 2 });
      await api.check(method, path, {}, await upgradeAt(lenient.url, path));
    }
    const grace = await api.ask(lenient.url, "GET", "/v2/health");
    assert.ok(Number(grace.headers.get("x-upgrade-deadline")) > now());
  });

  test("a storage that fails is 503", async () => {
    using folder = temporaryFolder();
    const args = ["--persist-db", folder.file("p.db"), "--ohttp-replay-memory", "1"];
    await using postern = await startPostern(args);
    const key = await (await fetch(`${postern.url}/v2/ohttp-key`)).bytes();
    const other = new DatabaseSync(folder.file("mailbox.db"));
    const tables = other.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
    for (const { name } of tables) other.exec(`DROP TABLE "${name}"`);
    other.close();
    for (const path of mailboxPosts.filter((each) => each !== "/v2/register")) {
      const answer = await api.ask(postern.url, "POST", path, json(wellFormed()[path]));
      assert.equal(answer.status, 503, path);
    }
    unlinkSync(folder.file("ohttp-spent"));
    for (const path of ["/v2/ohttp", "/.well-known/ohttp-gateway"]) {
      const capsules = await Promise.all(
        [1, 2].map(() =>
          encapsulateRequest(decodeKeyConfig(key), padJson({ version: 2, action: "nothing" })),
        ),
      );
      let last: Response | undefined;
      for (const { capsule } of capsules) last = await api.ask(postern.url, "POST", path, capsuleOf(capsule));
      assert.equal(last?.status, 503, path);
    }
  });

  test("what is switched off is 404", async () => {
    await using postern = await startPostern(["--no-ohttp", "--guardians", "off"]);
    for (const [method, path] of api.operations(/^\/v2\/(guardian|ohttp)/)) {
      const init = method === "POST" ? json({}) : {};
      assert.equal((await api.ask(postern.url, method, path, init)).status, 404, path);
    }
  });

  test("OHTTP: keys, capsules, what cannot be opened, what cannot arrive, and too many at once", async () => {
    await using postern = await startPostern(["--ohttp-max-opening", "1", "--max-message-size", "256KiB"]);
    const bare = await (await api.ask(postern.url, "GET", "/v2/ohttp-key")).bytes();
    const list = await (await api.ask(postern.url, "GET", "/.well-known/ohttp-gateway")).bytes();
    assert.deepEqual(list.subarray(2), bare);
    const asked = (path: string, init?: RequestInit) =>
      init ? api.ask(postern.url, "POST", path, init) : fetch(postern.url + path);
    const { outer } = await sendCapsule(
      asked,
      padJson({ version: 2, action: "register", mailbox_tokens: [] }),
      bare,
    );
    assert.equal(outer.status, 200);
    for (const inner of [new Uint8Array([0, 0, 9, 9]), padJson([])]) {
      assert.equal((await sendCapsule(asked, inner, bare)).outer.status, 400);
    }
    const stale = Uint8Array.of((bare[0]! + 9) % 256, ...bare.subarray(1));
    assert.match(await (await sendCapsule(asked, padJson({}), stale)).outer.text(), /ohttp-key/);

    const plain = { recipient_id: mailbox(1), ciphertext: Buffer.alloc(150_000).toString("base64") };
    await api.ask(postern.url, "POST", "/v2/send", json(plain));
    const look = padJson({ version: 2, action: "fetch", mailbox_tokens: [mailbox(1)] });
    const { padded, outer: sealed } = await sendCapsule(asked, look, bare);
    const inside = unpadJson(padded!);
    assert.deepEqual([inside.blobs, (inside.oversized as unknown[]).length], [[], 1]);
    // What is in the capsule is what the endpoint would have answered, but for the headers.
    const direct = { ...json({ mailbox_tokens: [mailbox(1)] }) };
    await api.check(
      "POST",
      "/v2/fetch",
      direct,
      new Response(JSON.stringify(inside), { headers: { "content-type": "application/json" } }),
    );
    assert.equal(sealed.status, 200);

    const request = encodeBinaryHttp({
      kind: "request",
      method: "GET",
      scheme: "https",
      authority: "relay.test",
      path: "/health",
      headers: [],
      content: new Uint8Array(),
    });
    const gateway = "/.well-known/ohttp-gateway";
    const post = async () => {
      const { capsule } = await encapsulateRequest(decodeKeyConfig(bare), request);
      return api.ask(postern.url, "POST", gateway, capsuleOf(capsule));
    };
    assert.equal((await post()).status, 200);
    assert.equal((await api.ask(postern.url, "POST", gateway, capsuleOf("garbage"))).status, 400);
    for (const many of [post, async () => (await sendCapsule(asked, look, bare)).outer]) {
      const statuses = new Set<number>();
      while (!statuses.has(429)) {
        for (const { status } of await Promise.all(Array.from({ length: 24 }, many))) statuses.add(status);
      }
    }
  });

  test("the OHTTP relay: keys, capsules passed on, refusals passed on, no room, no gateway", async () => {
    await using postern = await startPostern();
    await using hop = await startPostern(["--ohttp-relay-target", `${postern.url}/v2/ohttp`]);
    await api.ask(hop.url, "GET", "/ohttp-relay");
    await api.ask(hop.url, "GET", "/ohttp-relay/v2/ohttp-key");
    const below = "/ohttp-relay";
    const client = ohttpApi((path, init) => api.ask(hop.url, init?.method ?? "GET", below + path, init));
    assert.equal((await client.call("register", { mailbox_tokens: [mailbox(1)] })).body.accepted, 1);
    const key = await (await fetch(`${postern.url}/v2/ohttp-key`)).bytes();
    const { capsule } = await encapsulateRequest(decodeKeyConfig(key), padJson({ version: 2, action: "x" }));
    assert.equal((await api.ask(hop.url, "POST", "/ohttp-relay", capsuleOf(capsule))).status, 200);
    for (const path of ["/ohttp-relay", "/ohttp-relay/v2/ohttp"]) {
      assert.equal((await api.ask(hop.url, "POST", path, capsuleOf(capsule))).status, 400);
    }

    await using closed = await startPostern(["--ohttp-relay-target", "http://127.0.0.1:1/v2/ohttp"]);
    for (const [method, path] of api.operations(/^\/ohttp-relay/)) {
      const init = method === "POST" ? capsuleOf(capsule) : {};
      assert.equal((await api.ask(closed.url, method, path, init)).status, 502, path);
    }

    const held: ServerResponse[] = [];
    await using slow = await gatewayThat((request, response) => {
      if (request.method === "GET") response.end(key);
      else held.push(response);
    });
    await using narrow = await startPostern([
      "--ohttp-relay-target",
      slow.url,
      "--ohttp-relay-max-passing",
      "1",
    ]);
    const first = fetch(`${narrow.url}/ohttp-relay`, { method: "POST", ...capsuleOf("x") });
    while (held.length === 0) await new Promise((resolve) => setImmediate(resolve));
    for (const path of ["/ohttp-relay", "/ohttp-relay/v2/ohttp"]) {
      assert.equal((await api.ask(narrow.url, "POST", path, capsuleOf("x"))).status, 429);
    }
    held[0]!.writeHead(200, { "content-type": "message/ohttp-res" }).end("x");
    assert.equal((await first).status, 200);
  });

  test("federation: calls are taken where it is on, and hints come with a fetch", async () => {
    await using peer = await startPostern(["--federation"]);
    using call = await RawPeer.call(peer.url, "them");
    assert.equal(call.closed, false);
    api.switched("GET", "/federation");
    await api.check("GET", "/federation", {}, await upgradeAt(peer.url, "/federation", "GET"));
    await api.ask(peer.url, "GET", "/federation");
    await using relay = await startPostern([
      "--federation",
      "--federation-peers",
      peer.url.replace(/^http/, "ws"),
      "--federation-allow-private",
      "127.0.0.1",
      "--federation-capacity-interval",
      "100ms",
      "--federation-offload-threshold",
      "0",
      "--mailbox-rate-limit",
      "100000",
    ]);
    const send = json({ recipient_id: mailbox(1), ciphertext: "aGk=" });
    await api.ask(relay.url, "POST", "/v2/send", send);
    const look = json({ mailbox_tokens: [mailbox(1)] });
    let page = { forwarding_hints: undefined };
    while (page.forwarding_hints === undefined) {
      page = await (await api.ask(relay.url, "POST", "/v2/fetch", look)).json();
    }
    const there = await (await api.ask(peer.url, "POST", "/v2/fetch", look)).json();
    assert.equal(there.blobs.length, 1);
    await using off = await startPostern();
    await api.check("GET", "/federation", {}, await upgradeAt(off.url, "/federation", "GET"));
  });

  test("what the relay tells of itself", async () => {
    await using postern = await startPostern();
    for (const path of ["/relay.json", "/health", "/up", "/ready"]) await api.ask(postern.url, "GET", path);
    const page = await (await fetch(postern.url, { headers: { accept: "text/html" } })).text();
    const asset = /assets\/[^"]+/.exec(page)![0];
    await api.check("GET", "/assets/{name}", {}, await fetch(`${postern.url}/${asset}`));
    await api.check("GET", "/assets/{name}", {}, await fetch(`${postern.url}/assets/none`));
    await using bare = await startPostern(["--no-mailbox", "--no-ohttp", "--no-page"]);
    for (const path of ["/relay.json", "/health"]) assert.equal((await fetch(bare.url + path)).status, 404);
  });

  test("has no answer that was not seen, failures of ours aside", () => {
    assert.deepEqual(
      api.unseen(described).filter((what) => !what.endsWith(" 500")),
      [],
    );
  });

  test("lacks no path that the code serves", () => {
    /** Of the operations listener, which is described in docs/guides/operate.md. */
    const operations = new Set(["/metrics", "/build-info", "/pubkey"]);
    /** Parts of paths, patterns, a Privacy Pass issuer's path (RFC 9578 describes it), and what is no path of ours. */
    const parts =
      /^\/(proc\/self\/status|token-request|inbox|link|announced|fetch|v2|assets\/|v2\/|v2\/\*|ack|await|anon\/|fetch\/\{path\})$/;
    const root = fileURLToPath(new URL("../..", import.meta.url));
    const paths = new Set<string>();
    for (const folder of ["modes", "edge", "daemon", "web"]) {
      for (const file of readdirSync(root + folder, { recursive: true, encoding: "utf8" })) {
        if (!file.endsWith(".ts") || file.endsWith(".test.ts") || file.startsWith("src/")) continue;
        const text = readFileSync(`${root}${folder}/${file}`, "utf8").replace(
          /^\s*(\/\/|\*|\/\*\*).*$|doc: .*$/gm,
          "",
        );
        for (const [, path] of text.matchAll(/["`](\/[a-z.][\w./{}*-]*)["`]/g)) paths.add(path!);
      }
    }
    const lacking = [...paths].filter(
      (path) => !api.document.paths[path] && !operations.has(path) && !parts.test(path),
    );
    assert.deepEqual(lacking, []);
  });
});
