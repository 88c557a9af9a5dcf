import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { createMailbox } from "#clients/client/src/mailbox.ts";
import { padJson, plainApi, sendCapsule, unpadJson } from "#tests/support/mailbox-api.ts";
import { opsUrlOf, runPostern, startPostern } from "#tests/support/postern.ts";
import { signedPurge } from "#tests/support/signed-purge.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";

const mailbox = "5a".repeat(32);
const bytes = (text: string) => new TextEncoder().encode(text);

test("[71] an address that is open to others needs TLS in front", async () => {
  const env = { ...process.env, RELAY_LISTEN_ADDR: "0.0.0.0:0" };
  const refused = await runPostern(["serve", "--ops-listen", "off", "--persist-db", "memory"], { env });
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /tls-verified/);
  await using verified = await startPostern([], { env: { ...env, RELAY_TLS_VERIFIED: "1" } });
  assert.match(verified.url, /^http/);
  await using local = await startPostern([], { env: { ...process.env, RELAY_LISTEN_ADDR: "127.0.0.1:0" } });
  assert.match(local.url, /127\.0\.0\.1/);
});

test("the original's variables are understood", async () => {
  const env = {
    ...process.env,
    RELAY_MAX_BLOBS_PER_USER: "7",
    RELAY_BLOB_TTL_SECS: "60",
    RELAY_STORAGE_BACKEND: "MEMORY",
    RELAY_VERSION_GRACE_DAYS: "3",
    RELAY_OHTTP_KEY_ROTATION_HOURS: "12",
    RELAY_DELIVERY_JITTER_MAX_MS: "20",
    RELAY_LOG_FORMAT: "text",
  };
  const { stdout } = await runPostern(["config", "--json"], { env });
  const options = JSON.parse(stdout) as Record<string, { value: string; origin: string }>;
  const expected = {
    "max-mailbox-blobs": "7",
    "blob-ttl": "1m",
    "mailbox-storage": "memory",
    "version-grace": "3d",
    "ohttp-key-window": "12h",
    "delivery-jitter-max": "20ms",
    "log-format": "text",
  };
  for (const [name, value] of Object.entries(expected)) {
    assert.deepEqual(options[name], { value, origin: "environment" }, name);
  }
});

test("[75] metrics are read with the token alone, where there is one", async () => {
  await using postern = await startPostern([
    "-v",
    "--ops-listen",
    "127.0.0.1:0",
    "--metrics-token",
    "s3cret",
  ]);
  const ops = await opsUrlOf(postern);
  await createMailbox({ relay: postern.url }).send(mailbox, bytes("x"));
  const metrics = (authorization?: string) =>
    fetch(`${ops}/metrics`, authorization ? { headers: { authorization } } : {});
  assert.equal((await metrics()).status, 401);
  const wrong = await metrics("Bearer wrong");
  assert.deepEqual([wrong.status, await wrong.text()], [401, "Unauthorized"]);
  assert.equal(wrong.headers.get("www-authenticate"), "Bearer");
  const right = await metrics("Bearer s3cret");
  assert.equal(right.status, 200);
  const text = await right.text();
  assert.match(text, /^relay_blobs_stored 1$/m);
  assert.match(text, /^relay_blobs_created_total 1$/m);
  assert.ok(!text.includes(mailbox));
  assert.deepEqual(await (await fetch(`${ops}/health`)).json(), { status: "ok" });
});

test("[76] the whole flow at the highest log level leaves no token, id, code, key, address or payload in the log", async () => {
  using folder = temporaryFolder();
  await using postern = await startPostern(["-vvv", "--persist-db", folder.file("p.db")]);
  const secrets = [mailbox, "marker-payload", Buffer.from("marker-payload").toString("base64"), "127.0.0.1:"];
  for (const ohttp of [false, true]) {
    const relay = createMailbox({ relay: postern.url, ohttp });
    const blobId = await relay.send(mailbox, bytes("marker-payload"));
    await relay.fetch([mailbox]);
    await relay.ack(mailbox, blobId);
    const { code, secret } = await relay.offer("marker-payload", { withSecret: true, codeDigits: 10 });
    await relay.claim(code, "marker-payload");
    await relay.complete(code, secret);
    const keyHash = `${"7b".repeat(31)}${ohttp ? "01" : "02"}`;
    await relay.storeProof(keyHash, bytes("marker-payload"));
    await relay.queryProofs([keyHash]);
    await assert.rejects(relay.claim("0000000000", "marker-payload"));
    secrets.push(blobId, code, secret!, keyHash);
  }
  const api = plainApi((path, init) => fetch(postern.url + path, init));
  const purge = signedPurge(mailbox, Math.floor(Date.now() / 1000));
  await api.call("purge", purge);
  await api.call("purge", purge);
  await api.call(`${mailbox}/${mailbox}`, {});
  await fetch(`${postern.url}/v2/send?${mailbox}`, { method: "POST", body: "marker-payload" });
  secrets.push(purge.public_key, purge.signature, purge.purge_token);
  postern.process.kill("SIGTERM");
  assert.equal(await postern.exited, 0);
  const log = postern.log().replaceAll(/"url":"http:\/\/127\.0\.0\.1:\d+"/g, "");
  assert.match(log, /"route":"\/v2\/send"/);
  for (const secret of secrets) assert.ok(!log.includes(secret), "a secret is in the log");
});

