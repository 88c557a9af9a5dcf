import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { copyFileSync } from "node:fs";
import type http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import net from "node:net";
import { describe, test } from "node:test";
import tls from "node:tls";
import { RelayError } from "#core/errors.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import { Reply } from "#wire/http/reply.ts";
import { type Handler, readBody } from "#wire/http/request.ts";
import { watchCertificateFiles } from "../tls/certificate-files.ts";
import { ClientAddresses } from "./client-address.ts";
import { type Listener, listen } from "./listener.ts";
import type { ListenerLimits, ListenerSetup } from "./listener-setup.ts";

const limits: ListenerLimits = {
  maxConnections: 100,
  maxHeaderBytes: 2048,
  headerTimeoutMs: 60_000,
  bodyTimeoutMs: 60_000,
  idleTimeoutMs: 60_000,
};

type Open = Listener & AsyncDisposable & { readonly port: number; readonly errors: unknown[] };

async function open(
  handler: Handler,
  change: Partial<ListenerLimits> = {},
  more: Partial<ListenerSetup> = {},
): Promise<Open> {
  const errors: unknown[] = [];
  const listener = await listen({
    at: { host: "127.0.0.1", port: 0 },
    limits: { ...limits, ...change },
    addresses: new ClientAddresses([]),
    handler,
    report: (error) => errors.push(error),
    ...more,
  });
  const port = Number(new URL(listener.url).port);
  return { ...listener, port, errors, [Symbol.asyncDispose]: () => listener.close(0) };
}

const ok: Handler = async () => new Reply(200, [["x-a", "1"]], "ok");

/** Sends text over a plain connection and collects what comes until the other side closes. */
async function exchange(port: number, ...texts: string[]): Promise<string> {
  const socket = net.connect(port, "127.0.0.1");
  let received = "";
  socket.on("data", (chunk) => {
    received += chunk;
  });
  socket.on("error", () => {});
  for (const text of texts) socket.write(text);
  await once(socket, "close");
  return received;
}

