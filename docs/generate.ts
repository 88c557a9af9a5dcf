import { writeFileSync } from "node:fs";
import { foreignReference } from "#daemon/foreign-options.ts";
import { optionGroups } from "#daemon/options.ts";
import { optionsReference } from "#daemon/options-help.ts";

// Run by `npm run docs` after an option changed.
writeFileSync(
  new URL("options.md", import.meta.url),
  `${optionsReference(optionGroups)}\n${foreignReference()}`,
);
