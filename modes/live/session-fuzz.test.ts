import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { concatBytes } from "#core/bytes.ts";
import { FakePublisher, muxPair, openGrant, relayOn } from "#tests/support/live-pair.ts";
import { LivePeer } from "#tests/support/live-peer.ts";
import type { RawOutput, RawStream } from "#tests/support/raw-session.ts";
import { settle, simClock } from "#tests/support/sim-clock.ts";
import { encodeAnnounceOk, encodeAnnounceRequest, encodeNumberedAnnouncement } from "#wire/live/announce.ts";
import { encodeDatagram, encodeDatagramContent } from "#wire/live/datagram.ts";
import { encodeType } from "#wire/live/encoder.ts";
import { encodeFrameHeader, encodeGroupStart } from "#wire/live/group.ts";
import { encodeSubscribe, encodeSubscribeUpdate } from "#wire/live/subscribe.ts";
import { encodeFetch, encodeTrackInfo, encodeTrackName } from "#wire/live/track.ts";
import type { Framing, LiteVersion } from "#wire/live/version.ts";

/** What the sequence of streams is played to. */
interface Stage {
  readonly version: LiteVersion;
  readonly peer: LivePeer;
  readonly pair: ReturnType<typeof muxPair>;
  readonly publisher: FakePublisher;
  readonly streams: (RawStream & RawOutput)[];
}

type Move = (stage: Stage) => void;

const bytes = fc.uint8Array({ maxLength: 60 });
const name = fc.constantFrom("cam", "cam/x", "", "other", "a//b", "/", "é");
const number = fc.oneof(fc.nat(4), fc.constantFrom(63, 64, 16_384, 2 ** 30, 2 ** 53 - 2));
const priority = fc.nat(255);
const group = fc.option(number, { nil: undefined });
const options = fc.record({
  priority,
  ordered: fc.boolean(),
  latencyMaxMs: number,
  startGroup: group,
  endGroup: group,
});

const way = { hops: fc.array(fc.bigInt(0n, 9n), { maxLength: 33 }), cost: number };
const announcement = fc
  .oneof(
    fc.record({ kind: fc.constant("start" as const), suffix: name, ...way }),
    fc.record({ kind: fc.constant("end" as const), number: fc.nat(3) }),
    fc.record({ kind: fc.constant("update" as const), number: fc.nat(3), ...way }),
  )
  .map(encodeNumberedAnnouncement);

/** A message that is right in some version. */
const message = (version: LiteVersion): fc.Arbitrary<Uint8Array> =>
  fc.oneof(
    fc
      .tuple(name, fc.bigInt(0n, 2n ** 62n - 1n))
      .map(([prefix, excludeHop]) =>
        concatBytes(encodeType(1), encodeAnnounceRequest({ prefix, excludeHop }, version)),
      ),
    // The relay's own question, answered in 06.
    fc
      .array(fc.oneof(announcement, announcement, fc.uint8Array({ maxLength: 5 })), { maxLength: 4 })
      .map((all) => concatBytes(encodeAnnounceOk(5n, all.length), ...all)),
    fc
      .tuple(number, name, options)
      .map(([id, broadcast, how]) =>
        concatBytes(encodeType(2), encodeSubscribe({ id, broadcast, track: "v", ...how }, version)),
      ),
    fc
      .tuple(name, number)
      .map(([broadcast, sequence]) =>
        concatBytes(encodeType(3), encodeFetch({ broadcast, track: "v", priority: 0, group: sequence })),
      ),
    fc.constantFrom(encodeType(4), encodeType(5), encodeType(0), encodeType(77)),
    name.map((broadcast) => concatBytes(encodeType(6), encodeTrackName({ broadcast, track: "v" }))),
    options.map((how) => encodeSubscribeUpdate(how, version)),
    number.map((timescale) => encodeTrackInfo({ priority: 1, ordered: true, latencyMaxMs: 1, timescale })),
    fc
      .tuple(number, number, bytes)
      .map(([id, sequence, payload]) =>
        concatBytes(encodeGroupStart(id, sequence), encodeFrameHeader(payload.length, 1), payload),
      ),
  );

const datagram = fc
  .tuple(number, number, number, bytes)
  .map(([id, sequence, timestamp, payload]) =>
    encodeDatagram(id, encodeDatagramContent(sequence, timestamp, payload)),
  );

const damaged = (whole: Uint8Array, at: number, by: number, cut: boolean): Uint8Array => {
  const copy = whole.slice(0, cut ? at % (whole.length + 1) : undefined);
  if (copy.length > 0) copy[at % copy.length]! ^= by;
  return copy;
};

/** Mostly right, sometimes damaged, sometimes noise. */
const spoken = (version: LiteVersion): fc.Arbitrary<Uint8Array> =>
  fc.oneof(
    { weight: 6, arbitrary: message(version) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(message(version), fc.nat(200), fc.nat(255), fc.boolean())
        .map((all) => damaged(...all)),
    },
    { weight: 1, arbitrary: bytes },
  );

