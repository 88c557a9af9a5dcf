import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { simClock, simEntropy } from "../../../tests/support/sim-clock.ts";
import { deliver, SimLiveRelay } from "../../../tests/support/sim-live-relay.ts";
import { liveError } from "../../../wire/live/error-code.ts";
import type { OwnSubscription } from "../src/live/subscription.ts";
import {
  connectLive,
  createSecret,
  isPosternError,
  type LiveGroup,
  type LiveOptions,
  type LiveTrouble,
  type SubscribeOptions,
  type Subscription,
} from "../src/live.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function world() {
  const clock = simClock();
  const relay = new SimLiveRelay(clock);
  // Not those of the relays, whose names in a path would then be ours.
  let seed = 1_000;
  const connect = (options: LiveOptions = {}) =>
    connectLive("http://relay.example/room", {
      clock,
      entropy: simEntropy(seed++),
      WebSocket: relay.WebSocket,
      fetch: async () => new Response("", { status: relay.isDown ? 502 : 200 }),
      ...options,
    });
  return { clock, relay, connect };
}

/** Each frame of the next `count` groups, joined by commas, and how each group ended. */
async function read(groups: AsyncIterator<LiveGroup>, count: number): Promise<string[]> {
  const found: string[] = [];
  while (found.length < count) {
    const { value, done } = await groups.next();
    if (done) return [...found, "end"];
    const frames: string[] = [];
    for await (const frame of value) frames.push(text(frame.payload));
    found.push(value.state === "complete" ? frames.join() : `${frames.join()} ${value.state}`);
  }
  return found;
}

/** What `promise` settles to once all that is under way has arrived. */
async function soon<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  await deliver();
  const late = Symbol("late");
  const first = await Promise.race([promise, Promise.resolve(late)]);
  if (first === late) assert.fail("nothing came");
  return promise;
}

const rejectsWith = (code: string, details: object) => (error: unknown) => {
  assert.ok(isPosternError(error));
  assert.deepEqual({ code: error.code, ...error.details }, { code, ...details });
  return true;
};

