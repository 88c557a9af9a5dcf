import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { datagramsBetween } from "./live/datagrams-between.ts";
import { openRelay } from "./live/open-relay.ts";

describe("datagrams of @moq/net 0.3.4 cross the relay", { timeout: 30_000 }, () => {
  for (const framing of ["qmux-02", "qmux-01"]) {
    test(`over ${framing}, beside the groups of the same track, and never as one`, async () => {
      await using relay = await openRelay();
      await datagramsBetween(relay.url("/"), relay.url("/"), `${framing}.moq-lite-05`, 20);
      const { publisher, subscriber } = relay.relay.traffic.totals().get("")!;
      assert.ok(publisher.datagrams >= 20);
      assert.equal(subscriber.datagrams, publisher.datagrams);
      assert.equal(publisher.groups, publisher.datagrams + 1);
    });
  }
});