test("[77] what was acknowledged is in no file after a clean stop", async () => {
  using folder = temporaryFolder();
  await using postern = await startPostern(["--persist-db", folder.file("p.db")]);
  const relay = createMailbox({ relay: postern.url });
  const blobId = await relay.send(mailbox, bytes("marker-on-disk"));
  const inFiles = () =>
    readdirSync(folder.path).some((file) => readFileSync(folder.file(file)).includes("marker-on-disk"));
  assert.equal(inFiles(), true);
  await relay.ack(mailbox, blobId);
  postern.process.kill("SIGTERM");
  assert.equal(await postern.exited, 0);
  assert.equal(inFiles(), false);
});

test("[78] connections beyond the cap are dropped, and room is given again", async () => {
  await using postern = await startPostern(["--max-connections", "2"]);
  const { hostname, port } = new URL(postern.url);
  const open = () =>
    new Promise<Socket | undefined>((resolve) => {
      const socket = connect(Number(port), hostname, () =>
        socket.write("GET /v2/health HTTP/1.1\r\nHost: x\r\n\r\n"),
      );
      socket.once("data", () => resolve(socket));
      socket.once("close", () => resolve(undefined));
      socket.once("error", () => resolve(undefined));
    });
  const first = await open();
  const second = await open();
  assert.ok(first && second);
  assert.equal(await open(), undefined);
  first.destroy();
  let third: Socket | undefined;
  while (!third) third = await open();
  third.destroy();
  second.destroy();
});

test("messages, offers and OHTTP keys survive a restart; [79] a send during the stop is answered or not stored", async () => {
  using folder = temporaryFolder();
  const args = ["--persist-db", folder.file("p.db"), "--mailbox-rate-limit", "1000000"];
  const first = await startPostern(args);
  const relay = createMailbox({ relay: first.url });
  const key = await (await fetch(`${first.url}/v2/ohttp-key`)).text();
  const { code } = await relay.offer("P");
  const answered = new Set<string>();
  let running = true;
  const lanes = Array.from({ length: 8 }, async () => {
    while (running) {
      try {
        answered.add(await relay.send(mailbox, bytes("x")));
      } catch {
        running = false;
      }
    }
  });
  while (answered.size < 50) await new Promise((resolve) => setImmediate(resolve));
  first.process.kill("SIGTERM");
  assert.equal(await first.exited, 0);
  await Promise.all(lanes);

  await using second = await startPostern(args);
  const again = createMailbox({ relay: second.url });
  const found = new Set<string>();
  for (let cursor: string | undefined, more = true; more; ) {
    const page = await again.fetch([mailbox], cursor === undefined ? {} : { cursor });
    for (const { blobId } of page.messages) found.add(blobId);
    cursor = page.cursor;
    more = page.truncated;
  }
  assert.deepEqual(
    [...answered].filter((id) => !found.has(id)),
    [],
  );
  assert.equal(await again.claim(code, "R"), "P");
  assert.equal(await (await fetch(`${second.url}/v2/ohttp-key`)).text(), key);
});

test("a capsule is served once, also by a relay that was killed in between", async () => {
  using folder = temporaryFolder();
  const args = ["--persist-db", folder.file("p.db")];
  const first = await startPostern(args);
  const at = (relay: { url: string }) => (path: string, init?: RequestInit) => fetch(relay.url + path, init);
  const key = new Uint8Array(await (await fetch(`${first.url}/v2/ohttp-key`)).arrayBuffer());
  const send = { version: 2, action: "send", recipient_id: mailbox, ciphertext: "aGk=" };
  const look = { version: 2, action: "fetch", mailbox_tokens: [mailbox] };
  const capsules: Uint8Array[] = [];
  for (const inner of [send, look]) {
    const { outer, capsule } = await sendCapsule(at(first), padJson(inner), key);
    assert.equal(outer.status, 200);
    capsules.push(capsule);
  }
  first.process.kill("SIGKILL");
  await first.exited;

  await using second = await startPostern(args);
  const post = { method: "POST", headers: { "content-type": "message/ohttp-req" } };
  for (const body of capsules as Uint8Array<ArrayBuffer>[]) {
    assert.equal((await fetch(`${second.url}/v2/ohttp`, { ...post, body })).status, 400);
    assert.equal((await fetch(`${second.url}/.well-known/ohttp-gateway`, { ...post, body })).status, 400);
  }
  // The key that the client holds goes on, and the message is there once.
  const { padded } = await sendCapsule(at(second), padJson(look), key);
  assert.equal((unpadJson(padded!).blobs as unknown[]).length, 1);
});

