import assert from "node:assert/strict";
import { appendFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { describe, test } from "node:test";
import { RelayError } from "#core/errors.ts";
import { simClock } from "#tests/support/sim-clock.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import { SpentCapsulesInMemory, SpentCapsulesOnDisk } from "./spent-capsules.ts";

const enc = (number: number) => new Uint8Array(32).fill(number);
const failing = (error: unknown) => {
  throw error;
};
const open = (path: string, most: number) => new SpentCapsulesOnDisk(path, most, simClock(), failing);

describe("spent capsules", () => {
  test("are told from new ones: at least as many as asked for, the newest", () => {
    const spent = new SpentCapsulesInMemory(2);
    const told = [1, 1, 2, 3, 1, 4, 5, 5, 4, 3, 1].map((number) => spent.spend(enc(number)));
    assert.deepEqual(told, [true, false, true, true, false, true, true, false, false, false, true]);
  });

  test("are known to whoever opens the file next, whether it was closed or not", () => {
    using folder = temporaryFolder();
    const path = folder.file("spent");
    const killed = open(path, 10);
    assert.ok(killed.spend(enc(1)));
    {
      using second = open(path, 10);
      assert.equal(second.spend(enc(1)), false);
      assert.ok(second.spend(enc(2)));
    }
    using third = open(path, 10);
    assert.deepEqual(
      [1, 2, 3].map((number) => third.spend(enc(number))),
      [false, false, true],
    );
    assert.equal(statSync(path).mode & 0o777, 0o600);
    killed[Symbol.dispose]();
  });

  test("a mark that was cut short is passed over, and the next ones are whole", () => {
    using folder = temporaryFolder();
    const path = folder.file("spent");
    open(path, 10)[Symbol.dispose]();
    appendFileSync(path, Buffer.concat([Buffer.alloc(16, 1), Buffer.alloc(7, 2)]));
    {
      using spent = open(path, 10);
      assert.equal(spent.spend(enc(1)), false);
      assert.ok(spent.spend(enc(2)));
    }
    using again = open(path, 10);
    assert.equal(again.spend(enc(2)), false);
    assert.equal(statSync(path).size, 32);
  });

  test("the files stay within twice what is remembered", () => {
    using folder = temporaryFolder();
    const path = folder.file("spent");
    {
      using spent = open(path, 3);
      for (let number = 0; number < 200; number++) {
        assert.ok(spent.spend(enc(number)));
        const sizes = readdirSync(folder.path).map((name) => statSync(folder.file(name)).size);
        assert.ok(sizes.reduce((sum, size) => sum + size, 0) <= 6 * 16);
      }
    }
    using again = open(path, 3);
    assert.deepEqual(
      [197, 198, 199].map((number) => again.spend(enc(number))),
      [false, false, false],
    );
    assert.ok(again.spend(enc(1)));
  });

  test("what cannot be remembered is refused", () => {
    using folder = temporaryFolder();
    const path = folder.file("spent");
    using spent = open(path, 1);
    spent.spend(enc(1));
    rmSync(folder.path, { recursive: true });
    assert.throws(
      () => {
        for (let number = 2; number < 9; number++) spent.spend(enc(number));
      },
      (error) => error instanceof RelayError && error.code === "storage_unavailable",
    );
  });
});
