#!/usr/bin/env node
// Plain JavaScript that any Node understands: the rest needs one that runs TypeScript.
import module from "node:module";

const major = Number(process.versions.node.split(".")[0]);
if (major < 24) {
  process.stderr.write(
    `postern needs Node.js 24 or later; this is ${process.versions.node}. ` +
      "In a checkout use `npm start` or `npm exec -- postern`, which run the pinned one.\n",
  );
  process.exit(1);
}
// Types are stripped and code is compiled once for each version of a file, not at every start.
module.enableCompileCache();
await import("./main.ts");
