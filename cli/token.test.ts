import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, stat } from "node:fs/promises";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseKeyFile, signingKey } from "#modes/live/auth/key.ts";
import { mintToken } from "#modes/live/auth/token.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";

const main = fileURLToPath(new URL("./main.ts", import.meta.url));

function postern(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [main, "token", ...args], (_error, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
    child.stdin?.end();
  });
}

describe("postern token", () => {
  test("makes a key only its owner can read, mints with it, and tells what the token says", async () => {
    using folder = temporaryFolder();
    const key = folder.file("key.jwk");
    assert.equal((await postern("key", "new", "--out", key)).code, 0);
    assert.equal((await stat(key)).mode & 0o777, 0o600);
    const before = Math.floor(Date.now() / 1000);
    const { stdout: minted } = await postern(
      "mint",
      "--key",
      key,
      "--root",
      "demo",
      "--put",
      "",
      "--expires",
      "2h",
    );
    const { code, stdout } = await postern("inspect", minted.trim(), "--key", key);
    const { header, claims, valid } = JSON.parse(stdout);
    assert.equal(code, 0);
    assert.equal(valid, true);
    assert.equal(header.alg, "ES256");
    assert.equal(header.kid, JSON.parse(await readFile(key, "utf8")).kid);
    assert.deepEqual([claims.root, claims.put, claims.get], ["demo", [""], []]);
    assert.ok(claims.exp >= before + 7200 && claims.exp <= before + 7260);
  });

  test("writes a public half that verifies and cannot sign", async () => {
    using folder = temporaryFolder();
    const [key, open] = [folder.file("key.jwk"), folder.file("public.jwk")];
    await postern("key", "new", "--alg", "EdDSA", "--out", key, "--public", open);
    const { stdout: minted } = await postern("mint", "--key", key, "--get", "", "--expires", "never");
    const inspected = await postern("inspect", minted.trim(), "--key", open);
    assert.equal(inspected.code, 0);
    assert.equal(JSON.parse(inspected.stdout).expires, "never");
    const refused = await postern("mint", "--key", open, "--get", "");
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /key_ops do not allow sign/);
  });

  test("never overwrites a key", async () => {
    using folder = temporaryFolder();
    const key = folder.file("key.jwk");
    await postern("key", "new", "--out", key);
    const before = await readFile(key, "utf8");
    assert.equal((await postern("key", "new", "--out", key)).code, 1);
    assert.equal(await readFile(key, "utf8"), before);
  });

  test("says that a token is of another key, with exit code 4", async () => {
    using folder = temporaryFolder();
    const [one, other] = [folder.file("one.jwk"), folder.file("other.jwk")];
    await Promise.all([one, other].map((out) => postern("key", "new", "--alg", "HS256", "--out", out)));
    const { stdout: minted } = await postern("mint", "--key", one, "--get", "");
    const { code, stdout } = await postern("inspect", minted.trim(), "--key", other);
    assert.equal(code, 4);
    assert.equal(JSON.parse(stdout).why, "The token's signature does not verify");
  });

  test("says that a token has expired, with exit code 3", async () => {
    using folder = temporaryFolder();
    const file = folder.file("key.jwk");
    await postern("key", "new", "--out", file);
    const key = await signingKey(parseKeyFile(await readFile(file, "utf8")));
    const wish = { root: "", put: [], get: [""], cluster: false, expiresAt: 1000 };
    const { code, stdout } = await postern("inspect", await mintToken(key, wish, 0), "--key", file);
    assert.equal(code, 3);
    assert.equal(JSON.parse(stdout).expires, "1970-01-01T00:00:01.000Z");
  });

  for (const [name, args, says] of [
    ["nothing", [], /^$/],
    ["an unknown verb", ["make"], /token make: no such command/],
    ["an unknown flag", ["mint", "--kee", "x"], /--kee/],
    ["an unknown algorithm", ["key", "new", "--alg", "none", "--out", "x"], /--alg: "none".*HS256/],
    [
      "a public half of a secret",
      ["key", "new", "--alg", "HS256", "--out", "x", "--public", "y"],
      /one shared/,
    ],
    ["half a verb", ["key", "--out", "x"], /Say new/],
    ["a span that is none", ["mint", "--key", "x", "--expires", "soon"], /--expires: "soon".*2h/],
    ["no key", ["mint", "--get", ""], /--key FILE is needed/],
    ["what is no token", ["inspect", "abc"], /This is no token/],
  ] as const) {
    test(`answers ${name} with exit code 2`, async () => {
      const { code, stderr } = await postern(...args);
      assert.equal(code, 2);
      assert.match(stderr, says);
    });
  }

  test("answers a token that would allow nothing, or a file that is none, with exit code 1", async () => {
    using folder = temporaryFolder();
    const key = folder.file("key.jwk");
    await postern("key", "new", "--out", key);
    const useless = await postern("mint", "--key", key, "--root", "demo");
    assert.equal(useless.code, 1);
    assert.match(useless.stderr, /neither put nor get/);
    assert.equal((await postern("mint", "--key", folder.file("none.jwk"), "--get", "")).code, 1);
  });
});
