import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startPostern } from "#tests/support/postern.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";

const main = join(dirname(fileURLToPath(import.meta.url)), "../../cli/main.ts");
const folder = temporaryFolder();
after(() => folder[Symbol.dispose]());

const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

/**
 * Runs `postern ARGS` on a pseudo-terminal, as a person would, typing each answer once its prompt is there. `script` is
 * part of util-linux and so of every Debian.
 */
async function onTerminal(args: readonly string[], answers: readonly (readonly [RegExp, string])[]) {
  const command = [process.execPath, main, ...args].map(quoted).join(" ");
  const shell = spawn("script", ["--quiet", "--return", "--command", command, "/dev/null"]);
  let screen = "";
  let from = 0;
  const left = [...answers];
  shell.stdout.on("data", (chunk) => {
    screen += chunk;
    const next = left[0];
    const match = next?.[0].exec(screen.slice(from));
    if (!next || !match) return;
    left.shift();
    from += match.index + match[0].length;
    shell.stdin.write(next[1]);
  });
  const [code] = (await once(shell, "close")) as [number];
  assert.equal(left.length, 0, `not asked for ${left[0]?.[0]}:\n${screen}`);
  return { code, screen };
}

test("a passphrase is asked for, twice for a new key, and not shown", async () => {
  const file = folder.file("me.pkarr");
  const made = await onTerminal(
    ["key", "new", file],
    [
      [/Passphrase: /, "correct horse\r"],
      [/Once more: /, "correct horse\r"],
    ],
  );
  assert.equal(made.code, 0);
  assert.doesNotMatch(made.screen, /horse/);
  const shown = await onTerminal(
    ["key", "show", file],
    [[/Passphrase: /, "correct hoarse\x7f\x7f\x7f\x7frse\r"]],
  );
  assert.equal(shown.code, 0);
  const publicKey = /pubky\w{52}/.exec(made.screen)![0];
  assert.ok(shown.screen.includes(publicKey));
});

test("two passphrases that differ make no key; Ctrl-C at the question ends with 130", async () => {
  const file = folder.file("none.pkarr");
  const differ = await onTerminal(
    ["key", "new", file],
    [
      [/Passphrase: /, "one\r"],
      [/Once more: /, "two\r"],
    ],
  );
  assert.equal(differ.code, 2);
  assert.match(differ.screen, /The two passphrases differ/);
  const interrupted = await onTerminal(["key", "new", file], [[/Passphrase: /, "on\x03"]]);
  assert.equal(interrupted.code, 130);
});

test("a request is shown and approved or declined by a letter", async () => {
  const key = folder.file("me.key");
  await onTerminal(["key", "new", key, "--plain"], []);
  await using postern = await startPostern();
  const link = `pubkyauth://signin?caps=/:rw&relay=${postern.url}/inbox&secret=${"A".repeat(43)}`;
  const approve = ["auth", "approve", link, "--key", key, "--timeout", "0s"];

  const declined = await onTerminal(approve, [[/Approve\? \[y\/N\] /, "n\r"]]);
  assert.equal(declined.code, 4);
  assert.match(declined.screen, /EVERYTHING/);
  assert.match(declined.screen, /Declined; nothing was sent/);

  const approved = await onTerminal(approve, [[/Approve\? \[y\/N\] /, "y\r"]]);
  assert.equal(approved.code, 0);
  assert.match(approved.screen, /Approved as pubky/);
});

test("a terminal gets the QR code and a line that shows the waiting, which Ctrl-C ends", async () => {
  await using postern = await startPostern();
  const { code, screen } = await onTerminal(
    ["receive", "--relay", postern.url],
    [[/Waiting.*Ctrl-C stops/, "\x03"]],
  );
  assert.equal(code, 130);
  assert.match(screen, /postern send 'http/);
  assert.match(screen, /[▀▄█]{5}/);
});
