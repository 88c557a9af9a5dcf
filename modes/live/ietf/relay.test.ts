import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  broadcastCrosses,
  clientOf,
  FakePublisher,
  FakeViewer,
  openGrant,
  scene,
  view,
} from "#tests/support/live-pair.ts";
import { settle } from "#tests/support/sim-clock.ts";
import { liveError } from "#wire/live/error-code.ts";
import type { IetfDraft } from "#wire/live/version.ts";

const drafts: IetfDraft[] = [14, 15, 16, 17, 18, 19, 20];

/** A broadcast of the relay that a client of this draft watches. */
async function watched(version: IetfDraft) {
  const { clock, relay } = scene();
  const publisher = new FakePublisher();
  relay.origin.announce("cam", publisher, []);
  const client = clientOf(relay, clock, { version });
  await settle();
  const viewer = new FakeViewer();
  view(client.local, "cam", "v", viewer);
  await settle();
  return { publisher, viewer };
}

for (const version of drafts) {
  describe(`moq-transport, draft ${version}`, () => {
    test("a broadcast crosses the relay, moq-lite 05 in and moq-transport out and the other way", async () => {
      const { clock, relay } = scene();
      const ietf = clientOf(relay, clock, { version });
      const lite = clientOf(relay, clock);
      await settle();
      for (const [from, to] of [
        [ietf, lite],
        [lite, ietf],
      ] as const) {
        await broadcastCrosses(from, to, ["a", "", "b"]);
      }
    });

    test("names are relative to the URL, and a grant bounds what is published and seen", async () => {
      const { clock, relay } = scene();
      const grant = { ...openGrant("room"), put: ["mine"], get: ["yours"] };
      const client = clientOf(relay, clock, { version, grant });
      client.local.origin.announce("mine/a", new FakePublisher(), []);
      client.local.origin.announce("theirs/b", new FakePublisher(), []);
      relay.origin.announce("room/yours/c", new FakePublisher(), []);
      relay.origin.announce("room/secret/d", new FakePublisher(), []);
      await settle();
      assert.ok(relay.origin.find("room/mine/a"));
      assert.equal(relay.origin.find("room/theirs/b"), undefined);
      assert.ok(client.local.origin.find("yours/c"));
      assert.equal(client.local.origin.find("secret/d"), undefined);
    });

    test("many subscribers are one upstream, and a late one begins at the head of the latest group", async () => {
      const { clock, relay } = scene();
      const publisher = new FakePublisher();
      const source = clientOf(relay, clock, { version });
      source.local.origin.announce("cam", publisher, []);
      const clients = Array.from({ length: 3 }, () => clientOf(relay, clock, { version }));
      await settle();
      const viewers = clients.map(({ local }) => {
        const viewer = new FakeViewer();
        view(local, "cam", "v", viewer);
        return viewer;
      });
      await settle();
      assert.equal(publisher.asked.length, 1);
      for (let sequence = 0; sequence < 3; sequence++)
        publisher.asked[0]!.group(sequence, `k${sequence}`, "p");
      await settle();
      for (const viewer of viewers) assert.equal(viewer.payload(2), "k2,p");

      const late = clientOf(relay, clock, { version });
      await settle();
      const viewer = new FakeViewer();
      view(late.local, "cam", "v", viewer);
      await settle();
      assert.deepEqual(viewer.sequences, [2]);
      assert.equal(viewer.payload(2), "k2,p");
      assert.equal(publisher.asked.length, 1);
    });

    test("the last subscriber's leaving ends the subscription upstream, after a while", async () => {
      const { clock, relay } = scene();
      const publisher = new FakePublisher();
      const source = clientOf(relay, clock, { version });
      source.local.origin.announce("cam", publisher, []);
      await settle();
      const leave = view(relay, "cam", "v", new FakeViewer());
      await settle();
      leave();
      await clock.advance(31_000);
      // Ours ends, and then that of the publisher's own relay.
      await clock.advance(31_000);
      assert.equal(publisher.asked[0]!.closed, true);
    });

    test("what nobody announces is refused, the session lives, and it works once it is announced", async () => {
      const { clock, relay } = scene();
      const client = clientOf(relay, clock, { version });
      await settle();
      // The client believes in a broadcast that its relay has lost meanwhile.
      const { source } = [...client.local.sessions][0]!;
      const errors: number[] = [];
      const sink = {
        onInfo() {},
        onComplete() {},
        onError: (code: number) => errors.push(code),
        openGroup: () => undefined,
        append: () => false,
        endGroup() {},
        onDatagram() {},
      };
      const options = {
        priority: 0,
        ordered: false,
        latencyMaxMs: 0,
        startGroup: undefined,
        endGroup: undefined,
      };
      source!.subscribe("cam", "v", options, sink);
      await settle();
      assert.deepEqual(errors, [liveError.notFound]);
      const publisher = new FakePublisher();
      relay.origin.announce("cam", publisher, []);
      await settle();
      const viewer = new FakeViewer();
      view(client.local, "cam", "v", viewer);
      await settle();
      publisher.asked[0]!.group(0, "x");
      await settle();
      assert.equal(viewer.payload(0), "x");
    });

    test("a group that is given up is reset for everybody; later ones arrive", async () => {
      const { publisher, viewer } = await watched(version);
      const track = publisher.asked[0]!;
      const group = track.open(0, "a");
      await settle();
      track.sink.endGroup(group, liveError.dropped);
      track.group(1, "b");
      await settle();
      assert.equal(viewer.groups[0]!.state, liveError.dropped);
      assert.equal(viewer.payload(1), "b");
    });

    test("a track that ends is told to be over, with all its groups", async () => {
      const { publisher, viewer } = await watched(version);
      publisher.asked[0]!.group(0, "a");
      publisher.asked[0]!.group(1, "b");
      publisher.asked[0]!.sink.onComplete();
      await settle();
      assert.equal(viewer.ended, "complete");
      assert.equal(viewer.payload(1), "b");
    });

    test("a publisher that never answers is given up after a while", async () => {
      const { clock, relay } = scene();
      const publisher = new FakePublisher();
      publisher.accepts = false;
      const client = clientOf(relay, clock, { version });
      client.local.origin.announce("cam", publisher, []);
      await settle();
      const viewer = new FakeViewer();
      view(relay, "cam", "v", viewer);
      await clock.advance(10_000);
      assert.equal(viewer.ended, liveError.timeout);
    });

    test("a session that leaves takes nothing of itself along", async () => {
      const { clock, relay } = scene({ announceLingerMs: 0 });
      const client = clientOf(relay, clock, { version });
      client.local.origin.announce("cam", new FakePublisher(), []);
      relay.origin.announce("there", new FakePublisher(), []);
      await settle();
      view(client.local, "there", "v", new FakeViewer());
      await settle();
      client.leave();
      await settle();
      assert.equal(relay.sessionCount, 0);
      assert.equal(relay.origin.find("cam"), undefined);
      assert.equal(relay.metrics.subscriptionsOpened, relay.metrics.subscriptionsClosed);
    });

    test("a token that expires ends it as unauthorized; a relay that drains says goodbye first", async () => {
      const { clock, relay } = scene();
      const expiresAt = clock.now() + 2_000;
      const client = clientOf(relay, clock, { version, grant: { ...openGrant(), expiresAt } });
      await settle();
      relay.drain("");
      await clock.advance(1_000);
      assert.equal(relay.sessionCount, 1);
      await clock.advance(1_000);
      assert.equal(relay.sessionCount, 0);
      assert.equal(client.local.sessionCount, 0);
    });
  });
}

