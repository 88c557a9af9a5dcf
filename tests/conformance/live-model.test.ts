/**
 * Publishers, viewers and watchers at random, in every version at once, against a simple model of what each must see:
 * the announcements equal what is live, and each subscription gets every group of its publisher from the latest on, once,
 * with its own payload; behind a pipe that stood still for a while, some may be missing, but never the newest.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { muxPair, openGrant, relayOn } from "#tests/support/live-pair.ts";
import { LivePeer, type SeenSubscription, type SeenWatch } from "#tests/support/live-peer.ts";
import { settle, simClock } from "#tests/support/sim-clock.ts";
import type { Framing, LiteVersion } from "#wire/live/version.ts";

const paths = ["a", "a/b", "ab", "c"];
const prefixes = ["", "a", "ab", "a/b"];
const framings: Framing[] = ["qmux-02", "qmux-01", "qmux-00", "webtransport"];

const below = (prefix: string, path: string): boolean =>
  prefix === "" || path === prefix || path.startsWith(`${prefix}/`);

/** What the model knows of one peer. */
class Actor {
  readonly peer: LivePeer;
  readonly pair: ReturnType<typeof muxPair>;
  readonly watches: { prefix: string; seen: SeenWatch }[] = [];
  gone = false;
  stalled = false;

  constructor(peer: LivePeer, pair: ReturnType<typeof muxPair>) {
    this.peer = peer;
    this.pair = pair;
  }
}

interface Viewing {
  by: Actor;
  path: string;
  publisher: Actor;
  seen: SeenSubscription;
  /** The first group it may get. */
  from: number;
  /** It stood still once: groups may be missing. */
  skips: boolean;
  over: boolean;
}

class World {
  readonly clock = simClock();
  readonly relay = relayOn(this.clock, { backlogMaxBytes: 2_000 });
  readonly actors: Actor[] = [];
  readonly viewings: Viewing[] = [];
  /** Who publishes a path, the newest last. */
  readonly publishers = new Map<string, Actor[]>();
  /** Who is served of each path, and from which of its groups on: what came before is nobody's any more. */
  readonly served = new Map<string, { publisher: Actor | undefined; from: number }>();
  /** How many groups each publisher has sent of each path. */
  readonly sent = new Map<string, number>();

  async join(framing: Framing, version: LiteVersion): Promise<void> {
    const named = framing === "webtransport" && version > 2 ? 2 : version;
    const pair = muxPair(this.clock, framing, named <= 2 ? undefined : named);
    const peer = new LivePeer(pair.client, named, BigInt(100 + this.actors.length));
    this.relay.accept(pair.server, openGrant());
    await peer.setUp();
    this.actors.push(new Actor(peer, pair));
  }

  currentOf(path: string): Actor | undefined {
    return this.publishers.get(path)?.at(-1);
  }

  publish(actor: Actor, path: string): void {
    const all = this.publishers.get(path) ?? [];
    if (all.includes(actor)) return;
    this.publishers.set(path, [...all, actor]);
    actor.peer.publish(path);
    this.#reroute(path);
  }

  unpublish(actor: Actor, path: string): void {
    const all = this.publishers.get(path) ?? [];
    if (!all.includes(actor)) return;
    this.publishers.set(
      path,
      all.filter((other) => other !== actor),
    );
    actor.peer.unpublish(path);
    this.#reroute(path);
  }

  leave(actor: Actor): void {
    if (actor.stalled) return;
    actor.gone = true;
    for (const viewing of this.viewings) if (viewing.by === actor) viewing.over = true;
    for (const path of paths) {
      const all = this.publishers.get(path) ?? [];
      this.publishers.set(
        path,
        all.filter((other) => other !== actor),
      );
      this.#reroute(path);
    }
    actor.peer.close();
  }

