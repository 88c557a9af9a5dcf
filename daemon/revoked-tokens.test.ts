import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import { revokedTokens } from "./revoked-tokens.ts";

test("the list of revoked tokens follows its file", async () => {
  using folder = temporaryFolder();
  const file = folder.file("revoked");
  const revoked = revokedTokens(file);
  assert.deepEqual(await revoked(), new Set());
  writeFileSync(file, "# leaked in May\nabc\n\n  def\r\n");
  const first = await revoked();
  assert.deepEqual(first, new Set(["abc", "def"]));
  assert.equal(await revoked(), first);
  writeFileSync(file, "abc\n");
  assert.deepEqual(await revoked(), new Set(["abc"]));
  rmSync(file);
  assert.deepEqual(await revoked(), new Set());
  mkdirSync(file);
  await assert.rejects(revoked(), /EISDIR/);
});