describe("a live session", () => {
  for (const [subprotocol, version] of [
    ["qmux-02.moq-lite-05", 5],
    ["qmux-01.moq-lite-04", 4],
    ["qmux-00.moq-lite-03", 3],
    ["qmux-01", 2],
    ["webtransport", 2],
  ] as const) {
    test(`publishes and subscribes over ${subprotocol}`, async () => {
      const { clock, relay, connect } = world();
      relay.subprotocol = subprotocol;
      const [publisher, viewer] = [await soon(connect()), await soon(connect())];
      assert.deepEqual(viewer.connection, { transport: "websocket", version });
      const track = publisher.publish("cam").track("video");
      const announced = viewer.announced()[Symbol.asyncIterator]();
      assert.deepEqual((await soon(announced.next())).value, { path: "cam", active: true });
      const groups = viewer.subscribe("cam", "video", { ordered: true })[Symbol.asyncIterator]();
      const first = groups.next();
      await soon(track.whenWanted());
      const group = track.group();
      group.write("one", 1_000);
      group.write("two", 1_033);
      const { value } = await soon(first);
      const frames = value![Symbol.asyncIterator]();
      const frame = (await soon(frames.next())).value!;
      assert.equal(text(frame.payload), "one");
      assert.equal(frame.timestampMs, version >= 5 ? 1_000 : undefined);
      assert.equal((await soon(frames.next())).value!.index, 1);
      track.frame("three");
      assert.deepEqual(await soon(read(groups, 1)), ["three"]);
      track.end();
      // Streams overtake each other: before 05, the end of a track is waited for.
      await deliver();
      if (version < 5) await clock.advance(1_500);
      assert.equal((await soon(groups.next())).done, true);
      publisher.close();
      assert.deepEqual((await soon(announced.next())).value, { path: "cam", active: false });
      viewer.close();
      assert.deepEqual(await soon(viewer.closed), { code: 0, reason: "" });
    });
  }

  test("sends its token in the address, and offers every version", async () => {
    const { relay, connect } = world();
    await soon(connect({ token: "a.b.c" }));
    const [socket] = relay.sockets;
    assert.equal(socket!.url, "ws://relay.example/room?jwt=a.b.c");
    assert.equal(socket!.offered[0], "qmux-02.moq-lite-05");
    assert.equal(socket!.offered.at(-1), "webtransport");
  });

  test("leaves no timer behind", async () => {
    const { clock, connect } = world();
    const session = await soon(connect({ reconnect: true }));
    session.subscribe("cam", "video", { follow: true });
    session.announced();
    await deliver();
    session.close();
    await deliver();
    assert.equal(clock.armed, 0);
  });

  test("refuses addresses and options that make no sense", async () => {
    const { connect } = world();
    await assert.rejects(
      connectLive("ftp://relay.example"),
      rejectsWith("option_invalid", { option: "url" }),
    );
    await assert.rejects(
      connectLive("http://me:secret@relay.example"),
      rejectsWith("option_invalid", { option: "url" }),
    );
    await assert.rejects(
      connect({ transport: "webtransport" }),
      rejectsWith("option_invalid", { option: "transport" }),
    );
    await assert.rejects(
      connect({ certificateHashes: ["x"] }),
      rejectsWith("option_invalid", { option: "certificateHashes" }),
    );
    const session = await soon(connect());
    const broadcast = session.publish("/cam/");
    assert.throws(() => session.publish("cam"), rejectsWith("option_invalid", { option: "path" }));
    broadcast.track("video");
    assert.throws(() => broadcast.track("video"), rejectsWith("option_invalid", { option: "track" }));
    session.close();
    assert.throws(() => session.publish("other"), rejectsWith("session_ended", {}));
  });

  test("tells why it could not connect, as far as the relay says", async () => {
    const { clock, relay, connect } = world();
    relay.isDown = true;
    const answers = (status: number) => ({ fetch: async () => new Response("", { status }) });
    await assert.rejects(soon(connect(answers(401))), rejectsWith("relay_refused", { status: 401 }));
    await assert.rejects(soon(connect(answers(404))), rejectsWith("relay_refused", { status: 404 }));
    await assert.rejects(soon(connect(answers(502))), rejectsWith("relay_unreachable", { status: 502 }));
    const silent = { fetch: () => Promise.reject(new Error("no network")) };
    await assert.rejects(soon(connect(silent)), rejectsWith("relay_unreachable", {}));
    assert.equal(clock.armed, 0);
  });

  test("an abort ends the attempt, and the session", async () => {
    const { relay, connect } = world();
    const stop = new AbortController();
    const session = await soon(connect({ signal: stop.signal }));
    stop.abort();
    await soon(session.closed);
    await assert.rejects(soon(connect({ signal: stop.signal })), rejectsWith("aborted", {}));
    assert.equal(relay.sockets.length, 1);
  });

  test("is told when the relay closes it, and so are its readers", async () => {
    const { relay, connect } = world();
    const session = await soon(connect({ reconnect: true }));
    const next = session.subscribe("cam", "video", { follow: true })[Symbol.asyncIterator]().next();
    next.catch(() => {});
    await deliver();
    relay.relay.close(liveError.unauthorized, "the token has expired");
    assert.deepEqual(await soon(session.closed), { code: 6, reason: "the token has expired" });
    await assert.rejects(next, rejectsWith("session_ended", { closeCode: 6 }));
  });

  test("ends when the relay breaks the protocol", async () => {
    const { relay, connect } = world();
    const session = await soon(connect());
    relay.sockets[0]!.receive("text");
    assert.equal((await soon(session.closed)).code, liveError.protocolViolation);
  });

  test("counts a relay that answers no ping as gone", async () => {
    const { clock, relay, connect } = world();
    const session = await soon(connect());
    relay.sockets[0]!.freeze();
    await clock.advance(30_000);
    const over = session.closed.then(() => true);
    assert.equal(await Promise.race([over, deliver()]), undefined);
    await clock.advance(10_000);
    assert.equal(await soon(over), true);
  });
});

