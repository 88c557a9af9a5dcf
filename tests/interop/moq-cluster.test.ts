import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { newKeyFile, signingKey } from "#modes/live/auth/key.ts";
import { mintToken } from "#modes/live/auth/token.ts";
import { type Postern, runPostern, startPostern } from "#tests/support/postern.ts";
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
  test("relays link over a Unix socket and over TCP with the token of the cluster, and with no other", async () => {
    using folder = temporaryFolder();
    const files = await clusterFiles(folder);
    const socket = folder.file("live.sock");
    await using root = await startPostern([
      ...files.slice(0, 4),
      ...["--auth-public", "anon", "--server-unix-bind", socket, "--server-tcp-bind", "127.0.0.1:0", "-v"],
    ]);
    const port = /"transport":"tcp","port":(\d+)/.exec(root.log())?.[1];
    const strange = await connect(new URL(`${root.url}/anon`));
    for (const [at, name] of [
      [`unix://${socket}`, "over-unix"],
      [`tcp://127.0.0.1:${port}`, "over-tcp"],
    ] as const) {
      await using leaf = await startPostern([...files, "--cluster-root", at]);
      const publisher = await connect(new URL(`${leaf.url}/anon`));
      publisher.publish(name, (track) => track.group("hello"));
      const announced = strange.announced();
      let event = await announced();
      while (event?.path !== name) event = await announced();
      const track = strange.subscribe(name, "chat");
      assert.equal(await track.next(), "hello");
      track.close();
      publisher.close();
    }
    strange.close();
    const wrong = ["--auth-public", "", "--cluster-root", `unix://${socket}?jwt=none`, "-v"];
    await using outsider = await startPostern(wrong);
    while (!outsider.log().includes('"what":"lost"')) await once(outsider.process.stderr!, "data");
  });

  test("a TCP listener that is open to others is warned of, a socket that cannot be had ends the start", async () => {
    await using open = await startPostern(["--auth-public", "x", "--server-tcp-bind", "0.0.0.0:0"]);
    assert.match(open.log(), /server-tcp-bind is open to others/);
    const { code, stderr } = await runPostern([
      ...["serve", "--port", "0", "--ops-listen", "off", "--persist-db", "memory", "--auth-public", "x"],
      ...["--server-unix-bind", "/proc/none.sock"],
    ]);
    assert.notEqual(code, 0);
    assert.match(stderr, /--server-unix-bind: /);
  });

  test("what @moq/net publishes on one leaf, it watches on another; a leaf that dies takes its broadcasts along", async () => {
    using folder = temporaryFolder();
    const files = await clusterFiles(folder);
    const options = [...files, "--live-announce-linger", "500ms"];
    await using root = await startPostern(options);
    const leaf = (): Promise<Postern> => startPostern([...options, "--cluster-root", root.url]);
    await using here = await leaf();
    await using there = await leaf();

    const script = new URL("live/publish.ts", import.meta.url);
    const publisher = fork(script, [`${here.url}/room`, "cam", "across", "three", "relays"], {
      stdio: ["ignore", "ignore", "ignore", "ipc"],
    });
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