describe("timestamps", () => {
  test("of a publisher cross from moq-lite 05 over moq-transport and back", async () => {
    const { clock, relay } = scene();
    const source = clientOf(relay, clock, { version: 18 });
    const publisher = new FakePublisher();
    source.local.origin.announce("cam", publisher, []);
    await settle();
    const viewer = new FakeViewer();
    view(relay, "cam", "v", viewer);
    await settle();
    publisher.asked[0]!.group(0, "a", "b");
    await settle();
    // Two frames, each one tick after what was before it.
    const bytes = Buffer.concat(viewer.groups[0]!.body("B").chunks).toString("hex");
    assert.equal(bytes, "020161020162");
  });

  test("are those of arrival up to draft 16, which has no place to say what they mean", async () => {
    const { clock, relay } = scene();
    const source = clientOf(relay, clock, { version: 16 });
    const publisher = new FakePublisher();
    source.local.origin.announce("cam", publisher, []);
    await settle();
    const viewer = new FakeViewer();
    view(relay, "cam", "v", viewer);
    await settle();
    publisher.asked[0]!.group(0, "a");
    await settle();
    const info = relay.origin.find("cam")!.tracks.get("v")!.info;
    assert.equal(info?.timescale, 1_000);
    assert.notEqual(Buffer.concat(viewer.groups[0]!.body("B").chunks).toString("hex"), "020161");
  });
});
