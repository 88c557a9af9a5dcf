import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { generate, sign, toPublicKey } from "@moq/token";
import WebSocket from "ws";
import { runPostern, startPostern } from "#tests/support/postern.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";

const key = await generate("ES256", "key-1");

async function open(url: string, jwt: string): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/room?jwt=${jwt}`, ["qmux-02.moq-lite-05"]);
  await once(socket, "open");
  return socket;
}

describe("an open live session", { timeout: 60_000 }, () => {
  test("ends soon after its token was revoked, and the others stay", async () => {
    using folder = temporaryFolder();
    const [keyFile, revoked] = [folder.file("key.jwk"), folder.file("revoked")];
    writeFileSync(keyFile, JSON.stringify(key));
    const args = ["--auth-key", keyFile, "--auth-revoked", revoked, "--auth-recheck", "100ms"];
    await using postern = await startPostern(args);
    const [leaked, kept] = [
      await sign(key, { root: "", get: "" }),
      await sign(key, { root: "room", get: "" }),
    ];
    const [one, other] = [await open(postern.url, leaked), await open(postern.url, kept)];
    const { stdout } = await runPostern(["token", "inspect", leaked]);
    const ended = once(one, "close");
    writeFileSync(revoked, `${JSON.parse(stdout).id}\n`);
    await ended;
    assert.equal(other.readyState, WebSocket.OPEN);
    other.terminate();
  });

  test("ends soon after its key was taken out of the folder", async () => {
    using folder = temporaryFolder();
    const keys = folder.file("keys");
    mkdirSync(keys);
    if (key.kty === "oct") throw new Error("an ES256 key has a public half");
    writeFileSync(join(keys, "key-1.jwk"), JSON.stringify(toPublicKey(key)));
    await using postern = await startPostern(["--auth-key-dir", keys, "--auth-recheck", "100ms"]);
    const session = await open(postern.url, await sign(key, { root: "room", put: "" }));
    const ended = once(session, "close");
    rmSync(join(keys, "key-1.jwk"));
    await ended;
  });
});
