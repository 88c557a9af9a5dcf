import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { hex, toHex } from "#tests/support/hex.ts";
import {
  decodeAnnounceInit,
  decodeAnnouncement,
  decodeAnnounceOk,
  decodeAnnounceRequest,
  decodeNumberedAnnouncement,
  encodeAnnounceInit,
  encodeAnnouncement,
  encodeAnnounceOk,
  encodeAnnounceRequest,
  encodeNumberedAnnouncement,
  type NumberedAnnouncement,
} from "./announce.ts";
import { LiveProtocolError } from "./error-code.ts";
import { decodeGoaway, decodeGroupHeader, encodeGoaway, encodeGroupStart } from "./group.ts";
import {
  chooseSetupVersion,
  decodeClientSetup,
  decodeServerSetup,
  decodeSetup,
  encodeServerSetup,
  encodeSetup,
} from "./setup.ts";
import { StreamBuffer } from "./stream-buffer.ts";
import {
  decodeSubscribe,
  decodeSubscribeReply,
  decodeSubscribeUpdate,
  encodeSubscribe,
  encodeSubscribeDrop,
  encodeSubscribeEnd,
  encodeSubscribeOk,
  encodeSubscribeStart,
  encodeSubscribeUpdate,
  type Subscribe,
} from "./subscribe.ts";
import {
  decodeFetch,
  decodeTrackInfo,
  decodeTrackName,
  encodeFetch,
  encodeTrackInfo,
  encodeTrackName,
} from "./track.ts";
import {
  chooseSubprotocol,
  type LiteVersion,
  liteSetupVersions,
  namesWithDrafts,
  setupVersions,
  subprotocolsOf,
  versionName,
} from "./version.ts";

const versions: LiteVersion[] = [1, 2, 3, 4, 5, 6];
const same = (bytes: Uint8Array, text: string) => assert.equal(toHex(bytes), text.replaceAll(" ", ""));

/** The body of a message, as a stream would hand it over. */
function bodyOf(message: Uint8Array): Uint8Array {
  const buffer = new StreamBuffer(1 << 20);
  buffer.push(message);
  return buffer.takeMessage()!;
}

const subscribe: Subscribe = {
  id: 1,
  broadcast: "room/cam",
  track: "chat",
  priority: 5,
  ordered: true,
  latencyMaxMs: 500,
  startGroup: 0,
  endGroup: undefined,
};

