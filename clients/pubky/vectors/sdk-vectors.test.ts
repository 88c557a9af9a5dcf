import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

test("the stored vectors are what the published SDK makes and says", () => {
  // In a process of its own, because the clock, the dice and the network are held still there.
  const script = fileURLToPath(new URL("make-sdk-vectors.ts", import.meta.url));
  const made = execFileSync(process.execPath, [script, "--print"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  assert.equal(made, readFileSync(new URL("sdk-0.6.0.json", import.meta.url), "utf8"));
});
