import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { RelayError } from "#core/errors.ts";
import type { ValuesOf } from "#core/options.ts";
import type { RendezvousStore } from "#store/contract/rendezvous-store.ts";
import { openMemoryRendezvousStore } from "#store/memory/rendezvous-store.ts";
import { type SimClock, settle, simClock } from "#tests/support/sim-clock.ts";
import { rendezvousOptions } from "./options.ts";
import { Rendezvous, type RendezvousConfig, type Waiting } from "./rendezvous.ts";

const defaults = Object.fromEntries(
  Object.entries(rendezvousOptions).map(([key, spec]) => [key, spec.default]),
) as ValuesOf<typeof rendezvousOptions>;

interface Scene {
  readonly clock: SimClock;
  readonly relay: Rendezvous;
  readonly config: RendezvousConfig;
}

function scene(config: Partial<RendezvousConfig> = {}, wrap = (store: RendezvousStore) => store): Scene {
  const all = { ...defaults, ...config };
  const clock = simClock();
  return { clock, config: all, relay: new Rendezvous(all, wrap(openMemoryRendezvousStore(all)), clock) };
}

function post(relay: Rendezvous, id: string, text: string, ttlMs = 300_000, source?: string) {
  return relay.store(id, { body: new TextEncoder().encode(text), contentType: undefined, ttlMs, source });
}

const patient = (waitMs = 25_000, more: Partial<Waiting> = {}): Waiting => ({
  waitMs,
  signal: new AbortController().signal,
  source: undefined,
  ...more,
});

const textOf = (entry: { body: Uint8Array | undefined } | undefined) =>
  entry?.body && new TextDecoder().decode(entry.body);

const tooMany = (error: unknown) => error instanceof RelayError && error.code === "too_many_waiters";

describe("receiving", () => {
  test("a waiting receive wakes on the next store, and everybody who waits gets it", async () => {
    const { relay, clock } = scene();
    const waiting = [1, 2, 3].map(() => relay.receive("a", patient()));
    await clock.advance(10_000);
    await post(relay, "a", "m1");
    assert.deepEqual((await Promise.all(waiting)).map(textOf), ["m1", "m1", "m1"]);
    assert.equal(relay.waiters, 0);
    assert.equal(clock.armed, 0);
  });

  test("a wait ends on time, empty-handed, and frees its place", async () => {
    const { relay, clock } = scene({ maxWaitersPerId: 1 });
    const waiting = relay.receive("a", patient(25_000));
    await clock.advance(24_999);
    assert.equal(relay.waiters, 1);
    await clock.advance(1);
    assert.equal(await waiting, undefined);
    assert.equal(relay.waiters, 0);
  });

  test("a client that goes away frees its place at once", async () => {
    const { relay } = scene({ maxWaitersPerId: 1 });
    const client = new AbortController();
    const gone = relay.receive("a", patient(25_000, { signal: client.signal }));
    await settle();
    await assert.rejects(relay.receive("a", patient()), tooMany);
    client.abort();
    assert.equal(await gone, undefined);
    const next = relay.receive("a", patient());
    await post(relay, "a", "m1");
    assert.equal(textOf(await next), "m1");
  });

  test("an acknowledged message is not handed out, and its id is waited on again", async () => {
    const { relay } = scene();
    await post(relay, "a", "old");
    await relay.acknowledge("a");
    const waiting = relay.receive("a", patient());
    await settle();
    assert.equal(relay.waiters, 1);
    await post(relay, "a", "new");
    assert.equal(textOf(await waiting), "new");
  });

  test("an old message that expires does not end the wait for the next", async () => {
    const { relay, clock } = scene();
    await post(relay, "a", "old", 500);
    await clock.advance(600);
    const waiting = relay.receive("a", patient(25_000));
    await clock.advance(20_000);
    await relay.sweep();
    assert.equal(relay.waiters, 1);
    await post(relay, "a", "new");
    assert.equal(textOf(await waiting), "new");
  });

  test("places are counted for each id, for each client and in all", async () => {
    const { relay } = scene({ maxWaitersPerId: 2, maxWaitersPerClient: 3, maxWaiters: 5 });
    const wait = (id: string, source?: string) => void relay.receive(id, patient(25_000, { source }));
    wait("a", "x");
    wait("a", "x");
    await settle();
    await assert.rejects(relay.receive("a", patient()), tooMany);
    wait("b", "x");
    await settle();
    await assert.rejects(relay.receive("c", patient(25_000, { source: "x" })), tooMany);
    wait("c", "y");
    wait("d");
    await settle();
    await assert.rejects(relay.receive("e", patient(25_000, { source: "z" })), tooMany);
    assert.equal(relay.waiters, 5);
    relay.drain();
    await settle();
    assert.equal(relay.waiters, 0);
  });

  test("a present message is handed out even when all places are taken", async () => {
    const { relay } = scene({ maxWaiters: 1 });
    void relay.receive("other", patient());
    await post(relay, "a", "m1");
    assert.equal(textOf(await relay.receive("a", patient())), "m1");
  });
});

