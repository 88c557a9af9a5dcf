import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { newKeyFile, signingKey } from "#modes/live/auth/key.ts";
import { mintToken } from "#modes/live/auth/token.ts";
import { type Postern, startPostern } from "#tests/support/postern.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import { netClient } from "./live/clients.ts";

const connect = netClient();

/** A key, and a token by which relays know each other, in a folder. */
async function clusterFiles(folder: { file(name: string): string }) {
  const key = await newKeyFile("HS256", "cluster");
  const wish = { root: "", put: [""], get: [""], cluster: true, expiresAt: undefined };
  writeFileSync(folder.file("key.jwk"), JSON.stringify(key));
  writeFileSync(folder.file("token.jwt"), await mintToken(await signingKey(key), wish, Date.now()));
  return [
    "--auth-key",
    folder.file("key.jwk"),
    "--cluster-token",
    folder.file("token.jwt"),
    "--auth-public",
    "",
  ];
}

describe("a cluster of daemons", { timeout: 60_000 }, () => {
  test("what @moq/net publishes on one leaf, it watches on another; a leaf that dies takes its broadcasts along", async () => {
    using folder = temporaryFolder();
    const files = await clusterFiles(folder);
    const options = [...files, "--live-announce-linger", "500ms"];
    await using root = await startPostern(options);
    const leaf = (): Promise<Postern> => startPostern([...options, "--cluster-root", root.url]);
    await using here = await leaf();
    await using there = await leaf();

    const script = new URL("live/publish.ts", import.meta.url);
    const publisher = fork(script, [`${here.url}/room`, "cam", "across", "three", "relays"]);
    const watcher = await connect(new URL(there.url));
    const announced = watcher.announced();
    assert.deepEqual(await announced(), { path: "room/cam", active: true });
    const track = watcher.subscribe("room/cam", "chat");
    const frames = [await track.next(), await track.next(), await track.next()];
    assert.deepEqual(frames, ["across", "three", "relays"]);

    here.process.kill("SIGKILL");
    assert.deepEqual(await announced(), { path: "room/cam", active: false });
    watcher.close();
    publisher.kill();
  });
});
