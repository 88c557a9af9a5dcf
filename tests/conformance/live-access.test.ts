/**
 * Cases of live as seen from outside: who may do what. See live-announce.test.ts. They need keys of their own and are
 * asked of Postern alone; Privacy Pass (45, 46) is in tests/daemon/privacy-pass.test.ts, the HTTP face (47 to 49) in
 * tests/daemon/live.test.ts.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { generate, sign } from "@moq/token";
import { hex } from "#tests/support/hex.ts";
import { knock } from "#tests/support/raw-websocket.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import { type LiveScene, liveSceneOn } from "./live-case.ts";
import { dialects, launchPostern, testsTheirs, testsUrl } from "./live-relay.ts";

type Claims = Parameters<typeof sign>[1];

interface KeyedScene extends LiveScene {
  token(claims: Claims): Promise<string>;
  status(path: string, jwt?: string): Promise<number>;
}

/** A case with a key; whatever else is in its file is its ceiling. */
function keyedCase(
  name: string,
  args: readonly string[],
  scope: object,
  body: (scene: KeyedScene) => Promise<void>,
): void {
  if (testsTheirs || testsUrl) return;
  test(name, { timeout: 60_000 }, async (t) => {
    using folder = temporaryFolder();
    const key = await generate("ES256", "test");
    const file = folder.file("key.jwk");
    writeFileSync(file, JSON.stringify({ ...key, ...scope }));
    await using relay = await launchPostern(["--auth-key", file, ...args]);
    await using stage = liveSceneOn(t, relay);
    await body({
      ...stage.scene,
      token: (claims) => sign(key, claims),
      async status(path, jwt) {
        const url = new URL(path, relay.url);
        if (jwt) url.searchParams.set("jwt", jwt);
        const { status, socket } = await knock(url, ["qmux-02.moq-lite-05"]);
        socket?.terminate();
        return status;
      },
    });
  });
}

keyedCase(
  "40 who may only watch announces to nobody, and is refused as a publisher",
  [],
  {},
  async (scene) => {
    const [all, watch] = [
      await scene.token({ root: "", put: "", get: "" }),
      await scene.token({ root: "", get: "" }),
    ];
    for (const dialect of dialects) {
      const top = { top: true, path: `/${dialect.name.replace(/\W/g, "")}` };
      const publisher = await scene.connect(dialect, { ...top, query: `jwt=${all}`, origin: 5n });
      const watcher = await scene.connect(dialect, { ...top, query: `jwt=${watch}`, origin: 6n });
      const seen = watcher.watch("");
      const told = publisher.watch("");
      watcher.publish("forged");
      publisher.publish("real");
      await watcher.session.until(() => seen.diary.length > 0, "the announcement");
      assert.deepEqual(seen.diary, ["+real"]);
      assert.deepEqual(told.diary, []);
      assert.deepEqual(watcher.watched, [], "the relay asks nothing of who may not publish");
      if (dialect.version < 5) continue;
      const forger = await scene.connect(dialect, { ...top, query: `jwt=${watch}`, bare: true });
      forger.session.uni(hex("01 04 01 030101"), true);
      await forger.session.until(() => forger.session.ended, "the refusal");
      assert.equal(forger.session.end?.code, 6);
    }
  },
);

keyedCase("41 a token's root and the path of the session are one name", [], {}, async (scene) => {
  const jwt = await scene.token({ root: "room", put: "", get: "" });
  const [dialect] = dialects;
  const at = (path: string, origin: bigint) =>
    scene.connect(dialect!, { top: true, path, query: `jwt=${jwt}`, origin });
  const inside = await at("/room/a", 5n);
  const above = await at("/", 6n);
  const equal = await at("/room", 7n);
  const [fromAbove, fromEqual] = [above.watch(""), equal.watch("")];
  inside.publish("cam");
  await above.session.until(() => fromAbove.diary.length > 0, "the announcement above");
  await equal.session.until(() => fromEqual.diary.length > 0, "the announcement at the root");
  assert.deepEqual([fromAbove.diary, fromEqual.diary], [["+room/a/cam"], ["+a/cam"]]);
  assert.equal(await scene.status("/roomy", jwt), 401);
  assert.equal(await scene.status("/other", jwt), 401);
});

keyedCase(
  "42 a token that has expired is refused, one that expires ends its sessions",
  [],
  {},
  async (scene) => {
    const seconds = Math.floor(Date.now() / 1000);
    assert.equal(await scene.status("/", await scene.token({ root: "", get: "", exp: seconds - 10 })), 401);
    const jwt = await scene.token({ root: "", get: "", exp: seconds + 2 });
    const peer = await scene.connect(dialects[0]!, { top: true, path: "/", query: `jwt=${jwt}` });
    await peer.session.until(() => peer.session.ended, "the end");
    assert.equal(peer.session.end?.code, 6);
  },
);

keyedCase(
  "43 below a public prefix nobody needs a token, elsewhere everybody",
  ["--auth-public", "anon"],
  {},
  async ({ status, token }) => {
    assert.equal(await status("/anon/x"), 101);
    assert.equal(await status("/anon"), 101);
    assert.equal(await status("/anonymous"), 401);
    assert.equal(await status("/priv/x"), 401);
    assert.equal(await status("/priv/x", await token({ root: "priv", get: "" })), 101);
  },
);

const scope = { scope: { root: "room", put: "me", get: "" } };

keyedCase("44 a token beyond its key's scope is refused whole", [], scope, async ({ status, token }) => {
  assert.equal(await status("/room", await token({ root: "room", put: "me", get: "" })), 101);
  assert.equal(await status("/room", await token({ root: "room", put: ["me", "you"], get: "" })), 401);
  assert.equal(await status("/", await token({ root: "", get: "" })), 401);
});