describe("storing", () => {
  test("a full relay refuses with a time to come back, and keeps what it has", async () => {
    const { relay } = scene({ maxEntries: 1 });
    await post(relay, "a", "m1");
    await assert.rejects(post(relay, "b", "m2"), (error) => {
      assert.ok(error instanceof RelayError);
      assert.equal(error.code, "at_capacity");
      assert.ok(error.retryAfterSeconds! >= 1);
      return true;
    });
    assert.equal(textOf(await relay.receive("a", patient(0))), "m1");
  });

  test("an empty message is kept, unless the operator refuses them", async () => {
    await post(scene().relay, "a", "");
    await assert.rejects(post(scene({ refuseEmpty: true }).relay, "a", ""), /Empty message/);
  });

  test("nobody is woken by a message that could not be kept", async () => {
    const { relay, clock } = scene({}, (store) => ({
      ...store,
      put: async () => {
        throw new RelayError("storage_unavailable");
      },
    }));
    const waiting = relay.receive("a", patient(1000));
    await assert.rejects(post(relay, "a", "m1"), /Storage unavailable/);
    await clock.advance(1000);
    assert.equal(await waiting, undefined);
  });
});

describe("waiting for an acknowledgement", () => {
  const storeAndAwait = async ({ relay }: Scene, ttlMs = 300_000, waitMs = 25_000) => {
    const entry = await post(relay, "a", "m1", ttlMs);
    const outcome = relay.awaitAck(entry, patient(waitMs));
    await settle();
    return outcome;
  };

  test("hears of it", async () => {
    const on = scene();
    const entry = await post(on.relay, "a", "m1");
    const outcome = on.relay.awaitAck(entry, patient());
    await on.relay.acknowledge("a");
    assert.equal(await outcome, "acked");
    assert.equal(on.clock.armed, 0);
  });

  test("hears that another message took the place, and not of that one's acknowledgement", async () => {
    const on = scene();
    const entry = await post(on.relay, "a", "m1");
    const outcome = on.relay.awaitAck(entry, patient());
    await post(on.relay, "a", "m2");
    await on.relay.acknowledge("a");
    assert.equal(await outcome, "replaced");
    assert.equal(await on.relay.awaitAck(entry, patient()), "replaced");
  });

  test("hears of the expiry when it happens, not at a sweep", async () => {
    const on = scene();
    const entry = await post(on.relay, "a", "m1", 500);
    const outcome = on.relay.awaitAck(entry, patient(25_000));
    await on.clock.advance(500);
    assert.equal(await outcome, "expired");
  });

  test("ends on time", async () => {
    const on = scene();
    const pending = storeAndAwait(on, 300_000, 1000);
    await settle();
    await on.clock.advance(1000);
    assert.equal(await pending, "timed-out");
  });

  test("a message waiter and an acknowledgement waiter do not take each other's places", async () => {
    const { relay } = scene({ maxWaitersPerId: 1 });
    void relay.awaitAck(await post(relay, "a", "m1"), patient());
    await relay.acknowledge("a");
    void relay.awaitAck(await post(relay, "a", "m2"), patient());
    await settle();
    assert.equal(textOf(await relay.receive("a", patient())), "m2");
    await relay.acknowledge("a");
    void relay.receive("a", patient());
    await settle();
    assert.equal(relay.waiters, 1);
  });
});

describe("draining", () => {
  test("everybody who waits is let go at once, and nobody waits from then on", async () => {
    const { relay, clock } = scene();
    const message = relay.receive("a", patient());
    const ack = relay.awaitAck(await post(relay, "b", "m1"), patient());
    await settle();
    relay.drain();
    assert.equal(await message, undefined);
    assert.equal(await ack, "timed-out");
    const late = relay.receive("a", patient());
    await clock.advance(0);
    assert.equal(await late, undefined);
  });
});

