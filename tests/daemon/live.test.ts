import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { get } from "node:https";
import { Socket } from "node:net";
import { describe, test } from "node:test";
import { generate, sign } from "@moq/token";
import WebSocket from "ws";
import { netClient, type WrittenTrack } from "#tests/interop/live/clients.ts";
import { startPostern } from "#tests/support/postern.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";

const connect = netClient();

/** Offers `subprotocols` and answers the status, and the one that was chosen. */
async function knock(url: string, subprotocols: string[]): Promise<{ status: number; chosen: string }> {
  const socket = new WebSocket(url.replace(/^http/, "ws"), subprotocols);
  return await new Promise((resolve) => {
    socket.on("open", () => {
      resolve({ status: 101, chosen: socket.protocol });
      socket.terminate();
    });
    socket.on("unexpected-response", (request, response) => {
      resolve({ status: response.statusCode!, chosen: "" });
      request.destroy();
    });
    socket.on("error", () => {});
  });
}

describe("live in the daemon", { timeout: 60_000 }, () => {
  test("is off unless somebody may use it", async () => {
    await using postern = await startPostern();
    assert.equal((await knock(`${postern.url}/`, ["qmux-02.moq-lite-05"])).status, 426);
    assert.equal((await fetch(`${postern.url}/announced`)).status, 404);
  });

  test("says loudly that everything is open", async () => {
    await using postern = await startPostern(["--auth-public", ""]);
    assert.match(postern.log(), /ANYBODY may PUBLISH and WATCH/);
  });

  test("chooses the first of its subprotocols, refuses unknown ones, and speaks the oldest where none is offered", async () => {
    await using postern = await startPostern(["--auth-public", ""]);
    const all = ["webtransport", "qmux-00", "qmux-01.moq-lite-05", "qmux-02.moq-lite-05", "qmux-02.moqt-17"];
    assert.deepEqual(await knock(`${postern.url}/`, all), { status: 101, chosen: "qmux-02.moq-lite-05" });
    assert.deepEqual(await knock(`${postern.url}/any/path`, ["webtransport", "qmux-00.moq-lite-04"]), {
      status: 101,
      chosen: "qmux-00.moq-lite-04",
    });
    assert.equal((await knock(`${postern.url}/`, ["chat", "superchat"])).status, 400);
    assert.deepEqual(await knock(`${postern.url}/`, []), { status: 101, chosen: "" });
  });

  test("speaks a draft of moq-lite where that is asked for, and not otherwise", async () => {
    const offered = ["qmux-02.moq-lite-06-wip", "qmux-02.moq-lite-05"];
    await using usual = await startPostern(["--auth-public", ""]);
    assert.equal((await knock(`${usual.url}/`, offered)).chosen, "qmux-02.moq-lite-05");
    assert.equal((await knock(`${usual.url}/`, offered.slice(0, 1))).status, 400);
    await using bold = await startPostern(["--auth-public", "", "--live-moq-lite-draft"]);
    assert.equal((await knock(`${bold.url}/`, offered)).chosen, "qmux-02.moq-lite-06-wip");
  });

  test("leaves the mailbox its paths: a WebSocket asked for there is told to use the API", async () => {
    await using both = await startPostern(["--auth-public", ""]);
    for (const path of ["/v2", "/v2/", "/v2/send", "/v2/ohttp?jwt=x", "/federation/../v2", "/federation/"]) {
      assert.equal((await knock(both.url + path, ["qmux-02.moq-lite-05"])).status, 426, path);
    }
    assert.equal((await knock(`${both.url}/federation`, [])).status, 404);
    assert.equal((await knock(`${both.url}/v2room`, ["qmux-02.moq-lite-05"])).status, 101);
    const socket = new Socket().connect(Number(new URL(both.url).port), "127.0.0.1");
    socket.write("GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n");
    socket.setEncoding("latin1");
    let answer = "";
    for await (const chunk of socket) answer += chunk;
    assert.match(answer, /^HTTP\/1\.1 426 /);
    assert.match(answer, /\{"error":"WebSocket not supported\. Use \/v2\/ HTTP API\."\}$/);

    await using alone = await startPostern(["--auth-public", "", "--no-mailbox"]);
    assert.equal((await knock(`${alone.url}/v2/`, ["qmux-02.moq-lite-05"])).status, 101);
  });

  test("serves an upgrade it knows nothing of as the request it is", async () => {
    await using postern = await startPostern(["--auth-public", ""]);
    const socket = new Socket();
    const { hostname, port } = new URL(postern.url);
    socket.connect(Number(port), hostname);
    socket.write("GET /announced HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: h2c\r\n\r\n");
    const [answer] = (await once(socket, "data")) as [Buffer];
    assert.match(answer.toString(), /^HTTP\/1\.1 200 /);
    socket.destroy();
  });

  test("lists what is announced and hands out groups over HTTP", async () => {
    await using postern = await startPostern(["--auth-public", "", "--live-fetch-timeout", "300ms"]);
    const publisher = await connect(new URL("/room", postern.url));
    let written: WrittenTrack | undefined;
    publisher.publish("cam", (track) => {
      written = track;
      if (track.name === "chat") track.group("hello, ", "world");
    });
    const watcher = await connect(new URL(postern.url));
    await watcher.announced()();
    const ask = (path: string, headers: Record<string, string> = {}) =>
      fetch(postern.url + path, { headers });

    assert.equal(await (await ask("/announced")).text(), "room/cam");
    assert.equal(await (await ask("/announced/room")).text(), "cam");
    assert.equal(await (await ask("/announced/elsewhere")).text(), "");
    const json = await ask("/announced", { accept: "application/json" });
    assert.deepEqual(await json.json(), { broadcasts: ["room/cam"] });
    assert.equal(
      (await ask("/announced", { origin: "https://a.example" })).headers.get("access-control-allow-origin"),
      "https://a.example",
    );

    const fetched = await ask("/fetch/room/cam/chat");
    assert.equal(fetched.status, 200);
    assert.equal(await fetched.text(), "hello, world");
    const sequence = fetched.headers.get("etag")?.replaceAll('"', "");
    assert.equal(await (await ask(`/fetch/room/cam/chat?group=${sequence}`)).text(), "hello, world");
    assert.equal((await ask("/fetch/room/cam/chat?group=99999")).status, 404);
    assert.equal((await ask("/fetch/room/cam/chat?group=x")).status, 400);
    assert.equal((await ask("/fetch/nothing/there")).status, 404);
    assert.equal((await ask("/fetch/justonepart")).status, 400);
    assert.equal((await ask("/fetch/room/cam/silent")).status, 504);
    assert.equal((await ask("/certificate.sha256")).status, 404);
    assert.equal(written?.name, "silent");
    publisher.close();
    watcher.close();
  });

  test("lets tokens of @moq/token in where they say, and nobody else", async () => {
    using folder = temporaryFolder();
    const key = await generate("ES256", "test");
    const file = folder.file("key.jwk");
    writeFileSync(file, JSON.stringify(key));
    await using postern = await startPostern(["--auth-key", file, "--auth-public", "anon"]);
    const mint = (claims: Parameters<typeof sign>[1]) => sign(key, claims);
    const status = async (path: string, jwt?: string) =>
      (await knock(`${postern.url}${path}${jwt ? `?jwt=${jwt}` : ""}`, ["qmux-02.moq-lite-05"])).status;

    assert.equal(await status("/room"), 401);
    assert.equal(await status("/anon/x"), 101);
    const publish = await mint({ root: "room", put: "" });
    const watch = await mint({ root: "room", get: "cam" });
    assert.equal(await status("/room/a", publish), 101);
    assert.equal(await status("/roomy", publish), 401);
    assert.equal(await status("/room", `${publish}x`), 401);
    assert.equal(await status("/room", await mint({ root: "room", put: "", exp: 1_600_000_000 })), 401);

    const at = (path: string, jwt: string) => connect(new URL(`${path}?jwt=${jwt}`, postern.url));
    const publisher = await at("/room", publish);
    const watcher = await at("/room", watch);
    watcher.publish("cam/forged", () => {});
    for (const name of ["cam/1", "secret"]) publisher.publish(name, (track) => track.group(name));
    const announced = watcher.announced();
    assert.deepEqual(await announced(), { path: "cam/1", active: true });
    assert.equal(await watcher.subscribe("cam/1", "x").next(), "cam/1");
    await assert.rejects(watcher.subscribe("secret", "x").next());
    const list = await fetch(`${postern.url}/announced/room?jwt=${watch}`);
    assert.equal(await list.text(), "cam/1");
    assert.equal((await fetch(`${postern.url}/announced/room`)).status, 401);
    publisher.close();
    watcher.close();
  });

  test("over TLS too, and tells the hash of its certificate", async () => {
    using folder = temporaryFolder();
    const [cert, key] = [folder.file("tls.crt"), folder.file("tls.key")];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    const request = ["req", "-x509", ...curve, "-nodes", "-days", "10", "-subj", "/CN=localhost"];
    execFileSync("openssl", [...request, "-keyout", key, "-out", cert], { stdio: "ignore" });
    await using postern = await startPostern(["--auth-public", "", "--tls-cert", cert, "--tls-key", key]);
    const trusting = { rejectUnauthorized: false };
    const socket = new WebSocket(postern.url.replace("https", "wss"), ["qmux-02.moq-lite-05"], trusting);
    await once(socket, "open");
    assert.equal(socket.protocol, "qmux-02.moq-lite-05");
    socket.terminate();
    const [answer] = await once(get(`${postern.url}/certificate.sha256`, trusting), "response");
    const hash = new X509Certificate(readFileSync(cert)).fingerprint256.replaceAll(":", "").toLowerCase();
    assert.equal((await answer.toArray()).join(""), hash);
  });

  test("ends a session with its token", async () => {
    using folder = temporaryFolder();
    const key = await generate("HS256", "test");
    const file = folder.file("key.jwk");
    writeFileSync(file, JSON.stringify(key));
    await using postern = await startPostern(["--auth-key", file]);
    const exp = Math.floor(Date.now() / 1000) + 2;
    const token = await sign(key, { root: "", get: "", exp });
    const session = await connect(new URL(`/?jwt=${token}`, postern.url));
    await session.closed;
    assert.ok(Date.now() >= exp * 1000);
    assert.ok(Date.now() < exp * 1000 + 2_000);
  });

  test("ends its sessions when it stops, and then itself", async () => {
    await using postern = await startPostern(["--auth-public", "", "--live-drain", "100ms"]);
    const session = await connect(new URL(postern.url));
    postern.process.kill("SIGTERM");
    await session.closed;
    assert.equal(await postern.exited, 0);
  });
});
