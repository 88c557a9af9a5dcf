import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { commands } from "#cli/commands.ts";
import { flagName } from "#core/options.ts";
import { runCli } from "#tests/support/cli.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";

test("the list names every command under a heading, and help alone is no error", async () => {
  for (const args of [["--help"], ["help"], ["-h"]]) {
    const { code, stdout } = await runCli(args);
    assert.equal(code, 0);
    for (const { name, summary } of commands)
      assert.ok(stdout.includes(`  ${name} `) && stdout.includes(summary));
  }
  const bare = await runCli([]);
  assert.equal(bare.code, 2);
});

test("a family of commands lists its own", async () => {
  const { code, stdout } = await runCli(["auth", "--help"]);
  assert.equal(code, 0);
  assert.match(stdout.toString(), /auth request/);
  assert.doesNotMatch(stdout.toString(), /serve/);
});

for (const args of [["snd"], ["auth", "reqest"], ["auth"]])
  test(`postern ${args.join(" ")}: exit code 2`, async () => {
    assert.equal((await runCli(args)).code, 2);
  });

test("every command's help names each of its options, and client verbs show examples and exit codes", async () => {
  for (const { name, load } of commands) {
    const { options } = await load();
    if (name === "version") continue;
    const { code, stdout } = await runCli([...name.split(" "), "--help"]);
    const help = stdout.toString();
    assert.equal(code, 0, name);
    assert.match(help, new RegExp(`^ *(Usage: )?postern ${name}`, "m"), name);
    for (const key of Object.keys(options))
      assert.ok(help.includes(`--${flagName(key)}`), `${name} --${flagName(key)}`);
    if ("json" in options)
      assert.ok(/Exit codes:/.test(help) && help.split(`  postern ${name}`).length > 1, name);
  }
});

test("help of one command is also had the other way round", async () => {
  const [one, other] = [await runCli(["help", "send"]), await runCli(["send", "--help"])];
  assert.equal(one.stdout.toString(), other.stdout.toString());
});

test("bash completes commands, their verbs, options and shells", async () => {
  using folder = temporaryFolder();
  const { stdout } = await runCli(["completions", "bash"]);
  const script = folder.file("postern.bash");
  writeFileSync(script, stdout);
  execFileSync("bash", ["-n", script]);
  const complete = (...words: string[]) =>
    execFileSync("bash", [
      "-c",
      `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _postern; printf '%s\\n' "\${COMPREPLY[@]}"`,
      "bash",
      script,
      ...words,
    ])
      .toString()
      .trim()
      .split("\n");
  assert.deepEqual(complete("postern", "rec"), ["receive"]);
  assert.deepEqual(complete("postern", "auth", ""), ["request", "approve", "verify"]);
  assert.deepEqual(complete("postern", "completions", "z"), ["zsh"]);
  assert.deepEqual(complete("postern", "send", "--sec"), ["--secret-file"]);
  assert.deepEqual(complete("postern", "send", "--no"), ["--no-wait"]);
  assert.deepEqual(complete("postern", "auth", "approve", "--pass"), ["--passphrase-file"]);
  assert.deepEqual(complete("postern", "serve", "--max-waiters-per-i"), ["--max-waiters-per-id"]);
});

test("zsh and fish get every command and option", async () => {
  const zsh = (await runCli(["completions", "zsh"])).stdout.toString();
  const fish = (await runCli(["completions", "fish"])).stdout.toString();
  assert.match(zsh, /^#compdef postern\n/);
  for (const { name, load } of commands) {
    for (const word of name.split(" ")) assert.ok(zsh.includes(word) && fish.includes(` -a ${word} `), word);
    for (const key of Object.keys((await load()).options)) {
      assert.ok(zsh.includes(`-${flagName(key)}`), key);
      assert.match(fish, new RegExp(` -l (no-)?${flagName(key)} `), key);
    }
  }
});

test("a shell that is not known is named as the mistake", async () => {
  const { code, stderr } = await runCli(["completions", "csh"]);
  assert.equal(code, 2);
  assert.match(stderr, /Name your shell: bash, zsh, fish\./);
});
