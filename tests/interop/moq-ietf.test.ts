import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { broadcastBetween } from "./live/broadcast-between.ts";
import { type Connect, netClient } from "./live/clients.ts";

/** The drafts of moq-transport that @moq/net 0.3.4 speaks over WebSocket, in each framing it may be told to use. */
const subprotocols = [
  "qmux-02.moqt-20",
  "qmux-01.moqt-20",
  "qmux-01.moqt-19",
  "qmux-01.moqt-18",
  "qmux-02.moqt-17",
  "qmux-00.moqt-17",
  "qmux-02.moqt-16",
  "qmux-00.moqt-16",
  "qmux-02.moqt-15",
  "qmux-00.moqt-15",
];

describe("published clients of moq-transport meet over WebSocket", { timeout: 120_000 }, () => {
  const lite = netClient();
  for (const name of subprotocols) {
    const ietf: Connect = async (url) => {
      const client = await netClient(name)(url);
      assert.equal(client.version, `moq-transport-${name.slice(-2)}`);
      return client;
    };
    test(`@moq/net 0.3.4 on ${name} publishes`, () => broadcastBetween(ietf, lite));
    test(`@moq/net 0.3.4 on ${name} watches`, () => broadcastBetween(lite, ietf));
    test(`@moq/net 0.3.4 on ${name} with itself`, () => broadcastBetween(ietf, ietf));
  }
});
