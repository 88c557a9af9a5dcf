import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { request as secureRequest } from "node:https";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { generate, sign, toPublicKey } from "@moq/token";
import WebSocket, { type ClientOptions } from "ws";
import { netClient } from "#tests/interop/live/clients.ts";
import { runPostern, startPostern, withOps } from "#tests/support/postern.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";

const connect = netClient();
const key = await generate("ES256", "key-1");
if (key.kty === "oct") throw new Error("an ES256 key has a public half");
const publicKey = toPublicKey(key);

const serve = ["serve", "--port", "0", "--ops-listen", "off", "--persist-db", "memory"];

/** The status a session is answered with; 101 where it is let in. */
async function knock(url: string, options: ClientOptions = {}): Promise<number> {
  const socket = new WebSocket(url.replace(/^http/, "ws"), ["qmux-02.moq-lite-05"], options);
  return await new Promise((resolve) => {
    socket.on("open", () => {
      resolve(101);
      socket.terminate();
    });
    socket.on("unexpected-response", (request, response) => {
      resolve(response.statusCode!);
      request.destroy();
    });
    socket.on("error", () => {});
  });
}

interface Service extends AsyncDisposable {
  readonly url: string;
  readonly asked: readonly string[];
}

/** An HTTP server on this machine that answers as a test says, and writes down what it was asked. */
async function service(
  answer: (path: string, response: ServerResponse, request: IncomingMessage) => void,
): Promise<Service> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url!);
    answer(request.url!, response, request);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

