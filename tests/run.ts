import { globSync } from "node:fs";
import { availableParallelism } from "node:os";
import { run } from "node:test";
import { spec } from "node:test/reporters";

// `npm test`, or `npm test -- modes/` for the files whose path holds a word.

const wanted = process.argv.slice(2);
const files = globSync("{core,wire,modes,store,edge,daemon,cli,clients,web,tests,bench,docs}/**/*.test.ts", {
  exclude: ["**/node_modules/**", "**/dist/**"],
})
  .filter((file) => wanted.length === 0 || wanted.some((word) => file.includes(word)))
  .sort();
if (files.length === 0) {
  process.stderr.write(`No test file matches ${wanted.join(" ")}.\n`);
  process.exit(2);
}

let passed = 0;
let failed = 0;
const events = run({ files, concurrency: availableParallelism(), timeout: 300_000 });
events.on("test:pass", ({ details }) => {
  if (details.type !== "suite") passed++;
});
events.on("test:fail", ({ details }) => {
  if (details.type !== "suite") failed++;
});
const report = events.compose(new spec());
report.pipe(process.stdout);
report.on("end", () => {
  process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
});
