import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hex } from "#tests/support/hex.ts";
import {
  clientOf,
  FakePublisher,
  FakeViewer,
  muxPair,
  openGrant,
  relayOn,
  view,
} from "#tests/support/live-pair.ts";
import { RawSession } from "#tests/support/raw-session.ts";
import { settle, simClock } from "#tests/support/sim-clock.ts";
import type { LiveLimits } from "./limits.ts";

const cam = "0363616d";
/** ANNOUNCE_OK of a remote with the id 9, nothing announced yet. */
const answer = "02 09 00";

async function scene(limits: Partial<LiveLimits> = {}) {
  const clock = simClock();
  const relay = relayOn(clock, limits);
  const open = async (grant = openGrant()) => {
    const pair = muxPair(clock, "qmux-02", 6);
    const raw = new RawSession(pair.client);
    relay.accept(pair.server, grant);
    await settle();
    return raw;
  };
  return { clock, relay, open, raw: await open() };
}

const routeOf = ({ relay }: Awaited<ReturnType<typeof scene>>) => {
  const route = relay.origin.find("cam")?.current;
  return route && { hops: route.hops, cost: route.cost };
};

describe("a session of 06", () => {
  test("says in its setup who it is, and does not say so when it asks for announcements", async () => {
    const { raw, relay } = await scene();
    const id = (relay.originId | (3n << 62n)).toString(16);
    assert.equal(raw.unis[0]?.hex, `01 0e 02 010101 0508${id}`.replaceAll(" ", ""));
    assert.equal(raw.bidis[0]?.hex, "010100");
  });

  test("says what the link costs where that is configured", async () => {
    const { open } = await scene();
    const raw = await open({ ...openGrant(), linkCost: 5 });
    assert.match(raw.unis[0]!.hex, /^01 ?1103010101040105/);
  });

  test("gives what it announces numbers, changes it in place, and ends it by number", async () => {
    const { raw, relay } = await scene();
    const [a, b] = [new FakePublisher(), new FakePublisher()];
    relay.origin.announce("a", a, [7n]);
    const watch = raw.bidi(hex("01 01 00"));
    await settle();
    assert.match(watch.hex, /^09c0[0-9a-f]{14}01/);
    assert.ok(watch.hex.endsWith("0005" + "0161" + "0107" + "01"));
    const since = async (act: () => void) => {
      const before = watch.hex.length;
      act();
      await settle();
      return watch.hex.slice(before);
    };
    assert.equal(await since(() => relay.origin.announce("b", b, [], 3, 0)), "0004" + "0162" + "00" + "03");
    assert.equal(await since(() => relay.origin.announce("b", b, [], 2, 0)), "0203" + "01" + "00" + "02");
    assert.equal(await since(() => relay.origin.announce("a", a, [7n, 8n])), "0205" + "00" + "020708" + "02");
    assert.equal(await since(() => relay.origin.announce("a", a, [7n, 8n])), "");
    assert.equal(await since(() => relay.origin.unannounce("a", a, false)), "0101" + "00");
    assert.equal(await since(() => relay.origin.announce("a", a, [7n])), "0005" + "0161" + "0107" + "01");
    assert.equal(await since(() => relay.origin.unannounce("a", a, false)), "0101" + "02");
  });

  test("does not tell a remote of what came through it", async () => {
    const { raw, relay } = await scene();
    raw.uni(hex("01 04 01 050109"), true);
    relay.origin.announce("cam", new FakePublisher(), [7n, 9n]);
    const watch = raw.bidi(hex("01 01 00"));
    await settle();
    assert.match(watch.hex, /^09c0[0-9a-f]{14}00$/);
  });

  test("takes announcements by number, whatever pieces they come in", async () => {
    const on = await scene();
    const { raw, relay } = on;
    const stream = raw.bidis[0]!;
    for (const byte of hex(`${answer} 00 07 ${cam} 01 07 04`)) {
      stream.answer(Uint8Array.of(byte));
      await settle();
    }
    assert.deepEqual(routeOf(on), { hops: [7n, 9n], cost: 5 });
    stream.answer(hex("02 05 00 02 07 08 00"));
    await settle();
    assert.deepEqual(routeOf(on), { hops: [7n, 8n, 9n], cost: 1 });
    stream.answer(hex("01 01 00"));
    await settle();
    assert.equal(relay.origin.find("cam"), undefined);
    stream.answer(hex(`00 06 ${cam} 00 00`));
    await settle();
    assert.deepEqual(routeOf(on), { hops: [9n], cost: 1 });
    stream.answer(hex("01 01 01"), true);
    await settle();
    assert.equal(relay.origin.find("cam"), undefined);
    assert.equal(raw.ended, false);
  });

  test("a broadcast that came through us is left out, and taken once it comes another way", async () => {
    const on = await scene();
    const { raw, relay } = on;
    const own = (relay.originId | (3n << 62n)).toString(16);
    raw.bidis[0]!.answer(hex(`${answer} 00 0e ${cam} 01 ${own} 00`));
    await settle();
    assert.equal(relay.origin.find("cam"), undefined);
    raw.bidis[0]!.answer(hex("02 03 00 00 00"));
    await settle();
    assert.deepEqual(routeOf(on), { hops: [9n], cost: 1 });
  });

  test("the remote's price counts where none is configured here", async () => {
    const on = await scene();
    on.raw.uni(hex("01 04 01 040105"), true);
    on.raw.bidis[0]!.answer(hex(`${answer} 00 06 ${cam} 00 02`));
    await settle();
    assert.equal(routeOf(on)?.cost, 7);
    // A way that costs less, however long.
    const priced = await on.open({ ...openGrant(), linkCost: 1 });
    priced.uni(hex("01 04 01 040109"), true);
    priced.bidis[0]!.answer(hex(`${answer} 00 08 ${cam} 02 07 08 03`));
    await settle();
    assert.deepEqual(routeOf(on), { hops: [7n, 8n, 9n], cost: 4 });
  });

  for (const [what, bytes, code] of [
    ["an end of what was never announced", "01 01 00", 15],
    ["a change of what has ended", `00 06 ${cam} 00 00 01 01 00 02 03 00 00 00`, 15],
    ["a second start of one broadcast", `00 06 ${cam} 00 00 00 06 ${cam} 00 00`, 12],
    ["an unknown kind", "03 01 00", 5],
    ["more than 32 hops", `00 27 ${cam} 21 ${"01".repeat(33)} 00`, 5],
  ] as const) {
    test(`${what} ends it with ${code}`, async () => {
      const { raw, relay } = await scene();
      raw.bidis[0]!.answer(hex(`${answer} ${bytes}`));
      await settle();
      assert.equal(raw.end?.code, code);
      assert.equal(relay.origin.find("cam"), undefined);
    });
  }

  test("more broadcasts than a remote may announce end it, those among them that it may not publish", async () => {
    const { open } = await scene({ announcementsMax: 2 });
    const raw = await open({ ...openGrant(), put: ["mine"] });
    const start = (letter: number) => `00 04 016${letter} 00 00`;
    raw.bidis[0]!.answer(hex(`${answer} ${start(1)} ${start(2)}`));
    await settle();
    assert.equal(raw.ended, false);
    raw.bidis[0]!.answer(hex(start(3)));
    await settle();
    assert.equal(raw.end?.code, 11);
  });
});

