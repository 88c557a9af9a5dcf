import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { openMemoryMailboxStore } from "#store/memory/mailbox-store.ts";
import { type SimClock, simClock, simEntropy } from "#tests/support/sim-clock.ts";
import { Exchange } from "./exchange.ts";

const limits = { exchangeMaxOffers: 6, exchangeDefaultTtlMs: 300_000 };
const storeLimits = { maxBlobsPerMailbox: 0, maxBytesPerMailbox: 0, maxStorageBytes: 1e9, blobTtlMs: 1e9 };

/** What an offer must be, told without a store, a code or a clock. */
interface ModelOffer {
  readonly code: string;
  readonly payload: string;
  readonly endsAt: number;
  response: string | undefined;
}

interface Real {
  readonly exchange: Exchange;
  readonly clock: SimClock;
}
interface Model {
  offers: ModelOffer[];
  /** Every code there ever was, so that old ones are tried too. */
  codes: string[];
}

const live = (model: Model, now: number) => model.offers.filter(({ endsAt }) => now <= endsAt);
const find = (model: Model, code: string, now: number) =>
  live(model, now).find((offer) => offer.code === code);
const outcome = (promise: Promise<string>) => promise.catch((error: Error) => `refused: ${error.message}`);

class Offer implements fc.AsyncCommand<Model, Real> {
  readonly payload: string;
  readonly ttl: number | undefined;
  constructor(payload: string, ttl: number | undefined) {
    this.payload = payload;
    this.ttl = ttl;
  }
  check = () => true;
  async run(model: Model, { exchange, clock }: Real): Promise<void> {
    const now = clock.now();
    const held = live(model, now).length;
    const places = (this.ttl ?? 300) > 300 ? limits.exchangeMaxOffers / 2 : limits.exchangeMaxOffers;
    const offering = exchange
      .offer({ payload: this.payload, expiresSecs: this.ttl, codeDigits: 6, withSecret: false })
      .then(({ code }) => code);
    const code = await outcome(offering);
    if (held >= places) return assert.equal(code, "refused: too many offers");
    assert.match(code, /^\d{6}$/);
    assert.equal(find(model, code, now), undefined, "a code is nobody else's");
    const endsAt = now + (this.ttl ?? 300) * 1000;
    model.offers.push({ code, payload: this.payload, endsAt, response: undefined });
    model.codes.push(code);
  }
  toString = () => `offer(${this.ttl})`;
}

class Claim implements fc.AsyncCommand<Model, Real> {
  readonly which: number;
  readonly response: string;
  constructor(which: number, response: string) {
    this.which = which;
    this.response = response;
  }
  check = ({ codes }: Model) => codes.length > 0;
  async run(model: Model, { exchange, clock }: Real): Promise<void> {
    const code = model.codes[this.which % model.codes.length]!;
    const offer = find(model, code, clock.now());
    // Two at once: one of them is first.
    const both = await Promise.all([1, 2].map(() => outcome(exchange.claim(code, this.response))));
    if (!offer) return assert.deepEqual(both, Array(2).fill("refused: invalid or expired code"));
    if (offer.response !== undefined)
      return assert.deepEqual(both, Array(2).fill("refused: already claimed"));
    assert.deepEqual(both, [offer.payload, "refused: already claimed"]);
    offer.response = this.response;
  }
  toString = () => `claim(${this.which})`;
}

class Complete implements fc.AsyncCommand<Model, Real> {
  readonly which: number;
  constructor(which: number) {
    this.which = which;
  }
  check = ({ codes }: Model) => codes.length > 0;
  async run(model: Model, { exchange, clock }: Real): Promise<void> {
    const code = model.codes[this.which % model.codes.length]!;
    const offer = find(model, code, clock.now());
    const both = await Promise.all([1, 2].map(() => outcome(exchange.complete(code, undefined))));
    if (!offer) return assert.deepEqual(both, Array(2).fill("refused: invalid or expired code"));
    if (offer.response === undefined)
      return assert.deepEqual(both, Array(2).fill("refused: not yet claimed"));
    assert.deepEqual(both, [offer.response, "refused: invalid or expired code"]);
    model.offers = model.offers.filter((other) => other !== offer);
  }
  toString = () => `complete(${this.which})`;
}

class Pass implements fc.AsyncCommand<Model, Real> {
  readonly ms: number;
  constructor(ms: number) {
    this.ms = ms;
  }
  check = () => true;
  async run(_model: Model, { clock }: Real): Promise<void> {
    await clock.advance(this.ms);
  }
  toString = () => `pass(${this.ms})`;
}

class Sweep implements fc.AsyncCommand<Model, Real> {
  check = () => true;
  async run(model: Model, { exchange, clock }: Real): Promise<void> {
    exchange.sweep();
    assert.equal(exchange.open, live(model, clock.now()).length);
  }
  toString = () => "sweep";
}

test("any run of offers, claims, completions and time goes as the model says", async () => {
  const commands = [
    fc
      .tuple(fc.string({ maxLength: 5 }), fc.constantFrom(undefined, 30, 300, 3600))
      .map(([p, ttl]) => new Offer(p, ttl)),
    fc.tuple(fc.nat(20), fc.string({ maxLength: 5 })).map(([which, response]) => new Claim(which, response)),
    fc.nat(20).map((which) => new Complete(which)),
    fc.constantFrom(1, 29_999, 30_000, 300_001).map((ms) => new Pass(ms)),
    fc.constant(new Sweep()),
  ];
  await fc.assert(
    fc.asyncProperty(fc.commands(commands, { maxCommands: 30 }), async (run) => {
      const clock = simClock();
      const exchange = new Exchange(limits, openMemoryMailboxStore(storeLimits), clock, simEntropy());
      await fc.asyncModelRun(() => ({ model: { offers: [], codes: [] }, real: { exchange, clock } }), run);
    }),
    { numRuns: 100 },
  );
});

test("codes are spread evenly", async () => {
  const clock = simClock();
  const roomy = { exchangeMaxOffers: 100_000, exchangeDefaultTtlMs: 300_000 };
  const exchange = new Exchange(roomy, openMemoryMailboxStore(storeLimits), clock, simEntropy(77));
  const tenths = Array<number>(10).fill(0);
  for (let n = 0; n < 2000; n++) {
    const request = { payload: "", expiresSecs: undefined, codeDigits: 6, withSecret: false };
    tenths[Number((await exchange.offer(request)).code[0])]!++;
  }
  // 200 each on average, standard deviation 13.4: five of them either way.
  for (const count of tenths) assert.ok(Math.abs(count - 200) < 67, `${count} of 2000`);
});
