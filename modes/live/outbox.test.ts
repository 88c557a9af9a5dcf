import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { encodeGroupStart } from "#wire/live/group.ts";
import type { SendStream, Transport } from "#wire/live/transport.ts";
import { Group } from "./group.ts";
import { newLiveMetrics } from "./metrics.ts";
import { type GroupFormat, Outbox, type OutboxSubscription } from "./outbox.ts";
import { newTraffic } from "./traffic.ts";

/** A transport that lets as many streams through as the test says, and notes whose group each is. */
class Gate {
  open = false;
  readonly order: string[] = [];

  readonly transport = {
    writable: true,
    wake() {},
    openUni: () => (this.open ? this.#stream() : undefined),
  } as unknown as Transport;

  #stream(): SendStream {
    const stream = {
      done: false,
      onStop: undefined,
      reset() {},
      write: (chunk: Uint8Array, from: number, fin: boolean) => {
        // The header: type, length, subscription, sequence.
        if (chunk.length === 4) this.order.push(`${chunk[2]}:${chunk[3]}`);
        stream.done = fin;
        return chunk.length - from;
      },
    };
    return stream;
  }
}

const subscriptionOf = (id: number, priority: number, ordered: boolean): OutboxSubscription => ({
  id,
  priority,
  trackPriority: 0,
  ordered,
  latencyMaxMs: 1_000_000,
  traffic: newTraffic(),
  onGroupDone() {},
});

const format: GroupFormat = {
  frameClass: "A",
  groupStart: ({ id }, { sequence }) => encodeGroupStart(id, sequence),
  resetCode: (code) => code,
};

describe("the order in which groups go", () => {
  test("is by priority, then by what each subscription asked for, whatever order they came in", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ priority: fc.nat(2), ordered: fc.boolean() }), { minLength: 1, maxLength: 4 }),
        fc.uniqueArray(fc.tuple(fc.nat(3), fc.nat(20)), {
          maxLength: 40,
          selector: ([at, sequence]) => at * 100 + sequence,
        }),
        (wishes, groups) => {
          const gate = new Gate();
          const outbox = new Outbox(gate.transport, format, 1_000_000, () => 0, newLiveMetrics());
          const subscriptions = wishes.map(({ priority, ordered }, id) =>
            subscriptionOf(id, priority, ordered),
          );
          for (const [at, sequence] of groups) {
            const group = new Group(sequence, "A", 0, 1_000);
            group.append(Uint8Array.of(1, 1), 0);
            group.end("complete");
            outbox.add(subscriptions[at % subscriptions.length]!, group);
          }
          gate.open = true;
          outbox.pump();
          const sent = gate.order.map((text) => text.split(":").map(Number) as [number, number]);
          assert.equal(sent.length, groups.length);
          for (const [at, [id, sequence]] of sent.entries()) {
            for (const [laterId, later] of sent.slice(at + 1)) {
              assert.ok(wishes[id]!.priority >= wishes[laterId]!.priority, gate.order.join(" "));
              if (laterId !== id) continue;
              assert.ok(wishes[id]!.ordered ? sequence <= later : sequence >= later, gate.order.join(" "));
            }
          }
        },
      ),
    );
  });
});