  view(actor: Actor, path: string): void {
    const publisher = this.currentOf(path);
    if (publisher === undefined || publisher === actor) return;
    const seen = actor.peer.subscribe(path, "v", { ordered: true });
    const from = Math.max(this.served.get(path)!.from, (this.sent.get(this.#key(publisher, path)) ?? 0) - 1);
    this.viewings.push({ by: actor, path, publisher, seen, from, skips: actor.stalled, over: false });
  }

  unview(at: number): void {
    const viewing = this.viewings[at % this.viewings.length];
    if (viewing === undefined || viewing.over || viewing.by.stalled) return;
    viewing.over = true;
    viewing.seen.leave();
  }

  /** A group of every track the current publisher of `path` is asked for. */
  group(path: string, bytes: number): void {
    const publisher = this.currentOf(path);
    const asked = publisher?.peer.asked.filter(
      ({ request, stream }) => request.broadcast === path && !stream.over,
    );
    const track = asked?.at(-1);
    // One that hears nothing does not know what it is asked for.
    if (publisher === undefined || track === undefined || publisher.stalled) return;
    const key = this.#key(publisher, path);
    const sequence = this.sent.get(key) ?? 0;
    this.sent.set(key, sequence + 1);
    if (sequence === 0) track.start(0);
    track.group(sequence, `${key} ${sequence}`, "x".repeat(bytes));
  }

  stall(actor: Actor, stalled: boolean): void {
    actor.stalled = stalled;
    actor.pair.toClient.stalled = stalled;
    if (!stalled) actor.pair.server.drained();
    for (const viewing of this.viewings) if (viewing.by === actor) viewing.skips ||= stalled;
  }

  check(): void {
    for (const actor of this.actors) {
      if (actor.gone || actor.stalled) continue;
      assert.equal(actor.peer.session.end, undefined);
      for (const { prefix, seen } of actor.watches) {
        const live = new Set<string>();
        for (const { active, suffix } of seen.events) {
          if (active) live.add(suffix);
          else assert.ok(live.delete(suffix), `the end of ${suffix}, which was not there`);
        }
        const expected = paths
          .filter((path) => below(prefix, path))
          .filter((path) => this.publishers.get(path)?.some((publisher) => publisher !== actor))
          .map((path) => (path === prefix ? "" : prefix === "" ? path : path.slice(prefix.length + 1)));
        assert.deepEqual([...live].toSorted(), expected.toSorted(), `below "${prefix}"`);
      }
    }
    for (const viewing of this.viewings) this.#checkViewing(viewing);
  }

  #checkViewing({ by, path, publisher, seen, from, skips, over }: Viewing): void {
    if (by.gone || by.stalled) return;
    const key = this.#key(publisher, path);
    const whole = seen.groups.filter(({ stream }) => stream.fin);
    const sequences = whole.map(({ header }) => header!.sequence);
    assert.equal(new Set(sequences).size, sequences.length, "a group came twice");
    for (const group of whole) {
      assert.equal(group.payloads[0], `${key} ${group.header!.sequence}`);
      assert.ok(group.header!.sequence >= from, "a group from before");
    }
    if (over) return;
    assert.equal(seen.stream.over, false, "the subscription is over");
    const sent = this.sent.get(key) ?? 0;
    if (sent > from && !skips)
      assert.deepEqual(
        sequences.toSorted((a, b) => a - b),
        range(from, sent),
        "a gap",
      );
    if (sent > from) assert.ok(sequences.includes(sent - 1), "the newest is missing");
  }

  #key(publisher: Actor, path: string): string {
    return `${this.actors.indexOf(publisher)}/${path}`;
  }

  /** Another publisher than before: who watched the one before has lost the track. */
  #reroute(path: string): void {
    const current = this.currentOf(path);
    if (this.served.get(path)?.publisher === current) return;
    const from = current === undefined ? 0 : (this.sent.get(this.#key(current, path)) ?? 0);
    this.served.set(path, { publisher: current, from });
    for (const viewing of this.viewings) {
      if (viewing.path === path) viewing.over = true;
    }
  }
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, at) => from + at);

interface Step {
  run(world: World, actor: Actor): void | Promise<void>;
  toString(): string;
}
const stepOf = <T>(
  name: string,
  what: fc.Arbitrary<T>,
  run: (world: World, actor: Actor, value: T) => void | Promise<void>,
): fc.Arbitrary<Step> =>
  what.map((value) => ({
    run: (world, actor) => run(world, actor, value),
    toString: () => `${name} ${value}`,
  }));
const path = fc.constantFrom(...paths);

const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: stepOf("publish", path, (world, actor, name) => world.publish(actor, name)) },
  { weight: 2, arbitrary: stepOf("unpublish", path, (world, actor, name) => world.unpublish(actor, name)) },
  {
    weight: 2,
    arbitrary: stepOf("watch", fc.constantFrom(...prefixes), (_world, actor, prefix) => {
      if (!actor.stalled) actor.watches.push({ prefix, seen: actor.peer.watch(prefix, actor.peer.origin) });
    }),
  },
  { weight: 5, arbitrary: stepOf("view", path, (world, actor, name) => world.view(actor, name)) },
  { weight: 2, arbitrary: stepOf("unview", fc.nat(20), (world, _actor, at) => world.unview(at)) },
  {
    weight: 12,
    arbitrary: stepOf(
      "groups",
      fc.tuple(path, fc.nat(400), fc.integer({ min: 1, max: 8 })),
      async (world, _actor, [name, bytes, many]) => {
        for (let count = 0; count < many; count++) {
          world.group(name, bytes);
          // Who reads at all is never behind.
          await settle();
        }
      },
    ),
  },
  {
    weight: 2,
    arbitrary: stepOf("stall", fc.boolean(), (world, actor, stalled) => world.stall(actor, stalled)),
  },
  { weight: 1, arbitrary: stepOf("leave", fc.constant("leave"), (world, actor) => world.leave(actor)) },
);

test("everybody sees what is live, and what they asked for", { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom(...framings), fc.constantFrom<LiteVersion>(1, 2, 3, 4, 5)), {
        minLength: 2,
        maxLength: 5,
      }),
      fc.array(fc.tuple(fc.nat(4), steps), { minLength: 30, maxLength: 100, size: "max" }),
      async (peers, script) => {
        const world = new World();
        for (const [framing, version] of peers) await world.join(framing, version);
        await settle();
        for (const [at, step] of script) {
          const actor = world.actors[at % world.actors.length]!;
          if (actor.gone) continue;
          await step.run(world, actor);
          await settle();
          world.check();
        }
        for (const actor of world.actors) if (!actor.gone) world.stall(actor, false);
        await settle();
        world.check();
        for (const actor of world.actors) if (!actor.gone) actor.peer.close();
        await settle();
        await world.clock.advance(60_000);
        assert.equal(world.relay.sessionCount, 0);
        assert.equal(world.relay.origin.broadcastCount, 0);
        assert.equal(world.relay.cache.bytes, 0);
        assert.equal(world.clock.armed, 0);
        assert.equal(world.relay.metrics.subscriptionsOpened, world.relay.metrics.subscriptionsClosed);
      },
    ),
    { numRuns: 150 },
  );
});