describe("the HTTP listener", () => {
  test("answers with exactly the bytes of a reply and their length", async () => {
    const body = Uint8Array.from({ length: 256 }, (_, at) => at);
    for (const payload of [body, new Uint8Array(20_000).fill(0xe9), "text é", "", null]) {
      await using at = await open(async () => new Reply(200, [["content-type", "a/b"]], payload));
      const response = await fetch(at.url);
      const expected =
        typeof payload === "string" ? new TextEncoder().encode(payload) : (payload ?? new Uint8Array());
      assert.deepEqual(new Uint8Array(await response.arrayBuffer()), Uint8Array.from(expected));
      assert.equal(response.headers.get("content-length"), String(expected.length));
    }
  });

  test("serves an ordinary Response, streams included, and stops reading one whose client left", async () => {
    let cancelled = () => {};
    const stopped = new Promise<void>((resolve) => {
      cancelled = resolve;
    });
    await using at = await open(
      async () =>
        new Response(new ReadableStream({ pull: (c) => c.enqueue(new Uint8Array(1000)), cancel: cancelled })),
    );
    const client = new AbortController();
    const response = await fetch(at.url, { signal: client.signal });
    await response.body!.getReader().read();
    client.abort();
    await stopped;
  });

  test("tells the handler when its reply was written out, and when the client had gone", async () => {
    const outcomes: string[] = [];
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const settled = () => new Promise<void>((resolve) => waiters.push(resolve));
    const waiters: (() => void)[] = [];
    await using at = await open(async (request) => {
      if (request.url.endsWith("/slow")) {
        await new Promise<void>((resolve) => request.signal.addEventListener("abort", () => resolve()));
        release();
      }
      return new Reply(200, [], "x", (delivery) => {
        outcomes.push(delivery);
        waiters.shift()?.();
      });
    });
    let done = settled();
    await (await fetch(at.url)).text();
    await done;
    done = settled();
    const socket = net.connect(at.port, "127.0.0.1");
    socket.write("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n", () => socket.resetAndDestroy());
    socket.on("error", () => {});
    await gate;
    await done;
    assert.deepEqual(outcomes, ["sent", "lost"]);
  });

  test("carries out pipelined requests in their order", async () => {
    const order: string[] = [];
    await using at = await open(async (request) => {
      const { target } = request.edge!;
      order.push(`begin ${target}`);
      if (target === "/1") await new Promise((resolve) => setImmediate(resolve));
      order.push(`end ${target}`);
      return new Reply(200, target === "/2" ? [["connection", "close"]] : [], target);
    });
    const text = await exchange(
      at.port,
      "GET /1 HTTP/1.1\r\nhost: x\r\n\r\nGET /2 HTTP/1.1\r\nhost: x\r\n\r\n",
    );
    assert.deepEqual(order, ["begin /1", "end /1", "begin /2", "end /2"]);
    assert.ok(text.indexOf("/1") < text.indexOf("/2"));
  });

  test("takes the target as it was sent", async () => {
    await using at = await open(
      async (request) => new Reply(200, [["connection", "close"]], request.edge!.target),
    );
    const target = async (line: string) =>
      (await exchange(at.port, `GET ${line} HTTP/1.1\r\nhost: x\r\n\r\n`)).split("\r\n\r\n")[1];
    for (const one of ["/inbox/..", "/inbox/%2e%2E/a?x", "//inbox/a", "/inbox/a%ZZ"])
      assert.equal(await target(one), one);
    assert.equal(await target("/inbox/a#b"), "/inbox/a");
    assert.equal(await target("http://other.test/inbox/a?q"), "/inbox/a?q");
    assert.equal(await target("http://other.test"), "/");
  });

  test("serves a request whatever it expects", async () => {
    await using at = await open(async () => new Reply(200, [["connection", "close"]], "ok"));
    assert.match(
      await exchange(at.port, "GET / HTTP/1.1\r\nhost: x\r\nexpect: a-miracle\r\n\r\n"),
      /^HTTP\/1.1 200 /,
    );
  });

  test("refuses headers and request lines over the limit with 431", async () => {
    await using at = await open(ok);
    assert.match(
      await exchange(at.port, `GET / HTTP/1.1\r\nhost: x\r\nx: ${"y".repeat(4000)}\r\n\r\n`),
      /^HTTP\/1.1 431 /,
    );
    assert.match(
      await exchange(at.port, `GET /${"y".repeat(4000)} HTTP/1.1\r\nhost: x\r\n\r\n`),
      /^HTTP\/1.1 431 /,
    );
  });

  test("gives up on headers that never end", async () => {
    await using at = await open(ok, { headerTimeoutMs: 200 });
    assert.match(await exchange(at.port, "GET / HTTP/1.1\r\nhost: x\r\nx: "), /^(HTTP\/1.1 408 |$)/);
    assert.equal(await exchange(at.port).then((text) => text.includes("200")), false);
  });

  test("gives up on a body that never ends, with an answer, and closes", async () => {
    const reading: Handler = async (request) => {
      try {
        await readBody(request, 100);
        return new Reply(200, []);
      } catch (error) {
        assert.ok(error instanceof RelayError);
        return new Reply(error.status, [], error.message);
      }
    };
    await using at = await open(reading, { bodyTimeoutMs: 200 });
    const head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n";
    assert.match(await exchange(at.port, head, "half"), /^HTTP\/1.1 408 [\s\S]*Request body timed out$/);
    const huge = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999\r\n\r\nx";
    assert.match(await exchange(at.port, huge), /^HTTP\/1.1 413 /);
  });

  test("takes no more connections than allowed, and the next one when there is room", async () => {
    await using at = await open(ok, { maxConnections: 1 });
    const first = net.connect(at.port, "127.0.0.1");
    first.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    await once(first, "data");
    assert.equal(await exchange(at.port, "GET / HTTP/1.1\r\nhost: x\r\n\r\n"), "");
    first.destroy();
    await once(first, "close");
    while (at.connections() > 0) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(await (await fetch(at.url)).text(), "ok");
  });

  test("a failure of ours is a bare 500, and is reported", async () => {
    await using at = await open(async () => {
      throw new Error("secret detail");
    });
    const response = await fetch(at.url);
    assert.equal(response.status, 500);
    assert.equal(await response.text(), "");
    assert.equal(at.errors.length, 1);
  });

  test("closing answers what is under way and says that the connection ends", async () => {
    let release = () => {};
    let arrived = () => {};
    const inside = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const at = await open(async () => {
      arrived();
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return new Reply(200, [], "late");
    });
    const asking = fetch(at.url);
    await inside;
    const closed = at.close(60_000);
    release();
    const response = await asking;
    assert.equal(await response.text(), "late");
    assert.equal(response.headers.get("connection"), "close");
    await closed;
  });

  test("an address that is taken is an error, not a crash", async () => {
    await using at = await open(ok);
    await assert.rejects(open(ok, {}, { at: { host: "127.0.0.1", port: at.port } }), { code: "EADDRINUSE" });
  });
});

