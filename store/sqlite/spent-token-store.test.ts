import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { nonceOf, spentTokenStoreSuite } from "#store/contract/spent-token-store-suite.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import { openSqliteSpentTokenStore } from "./spent-token-store.ts";

const folder = temporaryFolder();
after(() => folder[Symbol.dispose]());
const begin = 1_700_000_000_000;
let files = 0;
const freshFile = () => folder.file(`${files++}.db`);

spentTokenStoreSuite("sqlite", (limits) => openSqliteSpentTokenStore(freshFile(), limits));

describe("the SQLite spent-token store", () => {
  test("remembers over a restart", async () => {
    const file = freshFile();
    {
      await using store = await openSqliteSpentTokenStore(file, { maxSpentTokens: 10 });
      assert.equal(await store.spend(nonceOf(1), begin + 1000, begin), true);
    }
    await using store = await openSqliteSpentTokenStore(file, { maxSpentTokens: 10 });
    assert.equal(store.size, 1);
    assert.equal(await store.spend(nonceOf(1), begin + 1000, begin), false);
  });

  test("lets one of two processes with the same file have a nonce", async () => {
    const file = freshFile();
    await using one = await openSqliteSpentTokenStore(file, { maxSpentTokens: 10 });
    await using two = await openSqliteSpentTokenStore(file, { maxSpentTokens: 10 });
    const took = await Promise.all([one, two].map((store) => store.spend(nonceOf(1), begin + 1000, begin)));
    assert.deepEqual(took.sort(), [false, true]);
  });
});