describe("messages of moq-lite, as published clients write them", () => {
  test("announce requests and announcements of every version", () => {
    const request = { prefix: "room", excludeHop: 7n };
    same(encodeAnnounceRequest(request, 1), "05 04726f6f6d");
    same(encodeAnnounceRequest(request, 3), "05 04726f6f6d");
    same(encodeAnnounceRequest(request, 5), "06 04726f6f6d 07");
    const active = { active: true, suffix: "cam", hops: [7n, 9n] };
    same(encodeAnnouncement(active, 2), "05 01 0363616d");
    same(encodeAnnouncement(active, 3), "06 01 0363616d 02");
    same(encodeAnnouncement(active, 4), "08 01 0363616d 02 07 09");
    same(encodeAnnouncement(active, 5), "08 01 0363616d 02 07 09");
    const ended = { active: false, suffix: "cam", hops: [] };
    same(encodeAnnouncement(ended, 1), "05 00 0363616d");
    same(encodeAnnouncement(ended, 5), "06 00 0363616d 00");
    same(encodeAnnounceInit(["cam"]), "05 01 0363616d");
    same(encodeAnnounceOk(7n, 1), "02 07 01");
  });

  test("announcements of 06 have numbers and a price, and its setup says who sends it", () => {
    const way = { hops: [7n, 9n], cost: 0 };
    same(encodeAnnounceRequest({ prefix: "room", excludeHop: 7n }, 6), "05 04726f6f6d");
    same(encodeNumberedAnnouncement({ kind: "start", suffix: "cam", ...way }), "00 08 0363616d 02 07 09 00");
    same(encodeNumberedAnnouncement({ kind: "end", number: 3 }), "01 01 03");
    same(
      encodeNumberedAnnouncement({ kind: "update", number: 3, hops: [7n], cost: 70 }),
      "02 05 03 01 07 4046",
    );
    same(encodeSetup({ cost: 3, origin: 7n }), "07 02 040103 050107");
    assert.deepEqual(decodeSetup(hex("02 040103 050107")), { cost: 3, origin: 7n });
    // Dearer than we can count is as dear as can be.
    const dear = decodeNumberedAnnouncement(2, hex("00 00 ffffffffffffffff"));
    assert.deepEqual(dear, { kind: "update", number: 0, hops: [], cost: Number.MAX_SAFE_INTEGER });
    assert.throws(() => decodeNumberedAnnouncement(3, hex("00")), { code: 5 });
    assert.throws(() => decodeNumberedAnnouncement(0, hex("00 21 00")), { code: 5 });
  });

  test("subscriptions of every version and their answers", () => {
    same(encodeSubscribe(subscribe, 1), "10 01 08726f6f6d2f63616d 0463686174 05");
    same(encodeSubscribe(subscribe, 3), "15 01 08726f6f6d2f63616d 0463686174 05 01 41f4 01 00");
    same(encodeSubscribeOk(subscribe, 1), "0105");
    same(encodeSubscribeOk(subscribe, 2), "00");
    same(
      encodeSubscribeOk({ ...subscribe, ordered: false, latencyMaxMs: 0, startGroup: undefined }, 4),
      "00 05 0500000000",
    );
    same(encodeSubscribeStart(3), "00 01 03");
    same(encodeSubscribeEnd(9), "01 01 09");
    same(encodeSubscribeDrop(4, 6, 0, 5), "02 03 040600");
  });

  test("tracks, fetches, groups and setups", () => {
    same(encodeTrackName({ broadcast: "room/cam", track: "chat" }), "0e 08726f6f6d2f63616d 0463686174");
    same(
      encodeTrackInfo({ priority: 5, ordered: true, latencyMaxMs: 5000, timescale: 1000 }),
      "06 05 01 5388 43e8",
    );
    same(
      encodeFetch({ broadcast: "room/cam", track: "chat", priority: 5, group: 9 }),
      "10 08726f6f6d2f63616d 0463686174 05 09",
    );
    same(encodeGroupStart(0, 3), "00 02 0003");
    same(encodeSetup(), "01 00");
    same(encodeServerSetup(0xff0dad02), "21 0009 c0000000ff0dad02 00");
    const params = hex("03 010101 02082f613f6a77743d78 030102");
    assert.deepEqual(decodeSetup(params), { path: "/a?jwt=x", role: "subscriber" });
  });

  test("SETUP of older clients, whichever way they write parameters", () => {
    const lite = hex(
      "03 c0000000ff0dad02 c0000000ff0dad01 c0000000ff00000e 02 02 8000a455 07 0b 6d6f712d6c6974652d6a73",
    );
    const kixelated = hex("02 c0000000ff0dad01 c0000000ff00000e 02 02 013f 05 0b 6d6f712d6c6974652d6a73");
    assert.equal(chooseSetupVersion(decodeClientSetup(lite).versions)?.version, 2);
    assert.equal(chooseSetupVersion(decodeClientSetup(kixelated).versions)?.version, 1);
    assert.equal(chooseSetupVersion([0xff00000d]), undefined);
    // The whole list turned around: moq-lite goes before moq-transport all the same.
    assert.equal(chooseSetupVersion([0xff00000e, 0xff0dad01, 0xff0dad02])?.version, 1);
    assert.equal(chooseSetupVersion([0xff00000d, 0xff00000e])?.version, 14);
    assert.equal(chooseSetupVersion([0xff0dad02, 0xff00000e], 14)?.version, 14);
    assert.equal(decodeServerSetup(hex("c0000000ff0dad02 00"), setupVersions), 2);
    assert.throws(() => decodeServerSetup(hex("c0000000ff00000e 00"), liteSetupVersions), LiveProtocolError);
  });

  test("a setup with a parameter twice is a violation, an unknown one is skipped", () => {
    assert.throws(() => decodeSetup(hex("02 0301 01 0301 01")), { code: 15 });
    assert.deepEqual(decodeSetup(hex("01 4321 02 ffff")), {});
  });
});

