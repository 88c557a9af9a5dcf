import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as Lite from "@moq/lite";
import * as Net from "@moq/net";
import { broadcastBetween } from "./live/broadcast-between.ts";
import { type Connect, loadKixelated, netClient, olderClient } from "./live/clients.ts";
import { openRelay } from "./live/open-relay.ts";

const subprotocols = [
  ...["qmux-02", "qmux-01", "qmux-00"].flatMap((framing) =>
    ["moq-lite-06-wip", "moq-lite-05", "moq-lite-04", "moq-lite-03", "moql"].map(
      (version) => `${framing}.${version}`,
    ),
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

describe("published MoQ clients meet over WebSocket", { timeout: 120_000 }, () => {
  const net = netClient();
  for (const [name, connect] of clients) {
    test(`${name} publishes`, () => broadcastBetween(connect, net));
    test(`${name} watches`, () => broadcastBetween(net, connect));
    test(`${name} with itself`, () => broadcastBetween(connect, connect));
  }

  test("@moq/net fetches one group of a track, and is refused one that is gone", async () => {
    await using relay = await openRelay();
    const publisher = await net(relay.url("/"));
    publisher.publish("cam", (track) => {
      for (const frame of ["old", "new"]) track.group(frame);
    });
    const watcher = await Net.Connection.connect(relay.url("/"));
    await watcher.announced().next();
    const track = watcher.consume(Net.Path.from("cam")).track("chat");
    const subscriber = track.subscribe({ ordered: true });
    const latest = await subscriber.nextGroup();
    assert.equal(await latest?.readString(), "new");
    const fetched = await track.fetchGroup(latest!.sequence);
    assert.equal(await fetched.readString(), "new");
    assert.equal(relay.relay.metrics.fetches, 1);
    await assert.rejects(async () => (await track.fetchGroup(latest!.sequence + 1_000)).readFrame());
    publisher.close();
    watcher.close();
  });
});
