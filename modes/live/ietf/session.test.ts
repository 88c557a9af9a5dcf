import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { hex, toHex } from "#tests/support/hex.ts";
import { FakePublisher, FakeViewer, muxPair, openGrant, relayOn, view } from "#tests/support/live-pair.ts";
import { type RawOutput, RawSession, type RawStream } from "#tests/support/raw-session.ts";
import { settle, simClock } from "#tests/support/sim-clock.ts";
import { draftOf } from "#wire/live/ietf/draft.ts";
import { encodeClientSetup, encodeSetup } from "#wire/live/ietf/setup.ts";
import type { IetfDraft, LiveVersion } from "#wire/live/version.ts";
import type { AdmitAtSetup, Grant } from "../grant.ts";
import type { LiveLimits } from "../limits.ts";

/** A client that writes its own bytes, after the setup. */
async function scene(
  version: LiveVersion | undefined,
  as: { grant?: Grant; limits?: Partial<LiveLimits>; admit?: AdmitAtSetup } = {},
) {
  const clock = simClock();
  const relay = relayOn(clock, as.limits);
  const pair = muxPair(clock, "qmux-02", version);
  const raw = new RawSession(pair.client);
  relay.accept(pair.server, as.grant ?? openGrant(), as.admit);
  await settle();
  return { clock, relay, raw, pair };
}

type Scene = Awaited<ReturnType<typeof scene>>;

/** The same with the setup done. Up to 16, `control` is where both sides write. */
async function begun(version: IetfDraft, as: Parameters<typeof scene>[1] = {}) {
  const draft = draftOf(version);
  const at = await scene(version, as);
  const options = { maxRequestId: 100 };
  if (draft.requestStreams) at.raw.uni(encodeSetup(options, draft));
  const control = draft.requestStreams ? undefined : at.raw.bidi(encodeClientSetup(options, draft));
  await settle();
  if (control) control.bytes = Buffer.alloc(0);
  return { ...at, draft, control: control! };
}

/** What came on a stream since it was last looked at. */
function fresh(stream: RawStream): string {
  const { hex: text } = stream;
  stream.bytes = Buffer.alloc(0);
  return text;
}

const same = (actual: string, expected: string) => assert.equal(actual, expected.replaceAll(" ", ""));

/** Publishes `cam` with a track `v`, of which `groups` are held. */
function publishing({ relay }: Scene, ...groups: [number, ...string[]][]): FakePublisher {
  const publisher = new FakePublisher();
  relay.origin.announce("cam", publisher, []);
  view(relay, "cam", "v", new FakeViewer());
  for (const [sequence, ...frames] of groups) publisher.asked[0]!.group(sequence, ...frames);
  return publisher;
}

const subscribe18 = (id: string, more = "00") =>
  `03 00${(8 + more.replaceAll(" ", "").length / 2).toString(16).padStart(2, "0")} ${id} 01 0363616d 0176 ${more}`;