describe("who may use live", { timeout: 240_000 }, () => {
  test("is read from one path in WebSocket, list and fetch, whatever script it is in", async () => {
    using folder = temporaryFolder();
    const file = folder.file("key.jwk");
    writeFileSync(file, JSON.stringify(publicKey));
    await using postern = await startPostern(["--auth-key", file]);
    const jwt = await sign(key, { root: "café/房间 1", put: "", get: "" });
    const at = (path: string) => `${postern.url}${path}?jwt=${jwt}`;
    const encoded = "caf%C3%A9/%E6%88%BF%E9%97%B4%201";
    const publisher = await connect(new URL(at(`/${encoded}`)));
    publisher.publish("摄像头", (track) => track.group("ja"));
    const viewer = await connect(new URL(at("/café/房间 1")));
    assert.equal((await viewer.announced()())?.path, "摄像头");
    assert.equal(await (await fetch(at(`/announced/${encoded}`))).text(), "摄像头");
    assert.equal(await (await fetch(at(`/fetch/${encoded}/摄像头/chat`))).text(), "ja");
    for (const broken of ["/caf%C3", "/%FF/x", "/%zz"]) {
      assert.equal(await knock(at(broken)), 400, broken);
      assert.equal((await fetch(at(`/announced${broken}`))).status, 400, broken);
      assert.equal((await fetch(at(`/fetch${broken}/track`))).status, 400, broken);
    }
    assert.equal(await knock(at("/caf%C3%A9/other")), 401);
    publisher.close();
    viewer.close();
  });

  test("may be kept in a folder at a URL, asked for once while its answer is fresh", async () => {
    let isBroken = false;
    await using keys = await service((path, response) => {
      if (isBroken) response.writeHead(500).end();
      else if (path === "/keys/key-1.jwk")
        response.writeHead(200, { "cache-control": "max-age=60" }).end(JSON.stringify(publicKey));
      else if (path === "/keys/long.jwk") response.end("x".repeat(70_000));
      else if (path === "/keys/moved.jwk") response.writeHead(302, { location: "/keys/key-1.jwk" }).end();
      else if (path !== "/keys/slow.jwk") response.writeHead(404).end();
    });
    const args = ["--auth-key-dir", `${keys.url}/keys`, "--auth-fetch-timeout", "2s"];
    await using postern = await startPostern(args);
    const withKid = async (kid: string) =>
      knock(`${postern.url}/room?jwt=${await sign({ ...key, kid }, { root: "room", get: "" })}`);
    assert.deepEqual([await withKid("key-1"), await withKid("key-1")], [101, 101]);
    assert.deepEqual(keys.asked, ["/keys/key-1.jwk"]);
    assert.equal(await withKid("key-2"), 401);
    for (const kid of ["long", "moved", "slow"]) assert.equal(await withKid(kid), 502, kid);
    isBroken = true;
    assert.deepEqual([await withKid("key-1"), await withKid("key-3")], [101, 502]);
    assert.ok(!postern.log().includes("key-"));
  });

  test("is not learned over the network without TLS", async () => {
    for (const option of ["--auth-key-dir", "--auth-key", "--auth-api", "--auth-public-api"]) {
      const { code, stderr } = await runPostern([
        "serve",
        "--port",
        "0",
        option,
        "http://keys.example/secret",
      ]);
      assert.equal(code, 2, option);
      assert.match(stderr, /must begin with https:/);
      assert.ok(!stderr.includes("secret"));
    }
  });

  test("may be decided by a service: by key, public access, alias and tier", async () => {
    await using decides = await service((path, response) => {
      const query = new URL(path, "http://x").searchParams;
      const root = query.get("root") ?? "";
      const answers: Record<string, unknown> = {
        demo: {
          alias: "x7k2qp",
          key: query.get("kid") === "key-1" ? publicKey : undefined,
          tier: "region/fra",
        },
        open: { public: { subscribe: [""], publish: ["chat"] } },
        deep: { alias: "too/deep", public: { subscribe: [""] } },
        closed: {},
        list: [],
      };
      if (root === "down") response.writeHead(503).end();
      else response.end(JSON.stringify(answers[root] ?? { key: null, public: null }));
    });
    await using postern = await startPostern([...withOps, "--auth-api", `${decides.url}/decide?v=1`]);
    const at = (path: string) => `${postern.url}${path}`;
    const jwt = await sign(key, { root: "demo", put: "", get: "" });
    const session = await connect(new URL(at(`/demo?jwt=${jwt}`)));
    session.publish("cam", () => {});
    const asked = new URL(decides.asked[0]!, "http://x").searchParams;
    assert.deepEqual(Object.fromEntries(asked), {
      v: "1",
      root: "demo",
      kid: "key-1",
      transport: "websocket",
    });
    const viewer = await connect(new URL(at("/open")));
    const ops = await postern.opsUrl();
    const shown = (await (await fetch(`${ops}/sessions?path=x7k2qp`)).json()) as {
      sessions: { tier: string }[];
    };
    assert.deepEqual(
      shown.sessions.map(({ tier }) => tier),
      ["region/fra"],
    );
    const counted = /moq_relay_announces_started_total\{tier="region\/fra",role="subscriber"\} 1/;
    while (!counted.test(await (await fetch(`${ops}/metrics`)).text()));

    assert.equal(await knock(at("/open")), 101);
    assert.equal(await knock(at("/closed")), 401);
    assert.equal(await knock(at(`/closed?jwt=${jwt}`)), 401);
    for (const failing of ["/down", "/deep", "/list"]) assert.equal(await knock(at(failing)), 502, failing);
    assert.equal((await fetch(at("/announced/down"))).status, 502);
    session.close();
    viewer.close();
  });

  test("is asked of one authority alone", async () => {
    const args = ["--auth-api", "https://auth.example/", "--auth-public", "anon"];
    const { code, stderr } = await runPostern([...serve, ...args]);
    assert.equal(code, 2);
    assert.match(stderr, /--auth-api: give either it or auth-key/);
  });

  test("may be asked of a service where nothing is public here", async () => {
    await using opens = await service((path, response) => {
      if (path === "/public/team/a%20b") response.end(JSON.stringify({ subscribe: ["live"] }));
      else if (path === "/public/none") response.end("{}");
      else response.writeHead(404).end();
    });
    const args = ["--auth-public-subscribe", "demo", "--auth-public-api", `${opens.url}/public`];
    await using postern = await startPostern(args);
    assert.equal(await knock(`${postern.url}/demo/x`), 101);
    assert.deepEqual(opens.asked, []);
    assert.equal(await knock(`${postern.url}/team/a%20b`), 101);
    assert.equal(await knock(`${postern.url}/none`), 401);
    assert.equal(await knock(`${postern.url}/elsewhere`), 502);
  });

  test("may have one set of public prefixes to watch and another to publish, from a file too", async () => {
    using folder = temporaryFolder();
    const file = folder.file("relay.toml");
    writeFileSync(
      file,
      '[auth]\npublic-publish = ["up/**", "both"]\n[auth.public]\nsubscribe = ["down", "both"]\n',
    );
    await using postern = await startPostern(["--config", file]);
    const outcome = async (path: string) => {
      const client = await connect(new URL(path, postern.url));
      client.publish("x", () => {});
      client.close();
    };
    await outcome("/up/a");
    await outcome("/both");
    const status = async (path: string) => (await fetch(`${postern.url}/announced/${path}`)).status;
    assert.deepEqual([await status("down"), await status("both/x"), await status("up")], [200, 200, 200]);
    assert.equal(await status("elsewhere"), 401);
    writeFileSync(file, "[auth]\npublic = []\n");
    await using closed = await startPostern(["--config", file]);
    assert.equal((await fetch(`${closed.url}/announced`)).status, 404);
  });

  test("may name its path by the host, the longest domain first", async () => {
    const args = ["--auth-public", "customer/team", "--auth-domain", "cdn.example,.eu.cdn.example"];
    await using postern = await startPostern(args);
    const as = (host: string, path = "/") => knock(postern.url + path, { headers: { host } });
    assert.equal(await as("team.customer.cdn.example"), 101);
    assert.equal(await as("Team.Customer.eu.CDN.example:443", "/room"), 101);
    assert.equal(await as("customer.cdn.example", "/team"), 101);
    assert.equal(await as("cdn.example", "/customer/team"), 101);
    assert.equal(await as("team.cdn.example"), 401);
    assert.equal(await as("team.customer.notcdn.example"), 101, "above what is public");
    assert.equal(await as("team.customer.notcdn.example", "/elsewhere"), 401);
  });

  test("may be told by a certificate: everything below the path, as long as it is good", async () => {
    using folder = temporaryFolder();
    const certificates = makeCertificates(folder.file(""));
    const { cert, ca } = certificates;
    const tls = ["--tls-cert", cert, "--tls-key", certificates.key, "--server-tls-root", ca];
    await using postern = await startPostern([...withOps, ...tls, "--auth-mtls-tier", "trusted"]);
    const trusted = clientPair(certificates.trusted);
    const strange = clientPair(certificates.strange);
    assert.equal(await knock(`${postern.url}/room`, { rejectUnauthorized: false }), 401);
    assert.equal(await knock(`${postern.url}/room`, { ...strange, rejectUnauthorized: false }), 401);
    const options = { ...trusted, rejectUnauthorized: false };
    const socket = new WebSocket(
      `${postern.url.replace("https", "wss")}/room`,
      ["qmux-02.moq-lite-05"],
      options,
    );
    await once(socket, "open");
    const listed = secureRequest(`${postern.url}/announced/room`, options).end();
    const [answer] = (await once(listed, "response")) as [IncomingMessage];
    assert.equal(answer.statusCode, 200);
    answer.resume();
    const { sessions } = (await (await fetch(`${await postern.opsUrl()}/sessions`)).json()) as {
      sessions: { tier: string; expires_at: string }[];
    };
    const { validTo } = new X509Certificate(trusted.cert);
    assert.deepEqual(
      sessions.map(({ tier, expires_at }) => [tier, Date.parse(expires_at)]),
      [["trusted", Date.parse(validTo)]],
    );
    socket.terminate();
  });

  test("needs TLS to be told by a certificate", async () => {
    const { code, stderr } = await runPostern([...serve, "--server-tls-root", "ca.pem"]);
    assert.equal(code, 2);
    assert.match(stderr, /--server-tls-root: needs tls-cert and tls-key/);
  });
});