describe("a subscription", () => {
  async function subscribed(options: SubscribeOptions = {}, limits: LiveOptions["limits"] = {}) {
    const w = world();
    const [publisher, viewer] = [await soon(w.connect()), await soon(w.connect({ limits }))];
    const track = publisher.publish("cam").track("video");
    await deliver();
    const subscription = viewer.subscribe("cam", "video", options);
    await soon(track.whenWanted());
    return { ...w, publisher, viewer, track, subscription };
  }

  test("to a track that nobody publishes says so", async () => {
    const { connect } = world();
    const session = await soon(connect());
    const groups = session.subscribe("cam", "video")[Symbol.asyncIterator]();
    await assert.rejects(soon(groups.next()), rejectsWith("track_unavailable", { streamCode: 13 }));
    assert.equal((await groups.next()).done, true);
  });

  test("that follows waits for its broadcast, and again when it comes back", async () => {
    const { clock, connect } = world();
    const viewer = await soon(connect());
    const groups = viewer.subscribe("cam", "video", { follow: true })[Symbol.asyncIterator]();
    const first = read(groups, 1);
    await deliver();
    const publisher = await soon(connect());
    publisher.publish("cam").track("video").frame("here");
    assert.deepEqual(await soon(first), ["here"]);
    const second = read(groups, 1);
    publisher.close();
    await clock.advance(10_000);
    (await soon(connect())).publish("cam").track("video").frame("back");
    await clock.advance(10_000);
    assert.deepEqual(await soon(second), ["back"]);
  });

  test("read too slowly skips to the newest groups, and counts what it missed", async () => {
    const { clock, track, subscription } = await subscribed({ latencyMaxMs: 500 });
    const groups = subscription[Symbol.asyncIterator]();
    for (let group = 0; group < 10; group++) {
      track.frame(`group ${group}`);
      await clock.advance(200);
    }
    const { value } = await groups.next();
    assert.equal(subscription.skippedGroups, value!.sequence - track.latest!.sequence + 9);
    assert.ok(subscription.skippedGroups >= 6, String(subscription.skippedGroups));
    assert.ok(subscription.waitingGroups <= 2);
  });

  test("in order waits for a group that another overtook, but not for long", async () => {
    const { clock, subscription } = await subscribed({ ordered: true });
    const arrive = (sequence: number) => {
      const group = (subscription as OwnSubscription).onGroup(sequence);
      group?.onFrame(new TextEncoder().encode(String(sequence)), 0);
      group?.onGroupEnd("complete");
    };
    const groups = subscription[Symbol.asyncIterator]();
    arrive(1);
    assert.deepEqual(await soon(read(groups, 1)), ["1"]);
    const two = read(groups, 2);
    arrive(3);
    await deliver();
    arrive(2);
    assert.deepEqual(await soon(two), ["2", "3"]);
    assert.equal(subscription.skippedGroups, 0);
    const late = read(groups, 1);
    arrive(5);
    await clock.advance(200);
    assert.deepEqual(await soon(late), ["5"]);
    arrive(4);
    assert.equal(subscription.waitingGroups, 0);
    assert.equal(subscription.skippedGroups, 1);
  });

  test("leaves a group in the middle when it is read too slowly", async () => {
    const { clock, track, subscription } = await subscribed({ latencyMaxMs: 500 });
    const groups = subscription[Symbol.asyncIterator]();
    const next = groups.next();
    const group = track.group();
    for (const frame of ["one", "two", "three"]) group.write(frame);
    const { value: old } = await soon(next);
    const frames = old![Symbol.asyncIterator]();
    assert.equal(text((await soon(frames.next())).value!.payload), "one");
    track.frame("newer");
    await clock.advance(600);
    assert.equal((await soon(frames.next())).done, true);
    assert.equal(old!.state, "skipped");
    assert.equal(subscription.skippedGroups, 1);
    assert.deepEqual(await soon(read(groups, 1)), ["newer"]);
  });

  test("holds no more than its bounds", async () => {
    const { track, subscription } = await subscribed(
      { latencyMaxMs: Number.POSITIVE_INFINITY },
      { bufferMaxGroups: 3, bufferMaxBytes: 1_000 },
    );
    for (let group = 0; group < 10; group++) {
      track.frame(new Uint8Array(400));
      await deliver();
    }
    assert.equal(subscription.waitingGroups, 2);
    assert.equal(subscription.skippedGroups, 8);
    const group = track.group();
    for (let frame = 0; frame < 10; frame++) group.write(new Uint8Array(400));
    group.end();
    await deliver();
    assert.ok(subscription.waitingGroups <= 1);
  });

  test("sees a group that its publisher gives up as lost, and goes on", async () => {
    const { track, subscription } = await subscribed();
    const groups = subscription[Symbol.asyncIterator]();
    const group = track.group();
    group.write("half");
    await deliver();
    group.abort(70);
    track.frame("next");
    assert.deepEqual(await soon(read(groups, 2)), ["half lost", "next"]);
  });

  test("sees a group that the relay cut short for a newer one as skipped", async () => {
    const { subscription } = await subscribed();
    const groups = subscription[Symbol.asyncIterator]();
    const group = (subscription as OwnSubscription).onGroup(1)!;
    group.onFrame(new TextEncoder().encode("half"), 0);
    group.onGroupEnd("skipped");
    assert.deepEqual(await soon(read(groups, 1)), ["half skipped"]);
    assert.equal(subscription.skippedGroups, 1);
  });

  test("keeps what has arrived when its track ends", async () => {
    const { track, subscription } = await subscribed({ ordered: true });
    for (const name of ["a", "b", "c"]) track.frame(name);
    track.end();
    await deliver();
    assert.deepEqual(await soon(read(subscription[Symbol.asyncIterator](), 4)), ["a", "b", "c", "end"]);
  });

  test("ends with its loop, at the publisher too", async () => {
    const { clock, track, subscription } = await subscribed();
    track.frame("one");
    for await (const _group of subscription) break;
    await clock.advance(60_000);
    await deliver();
    assert.equal(track.wanted, false);
  });

  test("ends with its signal", async () => {
    const { viewer } = await subscribed();
    const stop = new AbortController();
    const next = viewer.subscribe("cam", "video", { signal: stop.signal })[Symbol.asyncIterator]().next();
    stop.abort();
    assert.equal((await soon(next)).done, true);
  });
});

