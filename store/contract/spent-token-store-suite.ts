import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RelayError } from "#core/errors.ts";
import type { SpentTokenLimits, SpentTokenStore } from "./spent-token-store.ts";

const roomy: SpentTokenLimits = { maxSpentTokens: 1000 };
const begin = 1_700_000_000_000;

export function nonceOf(number: number): Uint8Array {
  const nonce = new Uint8Array(32);
  new DataView(nonce.buffer).setUint32(28, number);
  return nonce;
}

/** What every engine of the spent-token store must do. */
export function spentTokenStoreSuite(
  engine: string,
  open: (limits: SpentTokenLimits) => Promise<SpentTokenStore>,
): void {
  describe(`the spent-token store (${engine})`, () => {
    test("takes a nonce once", async () => {
      await using store = await open(roomy);
      assert.equal(await store.spend(nonceOf(1), begin + 1000, begin), true);
      assert.equal(await store.spend(nonceOf(1), begin + 1000, begin), false);
      assert.equal(await store.spend(nonceOf(1), begin + 9000, begin + 999), false);
      assert.equal(await store.spend(nonceOf(2), begin + 1000, begin), true);
      assert.equal(store.size, 2);
    });

    test("lets exactly one of many at the same time have it", async () => {
      await using store = await open(roomy);
      const took = await Promise.all(
        Array.from({ length: 50 }, (_, at) => store.spend(nonceOf(at % 2), begin + 1000, begin)),
      );
      assert.equal(took.filter(Boolean).length, 2);
      assert.equal(store.size, 2);
    });

    test("tells nonces apart by every byte, and keeps no reference to the caller's", async () => {
      await using store = await open(roomy);
      const nonce = new Uint8Array(32);
      for (let at = 0; at < 32; at++) {
        nonce[at] = 1;
        assert.equal(await store.spend(nonce, begin + 1000, begin), true);
        nonce[at] = 0;
      }
      assert.equal(await store.spend(nonce, begin + 1000, begin), true);
      assert.equal(store.size, 33);
    });

    test("may forget a nonce at its end, and not before", async () => {
      await using store = await open(roomy);
      await store.spend(nonceOf(1), begin + 1000, begin);
      await store.spend(nonceOf(2), begin + 1001, begin);
      assert.equal(await store.sweep(begin + 999), 0);
      assert.equal(await store.sweep(begin + 1000), 1);
      assert.equal(store.size, 1);
      assert.equal(await store.spend(nonceOf(2), begin + 2000, begin + 1000), false);
      assert.equal(await store.spend(nonceOf(1), begin + 2000, begin + 1000), true);
      assert.equal(store.size, 2);
    });

    test("refuses when it is full, and a refused token is not spent", async () => {
      await using store = await open({ maxSpentTokens: 2 });
      await store.spend(nonceOf(1), begin + 1000, begin);
      await store.spend(nonceOf(2), begin + 2000, begin);
      const full = (error: unknown) => error instanceof RelayError && error.code === "at_capacity";
      await assert.rejects(store.spend(nonceOf(3), begin + 2000, begin), full);
      assert.equal(await store.spend(nonceOf(1), begin + 1000, begin), false);
      assert.equal(await store.spend(nonceOf(3), begin + 2000, begin + 1000), true);
      assert.equal(store.size, 2);
    });
  });
}