describe("setup of moq-transport", () => {
  test("14 by SETUP alone, where the client offers nothing of moq-lite", async () => {
    const { raw, relay } = await scene(undefined);
    const session = raw.bidi(hex("200010 01 c0000000ff00000e 02 02 4064 07 01 78"));
    await settle();
    assert.equal(session.hex.slice(0, 2), "21");
    assert.equal(session.hex.slice(6, 22), "c0000000ff00000e");
    assert.equal([...relay.sessions][0]!.knownVersion, 14);
  });

  test("14 by its name has to be among the versions", async () => {
    const { raw } = await scene(14);
    raw.bidi(hex("20000a 01 c0000000ff0dad02 00"));
    await settle();
    assert.equal(raw.end?.code, 0x15);
  });

  test("none in time is a timeout", async () => {
    for (const version of [16, 18] as const) {
      const { raw, clock } = await scene(version);
      await clock.advance(10_000);
      assert.equal(raw.end?.code, 0x11);
    }
  });

  test("twice is a violation", async () => {
    const { raw, draft } = await begun(18);
    raw.uni(encodeSetup({}, draft));
    await settle();
    assert.equal(raw.end?.code, 3);
  });

  test("what comes before it waits for it", async () => {
    const at = await scene(18);
    publishing(at, [0, "a"]);
    const request = at.raw.bidi(hex(subscribe18("00")));
    await settle();
    assert.equal(request.hex, "");
    at.raw.uni(encodeSetup({}, draftOf(18)));
    await settle();
    assert.equal(request.hex.slice(0, 2), "04");
  });

  test("a token in it is shown to whoever decides, path and all", async () => {
    const { promise, resolve: decide } = Promise.withResolvers<Grant>();
    const shown: unknown[] = [];
    const at = await scene(16, {
      admit: (what) => {
        shown.push({ path: what.path, jwts: what.jwts });
        return promise;
      },
    });
    const token = Buffer.concat([hex("0300"), Buffer.from("a.b.c")]);
    const control = at.raw.bidi(encodeClientSetup({ path: "/room?x=1", tokens: [token] }, draftOf(16)));
    await settle();
    assert.deepEqual(shown, [{ path: "/room?x=1", jwts: ["a.b.c"] }]);
    assert.equal(control.hex, "");
    decide(openGrant("room"));
    await settle();
    assert.equal(control.hex.slice(0, 2), "21");
    assert.equal([...at.relay.sessions][0]!.grant.root, "room");
  });

  test("a refusal closes it as unauthorized, and says why", async () => {
    for (const version of [14, 18] as const) {
      const { raw } = await begun(version, { admit: async () => ({ code: 6, reason: "no" }) });
      assert.deepEqual([raw.end?.code, raw.end?.reason], [2, "no"]);
    }
  });

  test("a token that is malformed, or an alias, has codes of its own", async () => {
    for (const [token, code] of [
      ["03", 0x16],
      ["0207", 0x17],
    ] as const) {
      const { raw } = await scene(18);
      raw.uni(encodeSetup({ tokens: [hex(token)] }, draftOf(18)));
      await settle();
      assert.equal(raw.end?.code, code);
    }
  });
});

describe("requests", () => {
  const trackStatus16 = (id: string) => `0d 0009 ${id} 01 0363616d 0176 00`;

  test("of the wrong side, again, or beyond what is allowed end the session", async () => {
    const limits = { subscriptionsMax: 1, announcementsMax: 1, watchesMax: 1 };
    for (const [bytes, code] of [
      [trackStatus16("01"), 4],
      [trackStatus16("02") + trackStatus16("02"), 4],
      [trackStatus16("02") + trackStatus16("00"), 4],
      [trackStatus16("06"), 7],
    ] as const) {
      const { raw, control } = await begun(15, { limits });
      control.more(hex(bytes));
      await settle();
      assert.equal(raw.end?.code, code, bytes);
    }
  });

  test("are allowed more and more as they end", async () => {
    const at = await begun(16, { limits: { subscriptionsMax: 1, announcementsMax: 1, watchesMax: 2 } });
    at.control.more(hex(trackStatus16("00") + trackStatus16("02") + trackStatus16("04")));
    await settle();
    const answers = fresh(at.control);
    // Ids below 8 were allowed at first. Three were answered: as many again are allowed behind them.
    assert.ok(answers.includes("1500010d"), answers);
  });

  test("an unknown message on the control stream, or its end, ends the session", async () => {
    const unknown = await begun(16);
    unknown.control.more(hex("3f 0000"));
    await settle();
    assert.equal(unknown.raw.end?.code, 3);
    const ended = await begun(14);
    ended.control.more(new Uint8Array(), true);
    await settle();
    assert.equal(ended.raw.end?.code, 0);
  });

  test("PUBLISH and SUBSCRIBE_TRACKS are declined", async () => {
    const { raw } = await begun(18);
    const publish = raw.bidi(hex("1d 0009 00 01 0363616d 0176 05 00"));
    const tracks = raw.bidi(hex("51 0003 02 00 00"));
    await settle();
    for (const { hex: text, fin } of [publish, tracks]) {
      same(text.slice(0, 10), "05 0010 03 00");
      assert.equal(fin, true);
    }
    assert.equal(raw.ended, false);
  });

  test("TRACK_STATUS tells of a track that is there, and refuses one that is not", async () => {
    const at = await begun(16);
    publishing(at, [3, "a", "b"]);
    at.control.more(hex(trackStatus16("00")));
    await settle();
    // Its latest object is the second of group 3.
    same(fresh(at.control), "07 0006 00 01 09 02 0301");
    at.control.more(hex("0d 0009 02 01 0363616e 0176 00"));
    await settle();
    assert.equal(fresh(at.control).slice(0, 10), "05001b0210");
  });
});