test("--ohttp-key-file opens what was sealed to another relay's key, also while a key of ours has its id", async () => {
  using folder = temporaryFolder();
  const file = folder.file("seed");
  writeFileSync(file, Buffer.alloc(32, 1));
  // The vector of the mailbox specification: seed 32 × 01, id 0.
  const theirs = Uint8Array.from(
    Buffer.from("00002041852320ff367495fa522c94cb83af391e4e89018392725bbf2098dd931bc424000400010003", "hex"),
  );
  const look = padJson({ version: 2, action: "fetch", mailbox_tokens: [mailbox] });
  for (const windowSeconds of [86_400, windowWithIdZero()]) {
    await using postern = await startPostern([
      "--ohttp-key-file",
      file,
      "--ohttp-key-window-secs",
      String(windowSeconds),
    ]);
    const at = (path: string, init?: RequestInit) => fetch(postern.url + path, init);
    const own = await (await at("/v2/ohttp-key")).bytes();
    if (windowSeconds !== 86_400) assert.equal(own[0], theirs[0]);
    assert.notDeepEqual(own, theirs);
    for (const key of [theirs, own]) {
      const { outer, padded } = await sendCapsule(at, look, key);
      assert.equal(outer.status, 200, postern.log());
      assert.equal(unpadJson(padded!).status, "ok");
    }
  }
});

/** Seconds of a window whose key has the id 0 now, and for a while yet. */
function windowWithIdZero(): number {
  const now = Math.floor(Date.now() / 1000);
  for (let seconds = 3600; ; seconds++) {
    if (Math.floor(now / seconds) % 256 === 0 && seconds - (now % seconds) > 600) return seconds;
  }
}

test("the command line sends, fetches, acknowledges, purges and exchanges", async () => {
  using folder = temporaryFolder();
  await using postern = await startPostern();
  const run = (args: string[], input = "") => runPostern([...args, "--relay", postern.url], { input });
  const sent = await run(["mailbox", "send", mailbox, "--ohttp"], "sealed bytes");
  assert.equal(sent.code, 0, sent.stderr);
  const id = sent.stdout.trim();
  const fetched = await run(["mailbox", "fetch", mailbox, "--json"]);
  const line = JSON.parse(fetched.stdout) as { blobId: string; ciphertext: string };
  assert.deepEqual([line.blobId, atob(line.ciphertext)], [id, "sealed bytes"]);
  assert.equal((await run(["mailbox", "ack", mailbox, id])).stdout, "true\n");
  assert.equal((await run(["mailbox", "ack", mailbox, id])).stdout, "false\n");
  const seed = folder.file("seed.hex");
  writeFileSync(seed, `${"11".repeat(32)}\n`);
  await run(["mailbox", "send", mailbox], "more");
  assert.equal((await run(["mailbox", "purge", mailbox, "--key", seed])).stdout, "1\n");
  const code = (await run(["exchange", "offer"], "my key")).stdout.trim();
  assert.equal((await run(["exchange", "claim", code], "your key")).stdout, "my key");
  assert.equal((await run(["exchange", "complete", code])).stdout, "your key");
  const unknown = await run(["exchange", "claim", code], "");
  assert.equal(unknown.code, 4);
  assert.match(unknown.stderr, /invalid or expired code/);
  assert.equal((await run(["mailbox", "fetch", "xyz"])).code, 2);
  // What is no text would arrive changed.
  writeFileSync(folder.file("key.bin"), Buffer.from([0xff, 0xfe, 0x00]));
  const binary = await run(["exchange", "offer", "--file", folder.file("key.bin")]);
  assert.deepEqual([binary.code, binary.stdout], [2, ""]);
  assert.match(binary.stderr, /base64/);
});

