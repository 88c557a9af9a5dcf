import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as Net from "@moq/net";
import { transportOver } from "./live/clients.ts";
import { openRelay } from "./live/open-relay.ts";

/** It looks once, as it begins, whether there are datagrams; so the relay's parameters must be there by then. */
async function connect(url: URL, subprotocol: string) {
  const transport = await transportOver(url, subprotocol);
  while (transport.datagrams.maxDatagramSize === 0) await new Promise(setImmediate);
  assert.equal(transport.datagrams.maxDatagramSize, 1_200);
  return await Net.Connection.connect(url, { transport });
}

/** The client asks itself for each track once more, to know its properties; what it asks for last is the subscription. */
async function tracksOf(broadcast: Net.Broadcast.Producer, use: (track: Net.Track.Producer) => void) {
  for (let asked = await broadcast.requested(); asked; asked = await broadcast.requested()) {
    use(asked.accept());
  }
}

describe("datagrams of @moq/net 0.3.4 cross the relay", { timeout: 30_000 }, () => {
  for (const framing of ["qmux-02", "qmux-01"]) {
    test(`over ${framing}, beside the groups of the same track, and never as one`, async () => {
      await using relay = await openRelay();
      const name = `${framing}.moq-lite-05`;
      const publisher = await connect(relay.url("/"), name);
      const watcher = await connect(relay.url("/"), name);
      const broadcast = new Net.Broadcast.Producer();
      publisher.publish(Net.Path.from("cam"), broadcast);
      await watcher.announced().next();
      let track: Net.Track.Producer | undefined;
      void tracksOf(broadcast, (asked) => {
        track = asked;
        const group = asked.appendGroup();
        group.writeString("a group");
        group.close();
      });
      const subscriber = watcher.consume(Net.Path.from("cam")).subscribe("sound", { ordered: true });
      assert.equal(await subscriber.readString(), "a group");
      for (let at = 0; at < 20; at++) {
        const timestamp = Net.Time.Timestamp.fromMillis(1_000 + at);
        const sequence = track!.appendDatagram(timestamp, Buffer.from(`d${at}`));
        const got = await subscriber.recvDatagram();
        assert.equal(Buffer.from(got!.payload).toString(), `d${at}`);
        assert.equal(got!.sequence, sequence);
        assert.equal(got!.timestamp.asMillis(), 1_000 + at);
      }
      const { publisher: outgoing, subscriber: incoming } = relay.relay.traffic.totals().get("")!;
      assert.deepEqual([outgoing.datagrams, incoming.datagrams], [20, 20]);
      assert.deepEqual([outgoing.groups, incoming.groups], [21, 21]);
      publisher.close();
      watcher.close();
    });
  }
});