describe("a subscription", () => {
  test("is answered with alias, timescale and order, and sent group by group", async () => {
    const at = await begun(18);
    const publisher = publishing(at, [0, "old"], [1, "a"]);
    const request = at.raw.bidi(hex(subscribe18("04")));
    await settle();
    same(fresh(request), "04 0007 04 00 08 83e8 1a 01");
    const groups = at.raw.unis.filter(({ hex: text }) => text.startsWith("59"));
    assert.equal(groups.length, 1);
    // First object, properties, end of group; alias 4, group 1, priority 255; one object with its timestamp.
    same(groups[0]!.hex, "59 04 01 ff 00 02 1001 01 61");
    assert.equal(groups[0]!.fin, true);
    publisher.asked[0]!.sink.onComplete();
    await settle();
    same(fresh(request), "0b 0003 02 01 00");
    assert.equal(request.fin, true);
  });

  test("of nothing is refused, and the session lives", async () => {
    const { raw } = await begun(18);
    const request = raw.bidi(hex(subscribe18("00")));
    await settle();
    assert.ok(request.hex.startsWith("05"));
    assert.equal(request.hex.slice(6, 8), "10");
    assert.equal(request.fin, true);
    assert.equal(raw.ended, false);
  });

  test("may wait: nothing is sent until it is to be forwarded", async () => {
    const at = await begun(18);
    publishing(at, [0, "a"]);
    const request = at.raw.bidi(hex(subscribe18("00", "01 10 00")));
    await settle();
    assert.equal(fresh(request).slice(0, 2), "04");
    const sent = () => at.raw.unis.filter(({ hex: text }) => text.startsWith("59")).length;
    assert.equal(sent(), 0);
    request.more(hex("02 0004 02 01 10 01"));
    await settle();
    same(fresh(request), "07 0001 00");
    assert.equal(sent(), 1);
  });

  test("from the next group on, and of a range, is sent that and nothing else", async () => {
    const at = await begun(18);
    const publisher = publishing(at, [0, "a"], [1, "b"]);
    const next = at.raw.bidi(hex(subscribe18("00", "01 21 01 01")));
    const range = at.raw.bidi(hex(subscribe18("02", "01 21 04 04000001")));
    await settle();
    publisher.asked[0]!.group(2, "c");
    await settle();
    const sent = at.raw.unis.map(({ hex: text }) => text).filter((text) => text.startsWith("59"));
    assert.deepEqual(sent.map((text) => text.slice(2, 6)).toSorted(), ["0002", "0200", "0201"]);
    // A range that is over ends as the subscription did, not the track; two streams were opened for it.
    assert.ok(range.hex.endsWith("0b0003030200"), range.hex);
    assert.equal(next.fin, false);
  });

  test("is left by UNSUBSCRIBE, or by giving its stream up", async () => {
    const old = await begun(14);
    publishing(old, [0, "a"]);
    old.control.more(hex("03 000d 00 01 0363616d 0176 80 00 01 02 00"));
    await settle();
    assert.equal(fresh(old.control).slice(0, 2), "04");
    assert.equal(old.relay.metrics.subscriptionsOpened, 1);
    old.control.more(hex("0a 0001 00"));
    await settle();
    assert.equal(old.relay.metrics.subscriptionsClosed, 1);

    const later = await begun(17);
    publishing(later, [0, "a"]);
    const request = later.raw.bidi(hex("03 000a 00 00 01 0363616d 0176 00"));
    await settle();
    assert.equal(later.relay.metrics.subscriptionsOpened, 1);
    request.more(new Uint8Array(), true);
    await settle();
    assert.equal(later.relay.metrics.subscriptionsClosed, 1);
  });

  test("one more than allowed is refused", async () => {
    const at = await begun(18, { limits: { subscriptionsMax: 1 } });
    publishing(at, [0, "a"]);
    at.raw.bidi(hex(subscribe18("00")));
    const more = at.raw.bidi(hex(subscribe18("02")));
    await settle();
    assert.ok(more.hex.startsWith("05"));
    assert.equal(at.raw.ended, false);
  });
});