test("mailbox fetch --json says where there is more, and names what is too large for OHTTP", async () => {
  await using postern = await startPostern();
  const relay = plainApi((path, init) => fetch(postern.url + path, init));
  const send = (length: number) =>
    relay.call("send", {
      recipient_id: mailbox,
      ciphertext: Buffer.alloc(length, 7).toString("base64"),
    });
  const large = await send(500_000);
  for (let n = 0; n < 4; n++) await send(30_000);
  const fetched = async (...args: string[]) => {
    const { code, stdout, stderr } = await runPostern([
      ...["mailbox", "fetch", mailbox, "--ohttp", "--json", "--relay", postern.url],
      ...args,
    ]);
    assert.deepEqual([code, stderr], [0, ""]);
    const lines = stdout.trimEnd().split("\n");
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  };
  const [tooLarge, ...page] = await fetched();
  assert.deepEqual(
    [tooLarge!.blobId, tooLarge!.size, tooLarge!.ciphertext],
    [large.body.blob_id, 500_000, undefined],
  );
  assert.match(String(tooLarge!.createdAt), /^\d{4}-\d\d-\d\dT/);
  assert.deepEqual(
    page.map(({ more }) => more),
    [undefined, true],
  );
  const all = (await fetched("--all")).filter(({ ciphertext }) => ciphertext !== undefined);
  assert.deepEqual(
    all.map(({ more }) => more),
    new Array(4).fill(undefined),
  );
});

test("a page elsewhere can read what answers of the mailbox say in headers of their own", async () => {
  await using postern = await startPostern(["--version-min", "2", "--version-grace", "3d"]);
  const headers = { origin: "https://app.example", "x-app-compat-version": "1" };
  const readable = async (path: string) => {
    const answer = await fetch(postern.url + path, { headers });
    const exposed = answer.headers.get("access-control-expose-headers")!.split(",");
    return exposed.filter((name) => answer.headers.has(name));
  };
  assert.ok((await readable("/v2/ohttp-key")).includes("key-fingerprint"));
  const versions = ["x-min-version", "x-warn-version", "x-upgrade-deadline"];
  const seen = await readable("/v2/health");
  for (const name of versions) assert.ok(seen.includes(name), name);
});

test("a relay that is busy or full is told from one that refuses for good", async () => {
  await using postern = await startPostern(["--mailbox-rate-limit", "1", "--max-mailbox-blobs", "1"]);
  const run = (args: string[]) => runPostern(["mailbox", ...args], { input: "x" });
  const send = ["send", mailbox, "--relay", postern.url];
  assert.equal((await run(send)).code, 0);
  for (const how of [[], ["--ohttp"]]) {
    const busy = await run([...send, ...how]);
    assert.equal(busy.code, 1);
    assert.match(busy.stderr, /refused: rate limit exceeded\. Try again in \d+ s\.\n$/);
  }
  const elsewhere = await run(["ack", mailbox, "x", "--relay", `${postern.url}/elsewhere`]);
  assert.equal(elsewhere.code, 4);
  assert.match(elsewhere.stderr, /refused the request \(status 404\)/);
});

test("who waits for the answer to an offer goes on while the relay is busy", async () => {
  let asked = 0;
  const server = createServer((_, response) => {
    const isBusy = ++asked === 1;
    response.writeHead(isBusy ? 429 : 200, {
      "content-type": "application/json",
      "retry-after": isBusy ? "2" : "",
    });
    const answer = isBusy
      ? { status: "error", error: "rate limit exceeded" }
      : { status: "ok", response: "R" };
    response.end(JSON.stringify(answer));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const { port } = server.address() as AddressInfo;
    const ended = await runPostern(["exchange", "complete", "123456", "--relay", `http://127.0.0.1:${port}`]);
    assert.deepEqual([ended.code, ended.stdout, asked], [0, "R", 2], ended.stderr);
  } finally {
    server.close();
  }
});

test("a fetch of the command line asks again while the relay waits less, and takes a closed pipe for an end", async () => {
  const asked: unknown[] = [];
  const blob = { blob_id: "x", ciphertext: "aGk=", created_at: 0, mailbox_token: mailbox };
  let readerGone = Promise.resolve();
  const server = createServer(async (request, response) => {
    asked.push(request.headers.prefer);
    await readerGone;
    const blobs = asked.length === 1 ? [] : [blob];
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ status: "ok", truncated: false, blobs }));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const { port } = server.address() as AddressInfo;
    const args = ["mailbox", "fetch", mailbox, "--relay", `http://127.0.0.1:${port}`];
    const { stdout, stderr } = await runPostern([...args, "--wait", "60s"]);
    assert.match(stdout, / x .* aGk=\n$/, stderr);
    assert.deepEqual(asked, ["wait=25", "wait=25"]);

    const child = spawn(
      process.execPath,
      [fileURLToPath(new URL("../../cli/postern.mjs", import.meta.url)), ...args],
      {
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    child.stdout.destroy();
    readerGone = once(child.stdout, "close").then(() => {});
    const [[code], said] = await Promise.all([once(child, "exit"), text(child.stderr)]);
    assert.deepEqual([code, said], [1, "postern mailbox fetch: write EPIPE\n"]);
  } finally {
    server.close();
  }
});
