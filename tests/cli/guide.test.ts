import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { findCommand } from "#cli/commands.ts";
import { flagName } from "#core/options.ts";
import { startPostern } from "#tests/support/postern.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

function blocksOf(guide: string): { kind: string; text: string }[] {
  const markdown = readFileSync(join(root, `docs/guides/${guide}.md`), "utf8");
  const found = markdown.matchAll(/^```(\w+)\n(.*?)^```$/gms);
  return [...found].map(([, kind = "", text = ""]) => ({ kind, text }));
}

/** `…` in the guide stands for anything within a line. */
const asPattern = (text: string) =>
  new RegExp(
    `^${text
      .split("…")
      .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
      .join("[^\\n]*")}$`,
  );

for (const [guide, scripts] of [
  ["command-line", 5],
  ["mailbox", 2],
] as const) {
  test(`the scripts of the guide ${guide} do what it says, one after the other in one folder`, () =>
    runScripts(guide, scripts));
}

async function runScripts(guide: string, scripts: number): Promise<void> {
  const blocks = blocksOf(guide);
  await using postern = await startPostern();
  using folder = temporaryFolder();
  writeFileSync(
    folder.file("postern"),
    `#!/bin/sh\nexec '${process.execPath}' '${join(root, "cli/main.ts")}' "$@"\n`,
    { mode: 0o755 },
  );
  const env = { ...process.env, PATH: `${folder.path}:${process.env.PATH}`, POSTERN_RELAY: postern.url };
  let ran = 0;
  for (const [at, { kind, text }] of blocks.entries()) {
    if (kind !== "sh") continue;
    const shell = spawn("bash", ["-euo", "pipefail", "-c", `exec 2>&1\n${text}`], {
      cwd: folder.path,
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    shell.stdout.on("data", (chunk) => {
      output += chunk;
    });
    const [code] = await once(shell, "close");
    assert.equal(code, 0, `${text}\n${output}`);
    const expected = blocks[at + 1];
    assert.equal(expected?.kind, "text", "a script is followed by what it prints");
    assert.match(output, asPattern(expected!.text), text);
    ran++;
  }
  assert.equal(ran, scripts);
}

test("the commands of the guide's sessions exist, with these options", async () => {
  const sessions = blocksOf("command-line")
    .filter(({ kind }) => kind === "console")
    .map(({ text }) => text);
  const calls = sessions.flatMap((text) =>
    [...text.matchAll(/^\$ postern (.*)$/gm)].map(([, call = ""]) => call),
  );
  assert.ok(calls.length >= 8);
  for (const call of calls) {
    const found = findCommand(call.split(" "));
    assert.ok(found, call);
    const { options } = await found.entry.load();
    const flags = Object.keys(options).map(flagName);
    for (const [, flag = ""] of call.matchAll(/ --([a-z-]+)/g))
      assert.ok(flags.includes(flag), `${call}: --${flag}`);
  }
});