describe("what is published", () => {
  test("to a slow relay drops its oldest groups, and says how many", async () => {
    const { clock, relay, connect } = world();
    const publisher = await soon(connect({ limits: { backlogMaxBytes: 400_000 } }));
    const viewer = await soon(connect());
    const track = publisher.publish("cam").track("video");
    await deliver();
    const groups = viewer.subscribe("cam", "video")[Symbol.asyncIterator]();
    await soon(track.whenWanted());
    relay.sockets[0]!.isStalled = true;
    for (let group = 0; group < 20; group++) {
      track.frame(new Uint8Array(100_000).fill(group));
      await deliver();
    }
    assert.ok(track.droppedGroups >= 10, String(track.droppedGroups));
    assert.ok(track.backlogBytes <= 400_000, String(track.backlogBytes));
    relay.sockets[0]!.flow();
    await clock.advance(10);
    const { value } = await soon(groups.next());
    assert.ok(value);
    let newest = 0;
    for (;;) {
      const next = groups.next();
      await clock.advance(20);
      const settled = await Promise.race([next, Promise.resolve(undefined)]);
      if (settled === undefined) break;
      newest = Math.max(newest, settled.value!.sequence);
    }
    assert.equal(newest, track.latest!.sequence);
  });

  test("a group that grows too large is given up", async () => {
    const { connect } = world();
    const publisher = await soon(connect({ limits: { groupMaxBytes: 1_000 } }));
    const group = publisher.publish("cam").track("video").group();
    assert.equal(group.write(new Uint8Array(900)), true);
    assert.equal(group.write(new Uint8Array(200)), false);
    assert.equal(group.write("x"), false);
  });

  test("waits for who wants it until it ends", async () => {
    const { connect } = world();
    const publisher = await soon(connect());
    const track = publisher.publish("cam").track("video");
    const waiting = track.whenWanted();
    const stop = new AbortController();
    const aborted = track.whenWanted(stop.signal);
    stop.abort();
    await assert.rejects(aborted, rejectsWith("aborted", {}));
    publisher.close();
    await assert.rejects(waiting, rejectsWith("session_ended", {}));
    assert.throws(() => track.group(), rejectsWith("session_ended", {}));
  });
});

