import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { foreignReference } from "#daemon/foreign-options.ts";
import { optionGroups } from "#daemon/options.ts";
import { optionsReference } from "#daemon/options-help.ts";

test("docs/options.md is what the declarations say; `npm run docs` makes it anew", () => {
  const written = readFileSync(new URL("options.md", import.meta.url), "utf8");
  assert.equal(written, `${optionsReference(optionGroups)}\n${foreignReference()}`);
});
