import assert from "node:assert/strict";
import * as Net from "@moq/net";
import { transportOver } from "./clients.ts";

/** It looks once, as it begins, whether there are datagrams; so the relay's parameters must be there by then. */
async function connect(url: URL, subprotocol: string) {
  const transport = await transportOver(url, subprotocol);
  for (let turn = 0; transport.datagrams.maxDatagramSize === 0; turn++) {
    assert.ok(turn < 10_000, "the relay takes no datagrams");
    await new Promise(setImmediate);
  }
  return await Net.Connection.connect(url, { transport });
}

/**
 * `count` datagrams of one @moq/net at `from` reach another at `to`, one by one, with sequence and timestamp, beside a
 * group of the same track. Each may be sent a few times: they may be lost.
 */
export async function datagramsBetween(
  from: URL,
  to: URL,
  subprotocol: string,
  count: number,
): Promise<void> {
  const publisher = await connect(from, subprotocol);
  const watcher = await connect(to, subprotocol);
  const broadcast = new Net.Broadcast.Producer();
  const name = Net.Path.from(`sounds-${from.port}`);
  publisher.publish(name, broadcast);
  const announced = watcher.announced();
  for (let next = await announced.next(); next?.path !== name; ) next = await announced.next();
  let track: Net.Track.Producer | undefined;
  // The client asks itself for each track once more, to know its properties; the last it asks for is the subscription.
  void (async () => {
    for (let asked = await broadcast.requested(); asked; asked = await broadcast.requested()) {
      track = asked.accept();
      const group = track.appendGroup();
      group.writeString("a group");
      group.close();
    }
  })();
  const subscriber = watcher.consume(name).subscribe("sound", { ordered: true });
  assert.equal(await subscriber.readString(), "a group");
  for (let at = 0; at < count; at++) {
    const timestamp = Net.Time.Timestamp.fromMillis(1_000 + at);
    const send = () => track!.appendDatagram(timestamp, Buffer.from(`d${at}`));
    const sequences = [send()];
    const again = setInterval(() => void (sequences.length < 5 && sequences.push(send())), 500);
    let got = await subscriber.recvDatagram();
    // One that was sent again before may have come twice.
    while (got && Buffer.from(got.payload).toString() !== `d${at}`) got = await subscriber.recvDatagram();
    clearInterval(again);
    assert.ok(sequences.includes(got!.sequence));
    assert.equal(got!.timestamp.asMillis(), 1_000 + at);
  }
  publisher.close();
  watcher.close();
}
