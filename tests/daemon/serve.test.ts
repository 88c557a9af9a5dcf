import assert from "node:assert/strict";
import { once } from "node:events";
import { statSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { describe, test } from "node:test";
import { runPostern, startPostern } from "#tests/support/postern.ts";
import { startActivated } from "#tests/support/socket-activation.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";

describe("postern serve", () => {
  test("prints exactly one line on stdout, with the URL it really listens at", async () => {
    await using relay = await startPostern();
    assert.match(relay.url, /^http:\/\/127\.0\.0\.1:\d+$/);
    assert.equal(await (await fetch(relay.url)).text(), "Http Relay");
    relay.process.kill("SIGTERM");
    assert.equal(await relay.exited, 0);
    assert.equal(relay.lines.length, 1);
  });

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`on ${signal} it answers who waits with a status to retry on, keeps what it has and exits 0`, async () => {
      using folder = temporaryFolder();
      const args = ["--persist-db", folder.file("relay.db")];
      {
        await using relay = await startPostern(args);
        await fetch(`${relay.url}/inbox/kept`, { method: "POST", body: "hello" });
        const waiting = fetch(`${relay.url}/inbox/empty`);
        const awaiting = fetch(`${relay.url}/inbox/kept/await`);
        await untilWaiting(relay.url, ["empty", "kept"]);
        relay.process.kill(signal);
        assert.equal((await waiting).status, 408);
        assert.equal((await awaiting).status, 408);
        assert.equal(await relay.exited, 0);
      }
      await using again = await startPostern(args);
      assert.equal(await (await fetch(`${again.url}/inbox/kept`)).text(), "hello");
    });
  }

  test("a request that never ends does not hold the stop beyond its timeout", async () => {
    await using relay = await startPostern(["--shutdown-timeout", "300ms", "--body-timeout", "1h"]);
    const { port } = new URL(relay.url);
    const socket = net.connect(Number(port), "127.0.0.1");
    socket.on("error", () => {});
    socket.write("POST /inbox/a HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf");
    await fetch(relay.url);
    relay.process.kill("SIGTERM");
    assert.equal(await relay.exited, 0);
  });

  test("a second signal ends it at once", async () => {
    await using relay = await startPostern(["--shutdown-timeout", "10m", "--body-timeout", "1h", "-v"]);
    const { port } = new URL(relay.url);
    const socket = net.connect(Number(port), "127.0.0.1");
    socket.on("error", () => {});
    socket.write("POST /inbox/a HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf");
    await fetch(relay.url);
    relay.process.kill("SIGTERM");
    while (!relay.log().includes("stopping")) await once(relay.process.stderr!, "data");
    relay.process.kill("SIGTERM");
    assert.equal(await relay.exited, 130);
  });

  test("a bad option ends it with code 2 and a sentence, before anything is opened", async () => {
    const { code, stdout, stderr } = await runPostern(["serve", "--port", "70000"]);
    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.equal(stderr, 'postern: --port: "70000" is not possible; allowed: a whole number, 0 to 65535.\n');
    assert.match((await runPostern(["serve", "--tls-cert", "a.pem"])).stderr, /--tls-key: missing/);
  });

  test("a port that is taken ends it with code 1 and says what to do", async () => {
    await using relay = await startPostern();
    const { port } = new URL(relay.url);
    const { code, stderr } = await runPostern(["serve", "--port", port, "--persist-db", "memory"]);
    assert.equal(code, 1);
    assert.match(stderr, /EADDRINUSE.*choose one with --port/);
  });

  test("a database that cannot be opened ends it with code 1 and names the option", async () => {
    const { code, stderr } = await runPostern(["serve", "--port", "0", "--persist-db", "/nowhere/at/all.db"]);
    assert.equal(code, 1);
    assert.match(stderr, /database file.*--persist-db/);
  });

  test("a state directory given by the service manager holds the database", async () => {
    using folder = temporaryFolder();
    const env = { ...process.env, STATE_DIRECTORY: folder.path };
    await using relay = await startPostern(["--persist-db", "state.db"], { env });
    await fetch(`${relay.url}/inbox/a`, { method: "POST", body: "x" });
    assert.ok(statSync(folder.file("state.db")).isFile());
  });

  test("the database is readable for nobody else", async () => {
    using folder = temporaryFolder();
    await using relay = await startPostern(["--persist-db", folder.file("a.db")]);
    await fetch(`${relay.url}/inbox/a`, { method: "POST", body: "x" });
    for (const name of ["a.db", "a.db-wal"]) assert.equal(statSync(folder.file(name)).mode & 0o077, 0, name);
  });

  test("help names every option and its default", async () => {
    const { code, stdout } = await runPostern(["serve", "--help"]);
    assert.equal(code, 0);
    for (const word of [
      "-b, --bind",
      "--inbox-cache-ttl",
      "[default: 25s]",
      "--max-entries",
      "-q, --quiet",
    ]) {
      assert.ok(stdout.includes(word), word);
    }
  });
});

