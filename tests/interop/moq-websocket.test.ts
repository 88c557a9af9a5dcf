import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as Lite from "@moq/lite";
import { type Connect, loadKixelated, netClient, olderClient, type WrittenTrack } from "./live/clients.ts";
import { openRelay } from "./live/open-relay.ts";

const subprotocols = [
  ...["qmux-02", "qmux-01", "qmux-00"].flatMap((framing) =>
    ["moq-lite-05", "moq-lite-04", "moq-lite-03", "moql"].map((version) => `${framing}.${version}`),
  ),
  "qmux-02",
  "qmux-01",
  "qmux-00",
  "webtransport",
];

const clients = new Map<string, Connect>([
  ["@moq/net 0.3.4, left to itself", netClient()],
  ["@moq/lite 0.2.2", olderClient(Lite)],
  ["@kixelated/moq 0.9.4", olderClient(await loadKixelated())],
  ...subprotocols.map((name) => [`@moq/net 0.3.4 on ${name}`, netClient(name)] as const),
]);

/** A broadcast from one client to another: announced, watched from its latest group on, ended. */
async function broadcastBetween(publishWith: Connect, watchWith: Connect): Promise<void> {
  await using relay = await openRelay();
  const publisher = await publishWith(relay.url("/room"));
  const watcher = await watchWith(relay.url("/"));
  // Some publishers are asked twice, for the track's description and for the track: the last one counts.
  let written: WrittenTrack | undefined;
  const broadcast = publisher.publish("cam", (track) => {
    track.group("first", "second");
    written = track;
  });
  const announced = watcher.announced();
  assert.deepEqual(await announced(), { path: "room/cam", active: true });

  const track = watcher.subscribe("room/cam", "chat");
  assert.equal(await track.next(), "first");
  assert.equal(await track.next(), "second");
  assert.equal(written?.name, "chat");
  for (let group = 0; group < 3; group++) {
    assert.ok(written.group(`${group}.0`, `${group}.1`));
    assert.equal(await track.next(), `${group}.0`);
    assert.equal(await track.next(), `${group}.1`);
  }
  assert.equal(relay.relay.metrics.upstreamSubscriptions, 1);

  broadcast.end();
  assert.deepEqual(await announced(), { path: "room/cam", active: false });
  publisher.close();
  watcher.close();
}

describe("published MoQ clients meet over WebSocket", { timeout: 120_000 }, () => {
  const net = netClient();
  for (const [name, connect] of clients) {
    test(`${name} publishes`, () => broadcastBetween(connect, net));
    test(`${name} watches`, () => broadcastBetween(net, connect));
    test(`${name} with itself`, () => broadcastBetween(connect, connect));
  }
});