describe("the choice of a subprotocol", () => {
  test("is the first of ours, whatever the client's order", () => {
    assert.equal(chooseSubprotocol(["webtransport", "qmux-00.moq-lite-04"])?.name, "qmux-00.moq-lite-04");
    assert.equal(
      chooseSubprotocol(["qmux-00", "qmux-02.moql", "qmux-01.moq-lite-03"])?.name,
      "qmux-01.moq-lite-03",
    );
    assert.equal(chooseSubprotocol(["qmux-01.moqt-18", "qmux-00.moq-lite-03"])?.name, "qmux-00.moq-lite-03");
    assert.equal(chooseSubprotocol(["qmux-01.moqt-20", "webtransport"])?.version, 20);
    assert.equal(chooseSubprotocol(["qmux-00.moqt-18", "webtransport"])?.framing, "webtransport");
    assert.equal(chooseSubprotocol(["qmux-09.moq-lite-05"]), undefined);
    const draft = ["qmux-02.moq-lite-05", "qmux-00.moq-lite-06-wip"];
    assert.equal(chooseSubprotocol(draft)?.version, 5);
    assert.equal(chooseSubprotocol(draft.slice(1)), undefined);
    const chosen = chooseSubprotocol(draft, subprotocolsOf(namesWithDrafts));
    assert.deepEqual(chosen, { name: draft[1], framing: "qmux-00", version: 6 });
    assert.equal(versionName(chosen.version!), "moq-lite-06-wip");
  });
});

const group = fc.option(fc.nat(), { nil: undefined });
const name = fc.string({ unit: "grapheme", maxLength: 40 });
const hop = fc.bigInt(0n, (1n << 62n) - 1n);

describe("what is encoded decodes to itself", () => {
  for (const version of versions) {
    test(`moq-lite 0${version}`, () => {
      const later = version >= 3;
      fc.assert(
        fc.property(
          fc.record(
            {
              id: fc.maxSafeNat(),
              broadcast: name,
              track: name,
              priority: fc.nat(255),
              ordered: later ? fc.boolean() : fc.constant(false),
              latencyMaxMs: later ? fc.maxSafeNat() : fc.constant(0),
              startGroup: later ? group : fc.constant(undefined),
              endGroup: later ? group : fc.constant(undefined),
            },
            { noNullPrototype: true },
          ),
          (value) => {
            assert.deepEqual(decodeSubscribe(bodyOf(encodeSubscribe(value, version)), version), value);
            const { id: _id, broadcast: _broadcast, track: _track, ...options } = value;
            assert.deepEqual(
              decodeSubscribeUpdate(bodyOf(encodeSubscribeUpdate(options, version)), version),
              options,
            );
          },
        ),
      );
      fc.assert(
        fc.property(
          name,
          fc.array(hop, { maxLength: 32 }),
          fc.boolean(),
          hop,
          (suffix, hops, active, excludeHop) => {
            const decoded = decodeAnnouncement(
              bodyOf(encodeAnnouncement({ active, suffix, hops }, version)),
              version,
            );
            const kept = version >= 4 ? hops : version === 3 ? hops.map(() => 0n) : [];
            assert.deepEqual(decoded, { active, suffix, hops: kept });
            const excludes = version === 4 || version === 5;
            const request = { prefix: suffix, excludeHop: excludes ? excludeHop : 0n };
            assert.deepEqual(
              decodeAnnounceRequest(bodyOf(encodeAnnounceRequest(request, version)), version),
              request,
            );
          },
        ),
      );
    });
  }

  test("everything else", () => {
    fc.assert(
      fc.property(
        name,
        name,
        fc.nat(255),
        fc.maxSafeNat(),
        hop,
        (broadcast, track, priority, number, origin) => {
          const fetch = { broadcast, track, priority, group: number };
          assert.deepEqual(decodeFetch(bodyOf(encodeFetch(fetch))), fetch);
          assert.deepEqual(decodeTrackName(bodyOf(encodeTrackName({ broadcast, track }))), {
            broadcast,
            track,
          });
          const info = { priority, ordered: true, latencyMaxMs: number, timescale: number + 1 };
          if (number < Number.MAX_SAFE_INTEGER)
            assert.deepEqual(decodeTrackInfo(bodyOf(encodeTrackInfo(info))), info);
          assert.deepEqual(decodeAnnounceOk(bodyOf(encodeAnnounceOk(origin, number))), {
            origin,
            active: number,
          });
          assert.deepEqual(decodeAnnounceInit(bodyOf(encodeAnnounceInit([broadcast, track]))), [
            broadcast,
            track,
          ]);
          assert.equal(decodeGoaway(bodyOf(encodeGoaway(track))), track);
          const header = encodeGroupStart(number, priority);
          assert.deepEqual(decodeGroupHeader(bodyOf(header.subarray(1))), {
            subscribeId: number,
            sequence: priority,
          });
          const announcements: NumberedAnnouncement[] = [
            { kind: "start", suffix: broadcast, hops: [origin], cost: number },
            { kind: "end", number },
            { kind: "update", number, hops: [origin, origin], cost: priority },
          ];
          for (const announcement of announcements) {
            const whole = encodeNumberedAnnouncement(announcement);
            assert.deepEqual(decodeNumberedAnnouncement(whole[0]!, bodyOf(whole.subarray(1))), announcement);
          }
          const setup = { role: "publisher", path: broadcast, cost: number, origin } as const;
          assert.deepEqual(decodeSetup(bodyOf(encodeSetup(setup))), setup);
        },
      ),
    );
  });
});