describe("sealed frames", () => {
  test("pass a relay that sees none of them", async () => {
    const { relay, connect } = world();
    const secret = createSecret();
    const [publisher, viewer] = [await soon(connect()), await soon(connect())];
    const track = publisher.publish("cam", { secret }).track("video");
    await deliver();
    const groups = viewer.subscribe("cam", "video", { secret })[Symbol.asyncIterator]();
    const first = read(groups, 1);
    await soon(track.whenWanted());
    track.frame("for your eyes only");
    assert.deepEqual(await soon(first), ["for your eyes only"]);
    const held = relay.relay.origin.find("cam")!.tracks.get("video")!.latest!;
    const bytes = Buffer.concat(held.body("B").chunks);
    assert.ok(bytes.length > 18 + 41);
    assert.ok(!bytes.includes("eyes"));
  });

  test("are unreadable with another secret", async () => {
    const { connect } = world();
    const [publisher, viewer] = [await soon(connect()), await soon(connect())];
    const track = publisher.publish("cam", { secret: createSecret() }).track("video");
    await deliver();
    const groups = viewer.subscribe("cam", "video", { secret: createSecret() })[Symbol.asyncIterator]();
    const first = read(groups, 1);
    await soon(track.whenWanted());
    track.frame("for your eyes only");
    assert.deepEqual(await soon(first), [" unreadable"]);
  });
});