test("relays of 06 and 05 in a row: what a way costs adds up, and hops stand for a price nobody tells", async () => {
  const clock = simClock();
  const relays = Array.from({ length: 4 }, () => relayOn(clock));
  const link = (from: number, to: number, version: 5 | 6, linkCost: number) => {
    const pair = muxPair(clock, "qmux-02", version);
    relays[from]!.accept(pair.client, { ...openGrant(), cluster: true, linkCost });
    relays[to]!.accept(pair.server, { ...openGrant(), cluster: true });
  };
  link(0, 1, 6, 5);
  link(1, 2, 6, 2);
  link(2, 3, 5, 1);
  await settle();
  const publisher = new FakePublisher();
  relays[0]!.origin.announce("cam", publisher, []);
  await settle();
  const costs = relays.map(({ origin }) => origin.find("cam")?.current.cost);
  assert.deepEqual(costs, [0, 5, 7, 3]);
  const leaf = clientOf(relays[3]!, clock, { version: 6 });
  await settle();
  assert.equal(leaf.local.origin.find("cam")?.current.cost, 4);
  const viewer = new FakeViewer();
  view(leaf.local, "cam", "v", viewer);
  await settle();
  publisher.asked[0]!.group(3, "x", "y");
  await settle();
  assert.equal(viewer.payload(3), "x,y");
});
