import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { get } from "node:https";
import { createServer } from "node:net";
import { describe, test } from "node:test";
import { runPostern, startPostern } from "#tests/support/postern.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";

/** A port that nobody has right now. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

const textAt = async (url: string): Promise<string> => await (await fetch(url)).text();

/** Trusting nothing but the certificate that the relay itself tells of. */
async function bodyOverTls(url: string, ca: string): Promise<string> {
  const [answer] = await once(get(url, { ca, agent: false }), "response");
  return (await answer.toArray()).join("");
}

test("SIGUSR1 and SIGHUP read certificates again, and neither ends the relay nor opens a debugger", async () => {
  using folder = temporaryFolder();
  const pair = ["--tls-cert", folder.file("tls.crt"), "--tls-key", folder.file("tls.key")];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost"];
  const files = ["-keyout", pair[3]!, "-out", pair[1]!];
  execFileSync("openssl", ["req", "-x509", ...curve, ...files], { stdio: "ignore" });
  await using postern = await startPostern(pair);
  rmSync(pair[1]!);
  const failures = () => postern.log().split("ENOENT").length - 1;
  for (const signal of ["SIGUSR1", "SIGHUP"] as const) {
    const before = failures();
    postern.process.kill(signal);
    while (failures() === before) await once(postern.process.stderr!, "data");
  }
  const [answer] = await once(get(postern.url, { rejectUnauthorized: false, agent: false }), "response");
  assert.equal(answer.resume().statusCode, 200);
  assert.doesNotMatch(postern.log(), /[Dd]ebugger/);
});

describe("--tls-generate", () => {
  const generate = ["--auth-public", "", "--tls-generate", "localhost,127.0.0.1"];

  test("plain HTTP stays, tells the hash, and a restart keeps it; the file is nobody else's to read", async () => {
    using folder = temporaryFolder();
    const file = folder.file("development-tls.pem");
    const args = [...generate, "--persist-db", folder.file("relay.db")];
    const hashes: string[] = [];
    for (let start = 0; start < 2; start++) {
      await using postern = await startPostern(args);
      assert.match(postern.url, /^http:/);
      hashes.push(await textAt(`${postern.url}/certificate.sha256`));
    }
    const kept = readFileSync(file, "utf8");
    const hash = new X509Certificate(kept.slice(kept.indexOf("-----BEGIN CERT"))).fingerprint256;
    assert.equal(hashes[0], hash.replaceAll(":", "").toLowerCase());
    assert.equal(hashes[1], hashes[0]);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    rmSync(file);
    await using postern = await startPostern(args);
    const list = JSON.parse(await textAt(`${postern.url}/certificates.json`));
    assert.equal(list.certificates.length, 1);
    assert.notEqual(list.certificates[0].sha256, hashes[0]);
  });

  test("HTTPS with it beside plain HTTP, or instead of it", async () => {
    using folder = temporaryFolder();
    const database = ["--persist-db", folder.file("relay.db")];
    const certificate = () => {
      const kept = readFileSync(folder.file("development-tls.pem"), "utf8");
      return kept.slice(kept.indexOf("-----BEGIN CERT"));
    };
    const [plain, secure] = [await freePort(), await freePort()];
    {
      const listen = ["--port", String(plain), "--web-https-listen", `127.0.0.1:${secure}`];
      await using _ = await startPostern([...generate, ...database, ...listen]);
      const hash = await bodyOverTls(`https://localhost:${secure}/certificate.sha256`, certificate());
      assert.equal(hash, await textAt(`http://127.0.0.1:${plain}/certificate.sha256`));
    }
    const listen = ["--listen", `127.0.0.1:${secure}`, "--web-https-listen", `127.0.0.1:${secure}`];
    await using postern = await startPostern([...generate, ...database, ...listen]);
    assert.equal(postern.url, `https://127.0.0.1:${secure}`);
    assert.equal((await bodyOverTls(`${postern.url}/certificate.sha256`, certificate())).length, 64);
  });

  test("the original relay's development file starts ours", async () => {
    using folder = temporaryFolder();
    const port = await freePort();
    const file = folder.file("dev.toml");
    const lines = [
      "[server]",
      `listen = "[::1]:${port}"`,
      'tls.generate = ["localhost"]',
      "[web.http]",
      `listen = "[::1]:${port}"`,
      "[auth]",
      'public = ""',
    ];
    writeFileSync(file, lines.join("\n"));
    await using postern = await startPostern(["--config", file]);
    assert.equal(postern.url, `http://[::1]:${port}`);
    assert.match(await textAt(`${postern.url}/certificate.sha256`), /^[0-9a-f]{64}$/);
  });

  test("what makes no sense is said", async () => {
    const refusals = [
      [["--tls-generate", "999.1.1.1"], /--tls-generate: 999\.1\.1\.1 is no IP address/],
      [["--tls-generate", "a b"], /--tls-generate: "a b" is not possible/],
      [["--tls-generate", "x", "--tls-cert", "a", "--tls-key", "b"], /there is tls-cert already/],
      [["--web-https-listen", "127.0.0.1:0"], /--web-https-listen: needs tls-cert/],
      [["--tls-cert", "a,b", "--tls-key", "c"], /--tls-key: missing/],
    ] as const;
    for (const [args, message] of refusals) {
      const { code, stderr } = await runPostern(["serve", "--persist-db", "memory", ...args]);
      assert.equal(code, 2);
      assert.match(stderr, message);
    }
  });
});