describe("the operations listener", () => {
  test("tells alive, ready, counters and build", async () => {
    using folder = temporaryFolder();
    await using relay = await startPostern([
      "--ops-listen",
      "127.0.0.1:0",
      "-v",
      "--log-format",
      "json",
      "--persist-db",
      folder.file("a.db"),
    ]);
    while (!relay.log().includes("operations listener")) await once(relay.process.stderr!, "data");
    const ops = /"url":"([^"]+)"/.exec(relay.log())?.[1];
    await fetch(`${relay.url}/inbox/some-secret-id`, { method: "POST", body: "payload" });
    assert.deepEqual(await (await fetch(`${ops}/health`)).json(), { status: "ok" });
    assert.deepEqual(await (await fetch(`${ops}/ready`)).json(), { status: "ready" });
    const build = (await (await fetch(`${ops}/build-info`)).json()) as Record<string, string>;
    assert.equal(build.name, "postern");
    const metrics = await (await fetch(`${ops}/metrics`)).text();
    assert.match(
      metrics,
      /postern_http_requests_total\{route="\/inbox\/\{id\}",method="POST",status="200"\} 1/,
    );
    assert.match(
      metrics,
      /postern_http_request_duration_seconds_bucket\{le="\+Inf",route="\/inbox\/\{id\}"\} 1/,
    );
    assert.match(metrics, /postern_rendezvous_entries 1/);
    assert.equal((await fetch(`${ops}/nope`)).status, 404);
    assert.equal((await fetch(`${ops}/health`, { method: "POST" })).status, 405);
  });
});

describe("secrets", () => {
  test("no id, body, address or header value reaches the log or the metrics, in any level", async () => {
    await using relay = await startPostern([
      "-vvv",
      "--log-format",
      "json",
      "--ops-listen",
      "127.0.0.1:0",
      "--trusted-proxies",
      "127.0.0.1",
      "--rate-limit",
      "600",
      "--inbox-timeout",
      "50ms",
      "--link-timeout",
      "50ms",
    ]);
    const ops = /"url":"([^"]+)"/.exec(relay.log())?.[1];
    const secrets = ["id-b1946ac9", "body-591785b7", "203.0.113.77", "type-e2fc714c", "query-4727d7ef"];
    const [id, body, address, type, query] = secrets;
    const ask = async (method: string, path: string, more: RequestInit = {}) => {
      const headers = { "x-forwarded-for": address!, "content-type": `text/${type}`, "if-match": `"${id}"` };
      await (await fetch(`${relay.url}${path}?${query}`, { method, headers, ...more })).text();
    };
    for (const path of [`/inbox/${id}`, `/inbox/${id}/ack`, `/inbox/${id}/await`, `/link/${id}`, `/${id}`]) {
      for (const method of ["GET", "DELETE", "PUT"]) await ask(method, path);
      await ask("POST", path, { body: body! });
      await ask("POST", path, { body: body!.repeat(1000) });
      await ask("GET", path);
    }
    await ask("GET", `/inbox/${id!.repeat(40)}`);
    await ask("GET", `/inbox/${id}%FF`);
    const metrics = await (await fetch(`${ops}/metrics`)).text();
    assert.ok(relay.log().length > 0 && metrics.length > 0);
    for (const secret of secrets) {
      assert.equal(relay.log().includes(secret!), false, `log holds ${secret}`);
      assert.equal(metrics.includes(secret!), false, `metrics hold ${secret}`);
    }
  });
});

/** Resolves once a request waits on each id: a second one is refused its place only then. */
async function untilWaiting(url: string, ids: readonly string[]): Promise<void> {
  // The waiting requests were sent first; one more answered request on each id means that they were read.
  for (const id of ids) await (await fetch(`${url}/inbox/${id}/ack`)).text();
}

/** A kept connection may have been closed by the stop; what must not be refused is a new one. */
async function postOnFreshConnection(url: string, body: string): Promise<number | undefined> {
  const request = http.request(url, { method: "POST", agent: false }).end(body);
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  response.resume();
  return response.statusCode;
}

describe("restart behind an inherited socket", () => {
  test("no connection is refused, and a poll that was cut goes on with the next process", async () => {
    using folder = temporaryFolder();
    await using relay = await startActivated(2, ["--persist-db", folder.file("a.db")]);
    const poll = async (): Promise<Response> => {
      for (;;) {
        const response = await fetch(`${relay.url}/inbox/a`);
        if (response.status !== 408) return response;
      }
    };
    const polling = poll();
    await untilWaiting(relay.url, ["a"]);
    relay.stop();
    // Sent while nobody may be listening: queued by the system, answered by the next process.
    assert.equal(await postOnFreshConnection(`${relay.url}/inbox/a`, "after the restart"), 200);
    assert.equal(await (await polling).text(), "after the restart");
    assert.equal(relay.starts(), 2);
    relay.stop();
    assert.equal(await relay.exited, 0);
  });
});