describe("a session that reconnects", () => {
  async function pair() {
    const w = world();
    const troubles: LiveTrouble[] = [];
    const options = { reconnect: true, onTrouble: (trouble: LiveTrouble) => void troubles.push(trouble) };
    const [publisher, viewer] = [await soon(w.connect(options)), await soon(w.connect(options))];
    const track = publisher.publish("cam").track("video");
    await deliver();
    const subscription: Subscription = viewer.subscribe("cam", "video");
    await soon(track.whenWanted());
    return { ...w, publisher, viewer, track, troubles, groups: subscription[Symbol.asyncIterator]() };
  }

  test("loses the group the connection died in, and goes on with the next", async () => {
    const { clock, relay, track, groups, troubles } = await pair();
    const broken = track.group();
    broken.write("half");
    await deliver();
    const reading = read(groups, 2);
    relay.sockets[1]!.cut();
    await deliver();
    assert.equal(troubles.length, 1);
    await clock.advance(5_000);
    broken.write("more");
    track.frame("after");
    const [first, second] = await soon(reading);
    assert.equal(first, "half lost");
    // The relay begins with the latest group from its head: the broken one again, or the one after.
    assert.ok(second === "half,more" || second === "after", String(second));
  });

  test("survives a restart of the relay on both ends", async () => {
    const { clock, relay, track, groups } = await pair();
    track.frame("before");
    assert.deepEqual(await soon(read(groups, 1)), ["before"]);
    relay.restart();
    const reading = read(groups, 1);
    await clock.advance(10_000);
    await soon(track.whenWanted());
    track.frame("after");
    assert.deepEqual(await soon(reading), ["after"]);
    assert.equal(relay.sockets.length, 4);
  });

  test("keeps trying with growing pauses while the relay is away", async () => {
    const { clock, relay, troubles, viewer } = await pair();
    relay.isDown = true;
    relay.sockets[1]!.cut();
    await clock.advance(30_000);
    const pauses = troubles.map(({ pauseMs }) => pauseMs);
    assert.ok(pauses.length > 5);
    assert.ok(pauses.every((ms, at) => ms <= 5_000 && (at < 1 || at > 3 || ms > pauses[at - 1]! / 2)));
    assert.equal(troubles.at(-1)!.status, 502);
    viewer.close();
    await soon(viewer.closed);
  });

  test("stops when the token is not accepted any more", async () => {
    const { clock, relay, connect } = world();
    const session = await soon(
      connect({ reconnect: true, fetch: async () => new Response("", { status: 401 }) }),
    );
    relay.isDown = true;
    relay.sockets[0]!.cut();
    await clock.advance(1_000);
    assert.equal((await soon(session.closed)).code, liveError.unauthorized);
  });

  test("moves before a relay that drains goes away, and loses nothing", async () => {
    const { clock, relay, track, groups, troubles } = await pair();
    track.frame("before");
    assert.deepEqual(await soon(read(groups, 1)), ["before"]);
    const old = relay.relay;
    old.drain("");
    relay.restart = () => {};
    const { relay: fresh } = new SimLiveRelay(clock);
    relay.relay = fresh;
    const reading = read(groups, 1);
    await clock.advance(2_000);
    await soon(track.whenWanted());
    track.frame("after");
    assert.deepEqual(await soon(reading), ["after"]);
    assert.equal(old.sessionCount, 0);
    assert.equal(troubles.length, 2);
  });

  test("is told of a drain where it does not move by itself", async () => {
    const { relay, connect } = world();
    const asked: string[] = [];
    const session = await soon(connect({ onGoaway: (uri) => void asked.push(uri) }));
    relay.relay.drain("https://other.example/");
    await deliver();
    assert.deepEqual(asked, ["https://other.example/"]);
    session.close();
  });
});

test("a relay that talks nonsense ends the session at worst, and what was read stays as it was written", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ message: fc.nat(60), byte: fc.nat(300), bit: fc.nat(7) }), {
        minLength: 1,
        maxLength: 12,
      }),
      async (changes) => {
        const { clock, relay, connect } = world();
        const secret = createSecret();
        const [publisher, viewer] = [await soon(connect()), await soon(connect())];
        const track = publisher.publish("cam", { secret }).track("video");
        let messages = 0;
        relay.tamper = (message) => {
          for (const { message: at, byte, bit } of changes) {
            if (at === messages && message.length > 0) message[byte % message.length]! ^= 1 << bit;
          }
          messages++;
          return message;
        };
        const seen: string[] = [];
        const reading = (async () => {
          for await (const group of viewer.subscribe("cam", "video", { secret, follow: true })) {
            for await (const frame of group) seen.push(text(frame.payload));
          }
        })().then(
          () => undefined,
          (error: unknown) => error,
        );
        for (let group = 0; group < 10; group++) {
          await deliver();
          try {
            track.frame(`frame ${group}`);
          } catch (error) {
            assert.ok(isPosternError(error, "session_ended"));
          }
        }
        await clock.advance(15_000);
        publisher.close();
        viewer.close();
        const error = await reading;
        assert.ok(error === undefined || isPosternError(error), String(error));
        for (const frame of seen) assert.match(frame, /^frame \d$/);
        await deliver();
      },
    ),
    { numRuns: 60 },
  );
});
