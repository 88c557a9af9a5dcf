import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { runCli } from "#tests/support/cli.ts";
import { startPostern } from "#tests/support/postern.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";

type Check = { check: string; outcome: string; message: string; figures: Record<string, unknown> };
const byName = (checks: unknown) =>
  Object.fromEntries((checks as Check[]).map((check) => [check.check, check])) as Record<string, Check>;

async function listening(server: Server): Promise<AsyncDisposable & { url: string }> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

test("a sound relay on this machine passes, its disk too", async () => {
  using folder = temporaryFolder();
  await using postern = await startPostern(["--inbox-timeout", "150ms"]);
  const { code, json } = await runCli(["doctor", postern.url, "--local", folder.path, "--json"]);
  assert.equal(code, 0);
  const [report] = json();
  assert.equal(report!.url, postern.url);
  assert.equal(report!.ok, true);
  const checks = byName(report!.checks);
  assert.deepEqual(Object.keys(checks), [
    "reachable",
    "transport",
    "clock",
    "round trip",
    "browsers",
    "disk",
    "held polls",
  ]);
  for (const name of ["reachable", "transport", "clock", "round trip", "browsers"])
    assert.equal(checks[name]!.outcome, "ok", checks[name]!.message);
  assert.equal(checks.reachable!.figures.greeting, true);
  // Both times in an answer are cut to the second.
  assert.ok(Math.abs(Number(checks["round trip"]!.figures.keptMs) - 300_000) <= 1000);
  assert.ok(Number(checks.disk!.figures.medianMs) > 0);
  // A relay that lets go so soon is worth a word.
  assert.equal(checks["held polls"]!.outcome, "warning");
  assert.ok(Number(checks["held polls"]!.figures.heldMs) >= 140);
  assert.equal(checks["held polls"]!.figures.status, 408);
});

test("the findings are lines that people can read", async () => {
  await using postern = await startPostern();
  const { code, stdout } = await runCli(["doctor", "--quick"], { env: { POSTERN_RELAY: postern.url } });
  assert.equal(code, 0);
  assert.match(stdout.toString(), /^ok {7}reachable {3}Answers in \d/);
  assert.match(stdout.toString(), /\nok {7}browsers {4}Web pages of any origin can use it\.\n$/);
});

test("--hold tells how long a request is held", async () => {
  await using postern = await startPostern();
  const { code, json } = await runCli(["doctor", postern.url, "--hold", "200ms", "--json"]);
  assert.equal(code, 0);
  const { outcome, message } = byName(json()[0]!.checks)["held polls"]!;
  assert.equal(outcome, "ok");
  assert.match(message, /Still held after 0\.\d s/);
});

test("a relay closed to web pages is told so", async () => {
  await using postern = await startPostern(["--cors", "off"]);
  const { code, json } = await runCli(["doctor", postern.url, "--quick", "--json"]);
  assert.equal(code, 0);
  const { outcome, message } = byName(json()[0]!.checks).browsers!;
  assert.equal(outcome, "warning");
  assert.match(message, /Web pages cannot use it/);
});

test("a proxy that cuts held requests is told from a relay that answers", async () => {
  await using postern = await startPostern();
  const proxy = createServer(async (request, response) => {
    if (request.url!.startsWith("/link/")) return void response.writeHead(504).end("gateway");
    const { method = "GET", headers } = request;
    const body = method === "POST" ? { body: request as never, duplex: "half" as const } : {};
    const passed = Object.fromEntries(
      Object.entries(headers).filter(
        ([name]) => !/^(host|connection|transfer-encoding|content-length)$/.test(name),
      ),
    ) as Record<string, string>;
    const answer = await fetch(`${postern.url}${request.url}`, { method, headers: passed, ...body });
    const kept = [...answer.headers].filter(
      ([name]) => !/^(connection|keep-alive|transfer-encoding|content-length)$/.test(name),
    );
    response.writeHead(answer.status, Object.fromEntries(kept));
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  await using front = await listening(proxy);
  const { json } = await runCli(["doctor", front.url, "--hold", "1m", "--json"]);
  const checks = byName(json()[0]!.checks);
  assert.equal(checks["round trip"]!.outcome, "ok");
  assert.equal(checks["held polls"]!.outcome, "warning");
  assert.match(checks["held polls"]!.message, /something between answered 504/);
});

test("what is no relay fails, with the reason", async () => {
  await using other = await listening(
    createServer(
      (_request, response) =>
        void response.writeHead(404, { date: "Thu, 01 Jan 2026 00:00:00 GMT" }).end("no"),
    ),
  );
  const { code, json } = await runCli(["doctor", other.url, "--quick", "--json", "--timeout", "2s"]);
  assert.equal(code, 1);
  const checks = byName(json()[0]!.checks);
  assert.match(checks.reachable!.message, /Something answers 404/);
  assert.match(checks.clock!.message, /Set both by NTP/);
  assert.equal(checks["round trip"]!.outcome, "failed");
});

test("a closed port is one failed check, exit code 1", async () => {
  const gone = await listening(createServer());
  await gone[Symbol.asyncDispose]();
  const { code, stdout } = await runCli(["doctor", gone.url]);
  assert.equal(code, 1);
  assert.match(stdout.toString(), /^FAILED {3}reachable {3}No: .*ECONNREFUSED.*\n$/);
});

test("TLS and HTTP versions and the certificate are told; one that nobody trusts fails", async () => {
  using folder = temporaryFolder();
  const [cert, key] = [folder.file("cert.pem"), folder.file("key.pem")];
  const line = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout ${key} -out ${cert}`;
  execFileSync("openssl", line.split(" "), { stdio: "ignore" });
  await using postern = await startPostern(["--tls-cert", cert, "--tls-key", key]);
  const url = postern.url.replace("127.0.0.1", "localhost");

  const trusting = await runCli(["doctor", url, "--quick", "--json"], { env: { NODE_EXTRA_CA_CERTS: cert } });
  assert.equal(trusting.code, 0);
  const { outcome, message, figures } = byName(trusting.json()[0]!.checks).transport!;
  assert.deepEqual(figures, { tls: "TLSv1.3", http: "2", certificateDays: 8, trusted: true });
  assert.equal(outcome, "warning");
  assert.match(message, /renew it/);

  const distrusting = await runCli(["doctor", url, "--quick", "--json"]);
  assert.equal(distrusting.code, 1);
  const checks = byName(distrusting.json()[0]!.checks);
  assert.match(checks.reachable!.message, /self-signed certificate/);
  assert.equal(checks.transport!.outcome, "failed");
  assert.match(checks.transport!.message, /clients refuse it/);
});

test("a URL that cannot be one: exit code 2", async () => {
  const { code, stderr } = await runCli(["doctor", "relay.example"]);
  assert.equal(code, 2);
  assert.match(stderr, /expected one such as https:\/\/relay\.example/);
});
