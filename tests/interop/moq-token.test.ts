import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import * as moq from "@moq/token";
import { authorize } from "#modes/live/auth/authorize.ts";
import {
  algorithms,
  newKeyFile,
  parseKeyFile,
  publicKeyFile,
  signingKey,
  verifyingKey,
} from "#modes/live/auth/key.ts";
import { oneKey } from "#modes/live/auth/key-source.ts";
import { mintToken } from "#modes/live/auth/token.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";

// The published @moq/token looks at the wall clock, so these tests do too.
const now = Math.floor(Date.now() / 1000) * 1000;
const claims = { root: "demo", put: ["me"], get: ["", "others"], exp: now / 1000 + 600 };
const run = promisify(execFile);
const pathOf = (beside: string) => fileURLToPath(new URL(beside, import.meta.url));
const postern = (...args: string[]) => run(process.execPath, [pathOf("../../cli/main.ts"), "token", ...args]);

describe("@moq/token and ours", () => {
  for (const alg of algorithms) {
    test(`theirs with ${alg}: key and token are good here`, async () => {
      const key = await moq.generate(alg);
      const jwt = await moq.sign(key, claims);
      // Plain, and as base64url of the JSON, as their command line writes keys.
      for (const text of [JSON.stringify(key), Buffer.from(JSON.stringify(key)).toString("base64url")]) {
        const keys = oneKey(await verifyingKey(parseKeyFile(text)));
        assert.deepEqual(
          await authorize("/demo", { jwt, privateTokens: [] }, now, { keys, public: undefined }),
          {
            root: "demo",
            put: ["me"],
            get: ["", "others"],
            cluster: false,
            expiresAt: now + 600_000,
          },
        );
      }
    });

    test(`ours with ${alg}: key and token are good there`, async () => {
      const file = await newKeyFile(alg, "ours");
      const wish = { root: "demo", put: ["me"], get: [""], cluster: false, expiresAt: now + 600_000 };
      const jwt = await mintToken(await signingKey(file), wish, now);
      const theirs = alg.startsWith("HS")
        ? moq.load(JSON.stringify(file))
        : moq.loadPublic(JSON.stringify(publicKeyFile(file)));
      assert.deepEqual(await moq.verify(theirs, jwt, "demo"), {
        root: "demo",
        put: ["me"],
        get: [""],
        iat: now / 1000,
        exp: now / 1000 + 600,
      });
    });
  }

  test("their command line takes our key file, and ours takes their token", async () => {
    using folder = temporaryFolder();
    const key = folder.file("key.jwk");
    const publicKey = folder.file("public.jwk");
    await postern("key", "new", "--alg", "ES256", "--out", key, "--public", publicKey);
    const { stdout: signed } = await run(process.execPath, [
      pathOf("../../node_modules/@moq/token/cli.js"),
      "sign",
      "--key",
      key,
      "--root",
      "demo",
      "--publish",
      "me",
    ]);
    const { stdout } = await postern("inspect", signed.trim(), "--key", publicKey);
    assert.equal(JSON.parse(stdout).valid, true);
    assert.deepEqual(JSON.parse(stdout).claims.put, ["me"]);

    const { stdout: minted } = await postern("mint", "--key", key, "--root", "demo", "--get", "");
    const read = moq.loadPublic(await readFile(publicKey, "utf8"));
    assert.deepEqual((await moq.verify(read, minted.trim(), "demo")).get, [""]);
  });
});