describe("any interleaving with the store", () => {
  /** A store whose every step waits for the scheduler, so that all orders of events are tried. */
  const scheduled =
    (scheduler: fc.Scheduler) =>
    (store: RendezvousStore): RendezvousStore => ({
      ...store,
      // The engine promises order within an id and that nothing is read before it is kept, not when promises resolve.
      get: (id, now) => scheduler.schedule(Promise.resolve(), "get").then(() => store.get(id, now)),
      put: async (id, message, source, now) => {
        await scheduler.schedule(Promise.resolve(), "put");
        return store.put(id, message, source, now);
      },
      ack: async (id, version, now) => {
        await scheduler.schedule(Promise.resolve(), "ack");
        return store.ack(id, version, now);
      },
    });

  test("a message stored while somebody checks or waits is never missed", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 3 }),
        async (scheduler, readers, writers) => {
          const { relay, clock } = scene({}, scheduled(scheduler));
          const reading = Array.from({ length: readers }, () => relay.receive("a", patient()));
          const writing = Array.from({ length: writers }, (_, at) => post(relay, "a", `m${at}`));
          await scheduler.waitAll();
          await Promise.all(writing);
          await scheduler.waitAll();
          await clock.advance(0);
          for (const entry of await Promise.all(reading)) assert.match(textOf(entry) ?? "", /^m\d$/);
          assert.equal(relay.waiters, 0);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("whoever waits for an acknowledgement is told acked or replaced, and the truth", async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.boolean(), async (scheduler, overwrite) => {
        const { relay } = scene({}, scheduled(scheduler));
        const storing = post(relay, "a", "m0");
        await scheduler.waitAll();
        const entry = await storing;
        const outcome = relay.awaitAck(entry, patient());
        const acking = relay.acknowledge("a", entry.version);
        const writing = overwrite ? post(relay, "a", "m1") : undefined;
        await scheduler.waitAll();
        await writing;
        const acked = (await acking).kind === "acked";
        await scheduler.waitAll();
        assert.equal(await outcome, acked ? "acked" : "replaced");
        if (overwrite) assert.equal((await relayPeek(relay, scheduler))?.acked, false);
      }),
      { numRuns: 60 },
    );
  });

  async function relayPeek(relay: Rendezvous, scheduler: fc.Scheduler) {
    const peeking = relay.peek("a");
    await scheduler.waitAll();
    return peeking;
  }

  test("an acknowledgement that races with expiry either happened before it or finds nothing", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 20 }), async (delayMs) => {
        const { relay, clock } = scene();
        const entry = await post(relay, "a", "m1", 10);
        const outcome = relay.awaitAck(entry, patient(1000));
        await clock.advance(delayMs);
        const { kind } = await relay.acknowledge("a");
        assert.equal(kind, delayMs < 10 ? "acked" : "missing");
        assert.equal(await outcome, delayMs < 10 ? "acked" : "expired");
      }),
    );
  });
});

describe("any history, against a model", () => {
  type Step =
    | { readonly do: "store"; readonly id: string; readonly text: string }
    | { readonly do: "receive" | "ack" | "peek"; readonly id: string }
    | { readonly do: "pass"; readonly ms: number };
  const id = fc.constantFrom("a", "b", "c");
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ do: fc.constant("store" as const), id, text: fc.string({ maxLength: 3 }) }),
    fc.record({ do: fc.constantFrom("receive" as const, "ack" as const, "peek" as const), id }),
    fc.record({ do: fc.constant("pass" as const), ms: fc.integer({ min: 1, max: 700 }) }),
  );

  test("each answer is the one that the ten sentences of the protocol give", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const ttlMs = 1000;
        const waitMs = 500;
        const { relay, clock } = scene();
        const model = new Map<string, { text: string; acked: boolean; expiresAt: number }>();
        const waiting: {
          id: string;
          deadline: number;
          got: Promise<string | undefined>;
          expected?: string;
        }[] = [];
        const live = (of: string) => {
          const entry = model.get(of);
          return entry && entry.expiresAt > clock.now() ? entry : undefined;
        };
        for (const one of steps) {
          if (one.do === "pass") await clock.advance(one.ms);
          else if (one.do === "store") {
            await post(relay, one.id, one.text, ttlMs);
            model.set(one.id, { text: one.text, acked: false, expiresAt: clock.now() + ttlMs });
            for (const waiter of waiting) {
              if (waiter.id === one.id && waiter.deadline > clock.now()) waiter.expected ??= one.text;
            }
          } else if (one.do === "ack") {
            const entry = live(one.id);
            const expected = !entry ? "missing" : entry.acked ? "already-acked" : "acked";
            assert.equal((await relay.acknowledge(one.id)).kind, expected);
            if (entry) entry.acked = true;
          } else if (one.do === "peek") {
            assert.equal((await relay.peek(one.id))?.acked, live(one.id)?.acked);
          } else {
            const got = relay.receive(one.id, patient(waitMs)).then(textOf);
            await settle();
            const entry = live(one.id);
            if (entry && !entry.acked) assert.equal(await got, entry.text);
            else waiting.push({ id: one.id, deadline: clock.now() + waitMs, got });
          }
        }
        await clock.advance(waitMs);
        for (const { got, expected } of waiting) assert.equal(await got, expected);
        assert.equal(relay.waiters, 0);
      }),
      { numRuns: 150 },
    );
  });
});
