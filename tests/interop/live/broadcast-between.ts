import assert from "node:assert/strict";
import type { Connect, WrittenTrack } from "./clients.ts";
import { openRelay } from "./open-relay.ts";

/** A broadcast from one client to another: announced, watched from its latest group on, ended. */
export async function broadcastBetween(publishWith: Connect, watchWith: Connect): Promise<void> {
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