describe("TLS", () => {
  /** A self-signed pair for a name, by the system's openssl. */
  function certify(folder: { file(name: string): string }, name: string) {
    const pair = { cert: folder.file(`${name}.crt`), key: folder.file(`${name}.key`) };
    const line = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=${name} -keyout ${pair.key} -out ${pair.cert}`;
    execFileSync("openssl", line.split(" "), { stdio: "ignore" });
    return pair;
  }

  const nameAt = (port: number, servername?: string) =>
    new Promise<string>((resolve, reject) => {
      const at = { port, host: "127.0.0.1", ...(servername ? { servername } : {}) };
      const socket = tls.connect({ ...at, rejectUnauthorized: false }, () => {
        resolve(String(socket.getPeerCertificate().subject.CN));
        socket.destroy();
      });
      socket.on("error", reject);
    });

  test("speaks HTTP/2 and HTTP/1.1, and takes new certificate files without a restart", async () => {
    using folder = temporaryFolder();
    const first = certify(folder, "first");
    const second = certify(folder, "second");
    const files = { cert: folder.file("live.crt"), key: folder.file("live.key") };
    copyFileSync(first.cert, files.cert);
    copyFileSync(first.key, files.key);
    using certificates = watchCertificateFiles([files], () => {});
    await using at = await open(
      async (request) =>
        new Reply(200, [["etag", '"1"']], new TextDecoder().decode(await readBody(request, 100))),
      {},
      { tls: certificates },
    );
    assert.match(at.url, /^https:/);

    const session = http2.connect(at.url, { rejectUnauthorized: false });
    const stream = session.request({ ":method": "POST", ":path": "/inbox/a" });
    stream.end("over h2");
    const [headers] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
    assert.equal(headers[":status"], 200);
    let text = "";
    for await (const chunk of stream) text += chunk;
    assert.equal(text, "over h2");
    session.close();

    const request = https
      .request(at.url, { method: "POST", rejectUnauthorized: false, agent: false })
      .end("over h1");
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    assert.equal(response.httpVersion, "1.1");
    response.resume();

    assert.equal(await nameAt(at.port), "first");
    copyFileSync(second.cert, files.cert);
    copyFileSync(second.key, files.key);
    while ((await nameAt(at.port)) !== "second");
  });

  test("serves each host with its own certificate, others with the first", async () => {
    using folder = temporaryFolder();
    const pairs = ["one.test", "two.test"].map((name) => certify(folder, name));
    using certificates = watchCertificateFiles(pairs, () => {});
    await using at = await open(ok, {}, { tls: certificates });
    assert.equal(await nameAt(at.port, "two.test"), "two.test");
    assert.equal(await nameAt(at.port, "one.test"), "one.test");
    assert.equal(await nameAt(at.port, "three.test"), "one.test");
    assert.equal(await nameAt(at.port), "one.test");
  });

  test("a key that is not the certificate's is told, and the old pair stays", async () => {
    using folder = temporaryFolder();
    const [first, second] = [certify(folder, "first"), certify(folder, "second")];
    const failures: unknown[] = [];
    using certificates = watchCertificateFiles([first], (error) => failures.push(error));
    const [before] = certificates.pairs;
    copyFileSync(second.cert, first.cert);
    certificates.reload();
    assert.match(String(failures[0]), /key/);
    assert.deepEqual(certificates.pairs, [before]);
  });
});
