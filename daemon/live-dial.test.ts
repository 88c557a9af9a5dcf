import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Dial } from "#modes/live/peers.ts";
import { settle, simClock } from "#tests/support/sim-clock.ts";
import type { Transport } from "#wire/live/transport.ts";
import { dialEither } from "./live-dial.ts";

const url = new URL("https://relay.test/");

/** A way to dial that ends when the test says so, and the transport it brings. */
function way() {
  const closed: number[] = [];
  const transport = { close: (code: number) => closed.push(code) } as unknown as Transport;
  const tries: { connect(): void; fail(error: Error): void }[] = [];
  const dial: Dial = (_url, open) =>
    new Promise((resolve, reject) => {
      tries.push({
        connect() {
          open(transport);
          resolve();
        },
        fail: reject,
      });
    });
  return { dial, tries, transport, closed };
}

function dialling() {
  const clock = simClock();
  const [first, second] = [way(), way()];
  const opened: Transport[] = [];
  const dial = dialEither(first.dial, second.dial, 200, clock);
  const over = dial(url, (transport) => opened.push(transport));
  return { clock, first, second, opened, over };
}

describe("of two ways to dial", () => {
  test("the second is not tried where the first is there in time", async () => {
    const { clock, first, second, opened, over } = dialling();
    await clock.advance(199);
    first.tries[0]!.connect();
    await over;
    await clock.advance(1_000);
    assert.deepEqual(opened, [first.transport]);
    assert.equal(second.tries.length, 0);
    assert.equal(clock.armed, 0);
  });

  test("the second is tried after the delay, and who comes late is turned away", async () => {
    const { clock, first, second, opened, over } = dialling();
    await clock.advance(200);
    second.tries[0]!.connect();
    await over;
    first.tries[0]!.connect();
    assert.deepEqual(opened, [second.transport]);
    assert.deepEqual(first.closed, [0]);
  });

  test("the second is tried at once where the first fails", async () => {
    const { first, second, opened, over } = dialling();
    first.tries[0]!.fail(new Error("no QUIC here"));
    await settle();
    second.tries[0]!.connect();
    await over;
    assert.deepEqual(opened, [second.transport]);
  });

  test("where both fail, the second's reason is told", async () => {
    const { first, second, over } = dialling();
    first.tries[0]!.fail(new Error("no QUIC here"));
    await settle();
    second.tries[0]!.fail(new Error("nobody there"));
    await assert.rejects(over, /nobody there/);
  });
});