describe("FETCH", () => {
  const fetch18 = (start: string, end: string) => `16 000e 00 01 01 0363616d 0176 ${start} ${end} 00`;

  test("brings what is held of a range, on a stream of its own", async () => {
    const at = await begun(18);
    publishing(at, [1, "a", "b"], [2, "c"]);
    const request = at.raw.bidi(hex(fetch18("0101", "0200")));
    await settle();
    // All there is lies before the first object of group 2 that is not there yet.
    same(request.hex, "18 000a 00 02 01 00 08 83e8 1a 01".replace("000a", "0009"));
    const [answer] = at.raw.unis.filter(({ hex: text }) => text.startsWith("05"));
    same(answer!.hex, "05 00 3c 01 01 ff 02 1002 01 62 3c 00 00 ff 02 1001 01 63");
    assert.equal(answer!.fin, true);
  });

  test("of nothing that is held is refused", async () => {
    const at = await begun(18);
    publishing(at, [1, "a"]);
    const beyond = at.raw.bidi(hex(fetch18("0500", "0600")));
    const unknown = at.raw.bidi(hex("16 000e 02 01 01 0363616e 0176 0100 0200 00"));
    await settle();
    assert.equal(beyond.hex.slice(0, 2) + beyond.hex.slice(6, 8), "0511");
    assert.equal(unknown.hex.slice(0, 2) + unknown.hex.slice(6, 8), "0510");
  });

  test("joins a subscription where that began", async () => {
    const at = await begun(16);
    const publisher = publishing(at, [1, "a"], [2, "b"]);
    at.control.more(hex("03 0009 00 01 0363616d 0176 00"));
    await settle();
    publisher.asked[0]!.group(3, "c");
    at.control.more(hex("16 0005 02 02 00 01 00"));
    await settle();
    const [answer] = at.raw.unis.filter(({ hex: text }) => text.startsWith("05"));
    same(answer!.hex, "05 02 1c 01 00 ff 01 61 1c 02 00 ff 01 62");
    at.control.more(hex("16 0005 04 02 08 01 00"));
    await settle();
    assert.ok(at.control.hex.includes("043200"));
  });

  /** Has group 1 fetched while nothing is read, lets `happen` happen, and answers whether the answer came whole. */
  async function cameWhole(happen: (at: Scene, publisher: FakePublisher, more: RawOutput) => void) {
    const at = await begun(16, { limits: { cacheMaxBytes: 100_000 } });
    const publisher = publishing(at, [1, "x".repeat(40_000)]);
    at.pair.toClient.stalled = true;
    at.control.more(hex(fetch18("0100", "0200")));
    await settle();
    happen(at, publisher, at.control);
    await settle();
    at.pair.toClient.stalled = false;
    at.pair.server.drained();
    await settle();
    assert.equal(at.raw.end, undefined);
    return at.raw.unis.some(({ hex: text, fin }) => text.startsWith("05") && fin);
  }

  test("that is not read waits, as long as its groups are held", async () => {
    assert.equal(await cameWhole(() => {}), true);
    const gone = await cameWhole(({ relay }, publisher) => {
      for (const sequence of [2, 3]) publisher.asked[0]!.group(sequence, "y".repeat(40_000));
      assert.ok(relay.cache.bytes <= 100_000);
    });
    assert.equal(gone, false);
  });

  test("ends when it is cancelled", async () => {
    assert.equal(await cameWhole((_, __, control) => control.more(hex("17 0001 00"))), false);
  });
});

