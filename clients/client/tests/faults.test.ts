import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ValuesOf } from "../../../core/options.ts";
import { rendezvousOptions } from "../../../modes/rendezvous/options.ts";
import { Rendezvous } from "../../../modes/rendezvous/rendezvous.ts";
import { rendezvousRoutes } from "../../../modes/rendezvous/routes.ts";
import { openMemoryRendezvousStore } from "../../../store/memory/rendezvous-store.ts";
import { simClock, simEntropy } from "../../../tests/support/sim-clock.ts";
import { createRendezvous, createSecret, type Fetch } from "../src/index.ts";

const relay = "http://relay.example";

/** What may become of a request on its way. */
type Fate = "served" | "lost before" | "lost after" | "refused" | "cut" | "silent";
const fates: Fate[] = [
  "served",
  "served",
  "served",
  "served",
  "lost before",
  "lost after",
  "refused",
  "cut",
  "silent",
];

/** The relay's own handler, called in process over a network that does to each request what fate decides. */
function badNetwork(handler: (request: Request) => Promise<Response>, fate: () => Fate): Fetch {
  return async (url, init = {}) => {
    const signal = init.signal!;
    const aborted = new Promise<never>((_resolve, reject) => {
      const gone = () => reject(new TypeError("aborted"));
      if (signal.aborted) gone();
      signal.addEventListener("abort", gone, { once: true });
    });
    aborted.catch(() => {});
    const decided = fate();
    if (decided === "lost before") throw new TypeError("fetch failed");
    if (decided === "refused") return new Response(null, { status: 503, headers: { "retry-after": "1" } });
    if (decided === "silent") return aborted;
    const answer = await Promise.race([handler(new Request(url, init)), aborted]);
    if (decided === "lost after") throw new TypeError("fetch failed");
    if (decided === "served") return answer;
    // The headers arrive, the body breaks off.
    return new Response(
      new ReadableStream({ pull: (controller) => controller.error(new TypeError("terminated")) }),
      { status: answer.status, headers: answer.headers },
    );
  };
}

test("over a network that loses, cuts and refuses, each message arrives once and in order", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1 }),
      fc.array(fc.string({ maxLength: 40 }), { minLength: 1, maxLength: 5 }),
      fc.boolean(),
      async (seed, texts, tagged) => {
        const clock = simClock();
        const dice = simEntropy(seed);
        const config = {
          ...Object.fromEntries(Object.entries(rendezvousOptions).map(([key, spec]) => [key, spec.default])),
          // Bad luck takes its time; expiry is not the matter here.
          inboxCacheTtlMs: 7 * 86_400_000,
        } as ValuesOf<typeof rendezvousOptions>;
        const rendezvous = new Rendezvous(config, openMemoryRendezvousStore(config), clock);
        const routes = rendezvousRoutes(rendezvous);
        const handler = async (request: Request) => {
          const response = await routes(request)!.respond();
          // The original relay gives no tags.
          if (!tagged) response.headers.delete("etag");
          return response;
        };
        const fetch = badNetwork(handler, () => fates[dice.bytes(1)[0]! % fates.length]!);
        const options = { relay, secret: createSecret(dice), fetch, clock, entropy: dice };
        const forever = { deadlineMs: Number.POSITIVE_INFINITY };

        const got: string[] = [];
        const stop = new AbortController();
        const receiver = createRendezvous(options);
        const receiving = (async () => {
          while (!stop.signal.aborted) {
            // Acknowledging may be given up; the message then comes again and is known.
            try {
              for await (const message of receiver.messages({ signal: stop.signal }))
                got.push(message.text());
            } catch (error) {
              assert.equal((error as { code?: string }).code, "relay_unreachable");
            }
          }
        })();
        const sender = createRendezvous(options);
        const sending = (async () => {
          for (const text of texts) {
            const sent = await sender.send(text, forever);
            await sent.delivered(forever);
          }
        })().finally(() => stop.abort());

        let isDone = false;
        const all = Promise.all([sending, receiving]).finally(() => {
          isDone = true;
        });
        all.catch(() => {});
        for (let step = 0; step < 5_000 && !isDone; step++) await clock.advance(5_000);
        assert.ok(isDone, "still under way after hours");
        await all;
        assert.deepEqual(got, texts);
        assert.equal(rendezvous.waiters, 0);
        assert.equal(clock.armed, 0);
      },
    ),
    { numRuns: 60 },
  );
});
