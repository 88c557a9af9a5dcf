/** Cases of live as seen from outside: relays that go, and relays together. See live-announce.test.ts. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { knock } from "#tests/support/raw-websocket.ts";
import { liveSceneOn, modern, oursCase } from "./live-case.ts";
import { dialects, launchLive, launchPostern, testsTheirs, testsUrl } from "./live-relay.ts";

oursCase(
  "52 a relay that stops says so, takes nobody more, and ends when its time is up",
  ["--live-drain", "300ms"],
  async (scene) => {
    const peers = await Promise.all(dialects.map((dialect) => scene.connect(dialect)));
    const { process } = scene.relay;
    const exited = once(process!, "exit");
    const listening = new URL(scene.relay.url);
    process!.kill("SIGTERM");
    await Promise.all(
      peers.map(({ session }) => session.until(() => session.ended, "the end of each session")),
    );
    for (const [at, { session }] of peers.entries()) {
      // Type 5 and an empty URI, from 04 on.
      const asked = session.bidis.some(({ hex, fin }) => hex === "050100" && fin);
      assert.equal(asked, dialects[at]!.version >= 4, dialects[at]!.name);
      assert.equal(session.end?.clean, true);
    }
    assert.deepEqual(await exited, [0, null]);
    await assert.rejects(knock(listening, ["webtransport"]));
  },
);

/** A wire between two relays that can be cut. */
async function wireTo(url: string) {
  const { hostname, port } = new URL(url);
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
      one.pipe(other);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    cut() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

test("51 three relays in a ring make no loop, and go on when a link is cut", {
  timeout: 60_000,
  skip: testsTheirs || testsUrl,
}, async (t) => {
  const options = ["--auth-public", "", "--cluster-retry-max", "1s"];
  await using a = await launchLive();
  const wire = await wireTo(a.url);
  await using b = await launchPostern([...options, "--cluster-root", a.url]);
  await using c = await launchPostern([...options, "--cluster-root", wire.url, "--cluster-root", b.url]);
  await using stage = liveSceneOn(t, a);
  const { scene } = stage;
  const publisher = await scene.connect(modern, { origin: 5n });
  publisher.publish("cam");
  const viewer = await scene.connect(modern, { relay: c, origin: 6n });
  const watch = viewer.watch("");
  // By the direct link the publisher and relay A are on the way; the longer one may be known first.
  await viewer.session.until(() => watch.events.at(-1)?.hops.length === 2, "the short way");
  const subscription = viewer.subscribe("cam", "v");
  const track = await publisher.askedFor();
  track.start(0);
  track.group(0, "before");
  await subscription.whole(0);
  wire.cut();
  await viewer.session.until(() => watch.events.at(-1)?.hops.length === 3, "the long way");
  // Over the other way the relay in between asks A, whose subscription with the publisher just goes on.
  for (let sequence = 1; subscription.group(sequence - 1)?.stream.fin !== true || sequence < 3; sequence++) {
    track.group(sequence, `${sequence}`);
    await viewer.session.until(() => subscription.sequences.includes(sequence), "the next group");
    await subscription.whole(sequence);
  }
  assert.equal(publisher.asked.length, 1);
  assert.equal(subscription.stream.over, false);
  assert.equal(new Set(subscription.sequences).size, subscription.sequences.length);
  assert.deepEqual(
    watch.diary.filter((line) => line.startsWith("-")),
    [],
  );
  publisher.close();
  await viewer.session.until(() => watch.diary.at(-1) === "-cam", "the end, everywhere");
});