const move = (version: LiteVersion): fc.Arbitrary<Move> =>
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.tuple(spoken(version), fc.boolean()).map(
        ([what, fin]): Move =>
          ({ peer, streams }) =>
            void streams.push(peer.session.bidi(what, fin)),
      ),
    },
    {
      weight: 4,
      arbitrary: fc.tuple(spoken(version), fc.boolean()).map(
        ([what, fin]): Move =>
          ({ peer, streams }) =>
            void streams.push(peer.session.uni(what, fin)),
      ),
    },
    {
      weight: 4,
      arbitrary: fc.tuple(fc.nat(30), spoken(version), fc.nat(3)).map(
        ([at, what, how]): Move =>
          ({ streams }) => {
            const stream = streams[at % Math.max(1, streams.length)];
            if (how === 0) stream?.giveUp(at);
            else if (how === 1) stream?.stop(at);
            else stream?.more(what, how === 3);
          },
      ),
    },
    {
      weight: 3,
      arbitrary: fc.tuple(fc.nat(5), spoken(version), fc.boolean()).map(
        ([at, what, fin]): Move =>
          ({ peer }) =>
            peer.session.bidis[at % Math.max(1, peer.session.bidis.length)]?.answer(what, fin),
      ),
    },
    {
      weight: 3,
      arbitrary: fc.nat(9).map(
        (sequence): Move =>
          ({ publisher }) => {
            const sink = publisher.asked.findLast(({ closed }) => !closed)?.sink;
            const opened = sink?.openGroup(sequence);
            if (opened === undefined) return;
            sink?.append(opened, Buffer.from([2, 2, 65, 66]));
            sink?.endGroup(opened, sequence % 3 === 0 ? 24 : "complete");
          },
      ),
    },
    {
      weight: 2,
      arbitrary: fc.oneof(datagram, bytes).map(
        (body): Move =>
          ({ peer }) =>
            peer.session.datagram(body),
      ),
    },
    {
      weight: 2,
      arbitrary: fc.tuple(number, bytes).map(
        ([sequence, payload]): Move =>
          ({ publisher }) => {
            const content = encodeDatagramContent(sequence, 0, payload);
            const sink = publisher.asked.findLast(({ closed }) => !closed)?.sink;
            sink?.onDatagram({ sequence, content, payloadBytes: payload.length });
          },
      ),
    },
    {
      weight: 1,
      arbitrary: fc.nat(1).map(
        (on): Move =>
          ({ pair }) => {
            pair.toClient.stalled = on === 1;
            if (on === 0) pair.server.drained();
          },
      ),
    },
    {
      weight: 1,
      // Straight past the client's framing.
      arbitrary: fc.uint8Array({ maxLength: 30 }).map(
        (raw): Move =>
          ({ pair }) =>
            pair.server.receive(raw),
      ),
    },
  );

const framings: Framing[] = ["qmux-02", "qmux-01", "qmux-00", "webtransport"];

describe("whatever a client does, in whatever order", { timeout: 120_000 }, () => {
  for (const version of [1, 2, 3, 4, 5, 6] as const) {
    test(`moq-lite 0${version}: the relay lives, keeps its bounds, and forgets it`, async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...framings.filter((framing) => version <= 2 || framing !== "webtransport")),
          fc.array(move(version), { minLength: 5, maxLength: 40, size: "max" }),
          fc.boolean(),
          async (framing, moves, accepts) => {
            const clock = simClock();
            const relay = relayOn(clock, {
              backlogMaxBytes: 1_000,
              cacheMaxBytes: 50_000,
              controlMaxBytes: 1_024,
            });
            const publisher = new FakePublisher(version >= 5 ? "B" : "A");
            relay.origin.announce("cam", publisher, []);
            const pair = muxPair(clock, framing, version <= 2 ? undefined : version);
            const peer = new LivePeer(pair.client, version);
            peer.accepts = accepts;
            // What it makes of our answers is not looked at: its own may be nonsense.
            peer.session.onOpened = () => {};
            const session = relay.accept(pair.server, openGrant());
            await peer.setUp();
            const stage: Stage = { version, peer, pair, publisher, streams: [] };
            for (const each of moves) {
              each(stage);
              await settle();
              assert.ok(relay.cache.bytes <= 50_000);
              assert.ok(session.backlogBytes <= 1_000 + 100);
              if (relay.sessionCount === 0) break;
            }
            if (relay.sessionCount === 0) {
              pair.toClient.stalled = false;
              await settle();
              assert.ok(Number.isInteger(peer.session.end?.code));
            }
            pair.server.lost("gone");
            relay.origin.unannounce("cam", publisher, false);
            await clock.advance(60_000);
            assert.equal(relay.sessionCount, 0);
            assert.equal(relay.origin.broadcastCount, 0);
            assert.equal(relay.origin.watcherCount, 0);
            assert.equal(relay.cache.bytes, 0);
            assert.equal(relay.metrics.subscriptionsOpened, relay.metrics.subscriptionsClosed);
            assert.equal(clock.armed, 0);
          },
        ),
        { numRuns: 300 },
      );
    });
  }
});