describe("a publisher", () => {
  /** Announces `cam` and waits until it is asked for `v`; answers that request. */
  async function asked(version: 18 | 16) {
    const at = await begun(version);
    const announced = version === 18 ? at.raw.bidi(hex("06 0007 00 01 0363616d 00")) : at.control;
    if (version === 16) at.control.more(hex("06 0007 00 01 0363616d 00"));
    await settle();
    const viewer = new FakeViewer();
    view(at.relay, "cam", "v", viewer);
    await settle();
    return { ...at, announced, viewer, request: at.raw.bidis[0]! };
  }

  test("that announces unasked is heard, and may withdraw", async () => {
    for (const version of [14, 16] as const) {
      const { control, relay } = await begun(version);
      control.more(hex("06 0007 00 01 0363616d 00"));
      await settle();
      assert.equal(control.hex.slice(0, 2), "07");
      assert.ok(relay.origin.find("cam"));
      control.more(hex(version === 14 ? "09 0005 01 0363616d" : "09 0001 00"));
      await settle();
      assert.equal(relay.origin.find("cam"), undefined);
    }
    const { raw, relay } = await begun(18);
    const announced = raw.bidi(hex("06 0007 00 01 0363616d 00"));
    await settle();
    same(announced.hex, "07 0001 00");
    announced.more(new Uint8Array(), true);
    await settle();
    assert.equal(relay.origin.find("cam"), undefined);
  });

  test("that may not is refused", async () => {
    const { raw, relay } = await begun(18, { grant: { ...openGrant(), put: [] } });
    const announced = raw.bidi(hex("06 0007 00 01 0363616d 00"));
    await settle();
    assert.equal(announced.hex.slice(0, 2) + announced.hex.slice(6, 8), "0501");
    assert.equal(relay.origin.broadcastCount, 0);
  });

  test("is not asked for namespaces unless it knows that it may be", async () => {
    const silent = await begun(18);
    assert.equal(silent.raw.bidis.length, 0);
    const asking = await scene(18);
    asking.raw.uni(encodeSetup({ solicit: false }, draftOf(18)));
    await settle();
    same(asking.raw.bidis[0]!.hex, "50 0003 01 00 00");
    asking.raw.bidis[0]!.answer(hex("07 0001 00 08 0005 01 0363616d"));
    await settle();
    assert.ok(asking.relay.origin.find("cam"));
    asking.raw.bidis[0]!.answer(hex("0e 0005 01 0363616d"));
    await settle();
    assert.equal(asking.relay.origin.find("cam"), undefined);
  });

  test("whose groups overtake its answer loses none", async () => {
    const { raw, viewer, request } = await asked(18);
    raw.uni(hex("58 07 00 80 00 01 61"), true);
    raw.uni(hex("58 09 00 80 00 01 62"), true);
    await settle();
    assert.deepEqual(viewer.sequences, []);
    request.answer(hex("04 0002 07 00"));
    await settle();
    assert.equal(viewer.payload(0), "a");
    // The other belongs to nobody.
    assert.deepEqual(viewer.sequences, [0]);
    assert.equal(raw.ended, false);
  });

  test("may write in any number of pieces", async () => {
    const { raw, viewer, request } = await asked(18);
    request.answer(hex("04 0002 07 00"));
    const bytes = hex("59 07 05 80 00 03 10 64 3c 01 61 00 00 02 62 63");
    for (let cut = 1; cut < bytes.length; cut++) {
      bytes[2] = cut;
      const stream = raw.uni(bytes.slice(0, cut));
      await settle();
      stream.more(bytes.slice(cut), true);
      await settle();
      assert.equal(viewer.payload(cut), "a,bc", `cut at ${cut}`);
    }
  });

  test("is taken at subgroup 0 from its first object on", async () => {
    const { raw, viewer, request } = await asked(18);
    request.answer(hex("04 0002 07 00"));
    await settle();
    const other = raw.uni(hex("5c 07 01 01 80 00 01 61"));
    const middle = raw.uni(hex("58 07 02 80 04 01 61"));
    const trimmed = raw.uni(hex("18 07 03 80 00 01 61"));
    raw.uni(hex("58 07 04 80 00 01 61 02 01 62 00 00 03"), true);
    await settle();
    for (const { stopped } of [other, middle, trimmed]) assert.equal(stopped, 1);
    assert.equal(viewer.payload(2), "");
    assert.equal(viewer.payload(4), "a,b");
  });

  test("with one alias for two tracks is a violation of its own", async () => {
    const at = await asked(18);
    at.request.answer(hex("04 0002 07 00"));
    view(at.relay, "cam", "w", new FakeViewer());
    await settle();
    at.raw.bidis[1]!.answer(hex("04 0002 07 00"));
    await settle();
    assert.equal(at.raw.end?.code, 5);
  });

  test("ends a track by PUBLISH_DONE, once all its streams are there", async () => {
    const { raw, viewer, request } = await asked(18);
    request.answer(hex("04 0002 07 00"));
    request.answer(hex("0b 0003 02 01 00"), true);
    await settle();
    assert.equal(viewer.ended, undefined);
    raw.uni(hex("58 07 00 80 00 01 61"), true);
    await settle();
    assert.equal(viewer.ended, "complete");
    assert.equal(viewer.payload(0), "a");
  });

  test("is asked no more than it allows, and goes on when it allows more", async () => {
    const at = await scene(16);
    const control = at.raw.bidi(encodeClientSetup({ maxRequestId: 2 }, draftOf(16)));
    await settle();
    control.more(hex("06 0007 00 01 0363616d 00"));
    await settle();
    view(at.relay, "cam", "v", new FakeViewer());
    await settle();
    control.bytes = Buffer.alloc(0);
    view(at.relay, "cam", "w", new FakeViewer());
    await settle();
    same(fresh(control), "1a 0001 02");
    control.more(hex("15 0001 0a"));
    await settle();
    assert.equal(fresh(control).slice(0, 2), "03");
  });
});

describe("whatever bytes come", () => {
  test("on any stream of any draft, the relay lives", async () => {
    const versions = fc.constantFrom<IetfDraft>(14, 15, 16, 17, 18, 19, 20);
    await fc.assert(
      fc.asyncProperty(
        versions,
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 4 }),
        async (version, all) => {
          const at = await begun(version);
          publishing(at, [0, "a"]);
          for (const bytes of all) {
            at.raw.uni(bytes);
            at.raw.bidi(bytes);
            at.control?.more(bytes);
          }
          await settle();
          assert.equal(at.relay.origin.find("cam")?.path, "cam");
        },
      ),
      { numRuns: 100 },
    );
  });

  test("a real session cut at each byte gives the same answers", async () => {
    const bytes = hex(subscribe18("00", "02 10 01 10 05"));
    for (let cut = 1; cut < bytes.length; cut++) {
      const at = await begun(18);
      publishing(at, [0, "a"]);
      const request = at.raw.bidi(bytes.subarray(0, cut));
      await settle();
      request.more(bytes.subarray(cut));
      await settle();
      assert.equal(toHex(request.bytes).slice(0, 8), "04000700", `cut at ${cut}`);
    }
  });
});
