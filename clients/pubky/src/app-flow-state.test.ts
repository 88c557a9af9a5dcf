import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import {
  FLOW_EFFECTS,
  FLOW_EVENTS,
  FLOW_STATES,
  FLOW_TRANSITIONS,
  type FlowEffect,
  type FlowEvent,
  type FlowState,
  flowTransition,
} from "./app-flow-state.ts";

const PAIRS = FLOW_STATES.flatMap((state) => FLOW_EVENTS.map((event) => ({ state, event })));
const ENDS: readonly FlowState[] = ["done", "failed"];
/** States in which a request or a timer is under way. */
const BUSY: readonly FlowState[] = ["asking", "pausing", "exchanging", "acknowledging", "ackPausing"];

// Every state and every event. "." changes nothing; else the next state's first letters and the effects.
const GRID = `
               idle            asking              pausing         opening         exchanging                acknowledging       ackPausing
start          asking:ask      .                   .               .               .                         .                   .
message        .               opening:open        .               .               .                         .                   .
nothing        .               asking:resetPause,ask .             .               .                         .                   .
nothingEarly   .               pausing:pause       .               .               .                         .                   .
trouble        .               pausing:pause       .               .               .                         ackPausing:pause    .
timer          .               .                   asking:ask      .               .                         .                   acknowledging:acknowledge
wake           .               asking:release,ask  asking:release,ask .            .                         .                   acknowledging:release,acknowledge
opened         .               .                   .               exchanging:exchange .                     .                   .
junk           .               .                   .               pausing:pause   .                         .                   .
refused        .               .                   .               failed:fail     .                         .                   .
exchanged      .               .                   .               .               acknowledging:deliver,acknowledge .           .
exchangeFailed .               .                   .               .               failed:fail               .                   .
acknowledged   .               .                   .               .               .                         done:               .
ackGivenUp     .               .                   .               .               .                         done:               .
deadline       failed:fail     failed:release,fail failed:release,fail failed:fail .                         .                   .
cancel         failed:fail     failed:release,fail failed:release,fail failed:fail failed:release,fail       done:release        done:release
`;

function expectedTransitions(): Map<string, { next: FlowState; effects: FlowEffect[] }> {
  const [head, ...rows] = GRID.trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  const cells = new Map<string, { next: FlowState; effects: FlowEffect[] }>();
  for (const [event, ...row] of rows) {
    assert.equal(row.length, head!.length);
    row.forEach((cell, at) => {
      if (cell === ".") return;
      const [next, effects] = cell.split(":") as [FlowState, string];
      cells.set(`${head![at]} ${event}`, {
        next,
        effects: effects.split(",").filter(Boolean) as FlowEffect[],
      });
    });
  }
  return cells;
}

test("every event in every state leads where the grid says", () => {
  const expected = expectedTransitions();
  for (const { state, event } of PAIRS) {
    const wanted = expected.get(`${state} ${event}`) ?? { next: state, effects: [] };
    assert.deepEqual(flowTransition(state, event), wanted, `${state} × ${event}`);
  }
  assert.equal(PAIRS.length, 9 * 16);
  const transitions = FLOW_STATES.flatMap((state) => Object.keys(FLOW_TRANSITIONS[state]));
  assert.equal(expected.size, transitions.length);
});

test("the page in docs shows this table", () => {
  const rows = PAIRS.flatMap(({ state, event }) => {
    const transition = FLOW_TRANSITIONS[state][event];
    return transition
      ? [`| ${state} | ${event} | ${transition.next} | ${transition.effects.join(", ")} |`]
      : [];
  });
  const page = readFileSync(new URL("../../../docs/pubky-app-flow.md", import.meta.url), "utf8");
  const table = ["| state | event | next | effects |", "| --- | --- | --- | --- |", ...rows].join("\n");
  assert.ok(page.endsWith(`\n${table}\n`), `docs/pubky-app-flow.md must end with:\n${table}`);
  for (const name of [...FLOW_STATES, ...FLOW_EVENTS])
    assert.match(page, new RegExp(`^\\| ${name} \\| [A-Z]`, "m"));
});

test("the ends are ends", () => {
  for (const state of ENDS) {
    for (const event of FLOW_EVENTS)
      assert.deepEqual(flowTransition(state, event), { next: state, effects: [] });
  }
});

test("every state can be reached and, but for the ends, left for an end", () => {
  const reachable = (from: FlowState) => {
    const seen = new Set([from]);
    for (const state of seen) for (const event of FLOW_EVENTS) seen.add(flowTransition(state, event).next);
    return seen;
  };
  assert.deepEqual([...reachable("idle")].sort(), [...FLOW_STATES].sort());
  for (const state of FLOW_STATES) assert.ok(ENDS.some((end) => reachable(state).has(end)));
});

test("the caller can always cancel, and before there is an approval time always ends it", () => {
  for (const state of FLOW_STATES) {
    assert.ok(ENDS.includes(flowTransition(state, "cancel").next));
    if (["idle", "asking", "pausing", "opening"].includes(state)) {
      assert.equal(flowTransition(state, "deadline").next, "failed");
    }
  }
});

test("on any way through, the caller hears once, the relay only after a delivery, and nothing runs twice", () => {
  const walk = fc.array(fc.constantFrom<FlowEvent>(...FLOW_EVENTS), { maxLength: 60 });
  fc.assert(
    fc.property(walk, (events) => {
      let state: FlowState = "idle";
      const heard: FlowEffect[] = [];
      let opened = false;
      for (const event of ["start" as const, ...events]) {
        const { next, effects } = flowTransition(state, event);
        if (state === "opening" && event === "opened") opened = true;
        for (const effect of effects) {
          assert.ok(FLOW_EFFECTS.includes(effect));
          if (effect === "deliver" || effect === "fail") heard.push(effect);
          if (effect === "deliver" || effect === "exchange") assert.ok(opened);
          if (effect === "acknowledge") assert.deepEqual(heard, ["deliver"]);
        }
        // What was under way is over by its own event, or is released before anything else begins.
        const isOver: boolean = !BUSY.includes(state) || !["wake", "cancel", "deadline"].includes(event);
        if (next !== state || effects.length > 0) assert.ok(isOver || effects[0] === "release");
        state = next;
      }
      assert.ok(heard.length <= 1);
      assert.equal(heard.length === 1, ["acknowledging", "ackPausing", "done", "failed"].includes(state));
    }),
    { numRuns: 500 },
  );
});
