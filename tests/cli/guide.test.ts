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
const guide = readFileSync(join(root, "docs/guides/command-line.md"), "utf8");
const blocks = [...guide.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, kind = "", text = ""]) => ({
  kind,
  text,
}));

/** `…` in the guide stands for anything within a line. */
const asPattern = (text: string) =>
  new RegExp(
    `^${text
      .split("…")
      .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
      .join("[^\\n]*")}$`,
  );

test("the guide's scripts do what it says, one after the other in one folder", async () => {
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
  assert.equal(ran, 5);
});

test("the commands of the guide's sessions exist, with these options", async () => {
  const sessions = blocks.filter(({ kind }) => kind === "console").map(({ text }) => text);
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