describe("whatever bytes come", () => {
  const decoders: ((bytes: Uint8Array) => unknown)[] = [
    decodeClientSetup,
    (bytes) => decodeServerSetup(bytes, setupVersions),
    decodeSetup,
    decodeAnnounceInit,
    decodeAnnounceOk,
    (bytes) => decodeNumberedAnnouncement(bytes[0] ?? 0, bytes.subarray(1)),
    decodeTrackName,
    decodeTrackInfo,
    decodeFetch,
    decodeGroupHeader,
    decodeGoaway,
    ...versions.flatMap((version) => [
      (bytes: Uint8Array) => decodeAnnounceRequest(bytes, version),
      (bytes: Uint8Array) => decodeAnnouncement(bytes, version),
      (bytes: Uint8Array) => decodeSubscribe(bytes, version),
      (bytes: Uint8Array) => decodeSubscribeUpdate(bytes, version),
      (bytes: Uint8Array) => decodeSubscribeReply(bytes[0] ?? 0, bytes.subarray(1), version),
    ]),
  ];

  test("a decoder answers or throws LiveProtocolError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        for (const decode of decoders) {
          try {
            decode(bytes);
          } catch (error) {
            assert.ok(error instanceof LiveProtocolError, String(error));
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("messages come out of a stream whole, however it is cut", () => {
    const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 100 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(pieces, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (bodies, cuts) => {
        const stream = Buffer.concat(bodies.map((body) => encodeTrackLike(body)));
        const buffer = new StreamBuffer(1024);
        const out: string[] = [];
        for (let at = 0, turn = 0; at < stream.length; turn++) {
          const next = at + cuts[turn % cuts.length]!;
          buffer.push(stream.subarray(at, next));
          at = next;
          for (let body = buffer.takeMessage(); body; body = buffer.takeMessage()) out.push(toHex(body));
        }
        assert.deepEqual(out, bodies.map(toHex));
      }),
    );
  });

  test("a length beyond the limit is refused before anything of it arrives", () => {
    const buffer = new StreamBuffer(64 * 1024);
    buffer.push(hex("c0000100 00000000"));
    assert.throws(() => buffer.takeMessage(), { code: 27 });
  });
});

const encodeTrackLike = (body: Uint8Array): Uint8Array =>
  body.length < 64 ? Buffer.from([body.length, ...body]) : Buffer.from([0x40, body.length, ...body]);
