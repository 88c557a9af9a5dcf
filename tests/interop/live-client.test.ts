import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { generate, sign } from "@moq/token";
import { connectLive, createSecret, isPosternError, type LiveOptions } from "#clients/client/src/live.ts";
import { startPostern } from "#tests/support/postern.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import { netClient, type WrittenTrack } from "./live/clients.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** A WebSocket that offers just the one subprotocol. */
const offering = (subprotocol: string) =>
  class extends WebSocket {
    constructor(url: string) {
      super(url, [subprotocol]);
    }
  } as NonNullable<LiveOptions["WebSocket"]>;

describe("the live client with @moq/net through the relay", { timeout: 60_000 }, () => {
  for (const [subprotocol, version] of [
    ["qmux-02.moq-lite-05", 5],
    ["qmux-01.moq-lite-04", 4],
    ["qmux-00.moq-lite-03", 3],
    ["qmux-01.moql", 2],
    ["webtransport", 2],
  ] as const) {
    test(`both ways, with ours on ${subprotocol}`, async () => {
      await using postern = await startPostern(["--auth-public", ""]);
      const ours = await connectLive(postern.url, { WebSocket: offering(subprotocol) });
      const theirs = await netClient()(new URL(postern.url));
      assert.deepEqual(ours.connection, { transport: "websocket", version });
      assert.equal(theirs.version, "moq-lite-05");

      const track = ours.publish("from/us").track("chat");
      const told = theirs.announced("from");
      assert.deepEqual(await told(), { path: "us", active: true });
      track.frame("hello");
      const watched = theirs.subscribe("from/us", "chat");
      assert.equal(await watched.next(), "hello");
      const group = track.group();
      for (const word of ["how", "are", "you"]) group.write(word);
      group.end();
      assert.deepEqual(
        [await watched.next(), await watched.next(), await watched.next()],
        ["how", "are", "you"],
      );
      track.end();
      assert.equal(await watched.next(), undefined);
      ours.publish("from/us again").end();

      let written: WrittenTrack | undefined;
      const publishing = theirs.publish("from/them", (asked) => {
        written = asked;
        asked.group("first", "second");
      });
      const subscription = ours.subscribe("from/them", "chat", { follow: true, ordered: true });
      const seen: string[] = [];
      for await (const part of subscription) {
        for await (const frame of part) {
          seen.push(text(frame.payload));
          assert.equal(frame.timestampMs !== undefined, version >= 5);
        }
        assert.equal(part.state, "complete");
        if (seen.length >= 3) break;
        written!.group("third");
      }
      assert.deepEqual(seen.slice(0, 3), ["first", "second", "third"]);
      publishing.end();
      ours.close();
      theirs.close();
    });
  }

  test("a token that does not let us in, and one that does", async () => {
    using folder = temporaryFolder();
    const key = await generate("ES256", "test");
    const file = folder.file("key.jwk");
    writeFileSync(file, JSON.stringify(key));
    await using postern = await startPostern(["--auth-key", file]);
    const token = await sign(key, { root: "room", put: "alice", get: "" });
    const room = new URL("/room", postern.url);
    for (const given of [{}, { token: `${token}x` }]) {
      await assert.rejects(connectLive(room, given), (error) => {
        assert.ok(isPosternError(error, "relay_refused"));
        assert.equal(error.details.status, 401);
        return true;
      });
    }
    const session = await connectLive(room, { token });
    session.publish("mallory");
    session.publish("alice").track("chat").frame("hello");
    const viewer = await connectLive(room, { token });
    for await (const { path } of viewer.announced()) {
      assert.equal(path, "alice");
      break;
    }
    session.close();
    viewer.close();
  });

  test("a relay without live says so", async () => {
    await using postern = await startPostern();
    await assert.rejects(connectLive(postern.url), (error) => {
      assert.ok(isPosternError(error, "relay_refused"));
      assert.equal(error.details.status, 404);
      return true;
    });
  });

  test("moves on when its relay stops, and is back when it is", async () => {
    const first = await startPostern(["--auth-public", "", "--live-drain", "200ms"]);
    const port = new URL(first.url).port;
    const events: string[] = [];
    const options: LiveOptions = { reconnect: true, limits: { firstPauseMs: 50, longestPauseMs: 200 } };
    const publisher = await connectLive(first.url, {
      ...options,
      onGoaway: () => void events.push("goaway"),
      onConnect: () => void events.push("connected"),
    });
    const viewer = await connectLive(first.url, options);
    const secret = createSecret();
    const track = publisher.publish("cam", { secret }).track("chat");
    const groups = viewer.subscribe("cam", "chat", { secret, follow: true })[Symbol.asyncIterator]();
    const next = async () => {
      const { value } = await groups.next();
      for await (const frame of value!) return text(frame.payload);
      return undefined;
    };
    const reading = next();
    await track.whenWanted();
    track.frame("before");
    assert.equal(await reading, "before");
    first.process.kill("SIGTERM");
    assert.equal(await first.exited, 0);
    await using _second = await startPostern(["--auth-public", "", "--port", port]);
    const readingOn = next();
    await track.whenWanted();
    track.frame("after");
    assert.equal(await readingOn, "after");
    assert.deepEqual(events, ["connected", "goaway", "connected"]);
    publisher.close();
    viewer.close();
  });

  test("a relay that is killed in the middle of a group loses that group alone", async () => {
    const first = await startPostern(["--auth-public", ""]);
    const port = new URL(first.url).port;
    const options: LiveOptions = { reconnect: true, limits: { firstPauseMs: 50, longestPauseMs: 200 } };
    const [publisher, viewer] = [
      await connectLive(first.url, options),
      await connectLive(first.url, options),
    ];
    const track = publisher.publish("cam").track("chat");
    const groups = viewer.subscribe("cam", "chat", { follow: true })[Symbol.asyncIterator]();
    const reading = groups.next();
    await track.whenWanted();
    track.group().write("half");
    const { value: broken } = await reading;
    const frames = broken![Symbol.asyncIterator]();
    assert.equal(text((await frames.next()).value!.payload), "half");
    first.process.kill("SIGKILL");
    assert.equal((await frames.next()).done, true);
    assert.equal(broken!.state, "lost");
    await first.exited;
    await using _second = await startPostern(["--auth-public", "", "--port", port]);
    track.frame("whole");
    for (;;) {
      const { value: group } = await groups.next();
      const found: string[] = [];
      for await (const frame of group!) found.push(text(frame.payload));
      if (group!.sequence === track.latest!.sequence) {
        assert.deepEqual(found, ["whole"]);
        break;
      }
    }
    publisher.close();
    viewer.close();
  });
});
