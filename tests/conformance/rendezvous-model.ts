import assert from "node:assert/strict";
import { type Dice, dice } from "#tests/support/dice.ts";
import { assertAnswer, type Scene } from "./relay-case.ts";

/** What one id holds according to the contract. `undefined`: nothing was ever stored. */
type Entry = { readonly body: string; readonly contentType: string; readonly acked: boolean } | undefined;

export interface Walk {
  readonly ids: number;
  readonly stepsPerId: number;
  /** How many ids are walked at the same time. */
  readonly lanes: number;
}

const octets = "application/octet-stream";
const empty = { status: 200, text: "", headers: { "content-type": octets } };
const notFound = { status: 404, text: "Not found", headers: { "content-type": octets } };

/**
 * Walks many ids in parallel, each by a random history of its own, and holds every answer against the model.
 *
 * The seed is reported; `CONFORMANCE_SEED` repeats a run.
 */
export async function walkAtRandom(scene: Scene, walk: Walk): Promise<void> {
  const seed = Number(process.env.CONFORMANCE_SEED ?? Date.now() % 1_000_000_007);
  scene.t.diagnostic(`CONFORMANCE_SEED=${seed}`);
  const ids = Array.from({ length: walk.ids }, (_, at) => ({ id: scene.id(), random: dice(seed + at) }));
  const lane = async () => {
    for (let next = ids.pop(); next !== undefined; next = ids.pop()) {
      await walkOne(scene, next.id, next.random, walk.stepsPerId);
    }
  };
  await Promise.all(Array.from({ length: walk.lanes }, lane));
}

async function walkOne(scene: Scene, id: string, random: Dice, steps: number): Promise<void> {
  let entry: Entry;
  const history: string[] = [];
  for (let step = 0; step < steps; step++) {
    const possible = actions.filter((action) => action.possible(entry));
    const action = possible[random.below(possible.length)]!;
    history.push(action.name);
    try {
      entry = await action.run({ scene, id, entry, random });
    } catch (cause) {
      throw new assert.AssertionError({ message: `after ${history.join(", ")}: ${String(cause)}` });
    }
  }
}

interface Step {
  readonly scene: Scene;
  readonly id: string;
  readonly entry: Entry;
  readonly random: Dice;
}

interface Action {
  readonly name: string;
  /** Whether the action is answered at once in this state: the walk sits out no wait. */
  possible(entry: Entry): boolean;
  /** Does it, holds the answer against the model, and returns what the id holds afterwards. */
  run(step: Step): Promise<Entry>;
}

const always = () => true;
const readable = (entry: Entry) => entry !== undefined && !entry.acked;
const unreadable = (entry: Entry) => !readable(entry);
const message = (entry: Entry) => ({
  status: 200,
  text: entry!.body,
  headers: { "content-type": entry!.contentType },
});

function newMessage(random: Dice) {
  const body = "m".repeat(random.below(64)) + random.below(1_000_000);
  const contentType = random.below(2) === 0 ? octets : `text/x-${random.below(1000)}`;
  const headers = contentType === octets ? {} : { "content-type": contentType };
  return { entry: { body, contentType, acked: false }, parts: { body, headers } };
}

const actions: readonly Action[] = [
  {
    name: "store",
    possible: always,
    async run({ scene, id, random }) {
      const { entry, parts } = newMessage(random);
      assertAnswer(await scene.call("POST", `/inbox/${id}`, parts), empty);
      return entry;
    },
  },
  {
    name: "read",
    possible: readable,
    async run({ scene, id, entry }) {
      assertAnswer(await scene.call("GET", `/inbox/${id}`), message(entry));
      return entry;
    },
  },
  {
    name: "read by link",
    possible: readable,
    async run({ scene, id, entry }) {
      assertAnswer(await scene.call("GET", `/link/${id}`), message(entry));
      return { ...entry!, acked: true };
    },
  },
  {
    name: "ack",
    possible: always,
    async run({ scene, id, entry }) {
      assertAnswer(await scene.call("DELETE", `/inbox/${id}`), entry === undefined ? notFound : empty);
      return entry && { ...entry, acked: true };
    },
  },
  {
    name: "ask for the ack",
    possible: always,
    async run({ scene, id, entry }) {
      const expected = entry === undefined ? notFound : { ...empty, text: String(entry.acked) };
      assertAnswer(await scene.call("GET", `/inbox/${id}/ack`), expected);
      return entry;
    },
  },
  {
    name: "await",
    possible: unreadable,
    async run({ scene, id, entry }) {
      assertAnswer(await scene.call("GET", `/inbox/${id}/await`), entry === undefined ? notFound : empty);
      return entry;
    },
  },
  {
    name: "read while it is stored",
    possible: unreadable,
    async run({ scene, id, random }) {
      // Whether the read comes first and waits, or second and finds it: the answer is the same.
      const reading = await scene.start("GET", `/inbox/${id}`);
      const { entry, parts } = newMessage(random);
      assertAnswer(await scene.call("POST", `/inbox/${id}`, parts), empty);
      assertAnswer(await reading.answer, message(entry));
      return entry;
    },
  },
  {
    name: "store and read by link",
    possible: unreadable,
    async run({ scene, id, random }) {
      const { entry, parts } = newMessage(random);
      const posting = await scene.start("POST", `/link/${id}`, parts);
      assertAnswer(await scene.call("GET", `/link/${id}`), message(entry));
      assertAnswer(await posting.answer, empty);
      return { ...entry, acked: true };
    },
  },
  {
    name: "await while it is acked",
    possible: readable,
    async run({ scene, id, entry }) {
      const waiting = await scene.start("GET", `/inbox/${id}/await`);
      assertAnswer(await scene.call("DELETE", `/inbox/${id}`), empty);
      assertAnswer(await waiting.answer, empty);
      return { ...entry!, acked: true };
    },
  },
];