const clientPair = (name: string) => ({
  cert: readFileSync(`${name}.crt`),
  key: readFileSync(`${name}.key`),
});

/** An authority, a server's certificate, a client's that it signed, and one that somebody else signed. */
function makeCertificates(folder: string) {
  const openssl = (...args: string[]) => execFileSync("openssl", args, { stdio: "ignore", cwd: folder });
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  for (const name of ["ca", "other-ca", "server"]) {
    const files = ["-keyout", `${name}.key`, "-out", `${name}.crt`];
    openssl("req", "-x509", ...curve, "-days", "10", "-subj", `/CN=${name}`, ...files);
  }
  for (const [name, by] of [
    ["trusted", "ca"],
    ["strange", "other-ca"],
  ] as const) {
    openssl("req", ...curve, "-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.csr`);
    const authority = ["-CA", `${by}.crt`, "-CAkey", `${by}.key`, "-CAcreateserial"];
    openssl("x509", "-req", "-in", `${name}.csr`, ...authority, "-days", "5", "-out", `${name}.crt`);
  }
  const at = (name: string) => `${folder}/${name}`;
  return {
    ca: at("ca.crt"),
    cert: at("server.crt"),
    key: at("server.key"),
    trusted: at("trusted"),
    strange: at("strange"),
  };
}
