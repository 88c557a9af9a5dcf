import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { createSecret, parseCode } from "#clients/client/src/index.ts";
import { runCli, startCli } from "#tests/support/cli.ts";
import { type Postern, startPostern } from "#tests/support/postern.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";

/** An id that no shell and no reader of options takes for something else. */
const freshId = () => `id-${createSecret()}`;

let postern: Postern;
let env: NodeJS.ProcessEnv;
before(async () => {
  postern = await startPostern();
  env = { POSTERN_RELAY: postern.url };
});
after(() => postern[Symbol.asyncDispose]());

test("2048 random bytes go through a plain id as they are", async () => {
  const bytes = randomBytes(2048);
  const id = freshId();
  const [sent, received] = await Promise.all([
    runCli(["send", id], { env, input: bytes }),
    runCli(["receive", id], { env }),
  ]);
  assert.deepEqual(
    { code: sent.code, stdout: sent.stdout.length, stderr: sent.stderr },
    { code: 0, stdout: 0, stderr: "Collected, 2048 bytes.\n" },
  );
  assert.equal(received.code, 0);
  assert.equal(received.stderr, "");
  assert.ok(received.stdout.equals(bytes));
});

test("send makes a code, with which the other side receives", async () => {
  const bytes = randomBytes(1900);
  await using sending = startCli(["send"], { env, input: bytes });
  const [, code = ""] = await sending.until("stderr", /postern receive '(\S+)'/);
  assert.ok(code.startsWith(`${postern.url}/#`));
  const received = await runCli(["receive", code]);
  assert.equal(received.code, 0);
  assert.ok(received.stdout.equals(bytes));
  assert.equal((await sending.ended).code, 0);
});

test("receive makes a code, with which the other side sends; the relay never sees the text", async () => {
  await using receiving = startCli(["receive"], { env });
  const [, code = ""] = await receiving.until("stderr", /postern send '(\S+)'/);
  const sent = await runCli(["send", code, "--no-wait", "--json"], { input: "the text" });
  assert.equal(sent.code, 0);
  const received = await receiving.ended;
  assert.equal(received.code, 0);
  assert.equal(received.stdout.toString(), "the text");
  assert.ok(!postern.log().includes(parseCode(code).secret));
});

test("a QR code is drawn where it is asked for", async () => {
  const plain = await runCli(["send", "--no-wait"], { env, input: "x" });
  const drawn = await runCli(["send", "--no-wait", "--qr"], { env, input: "x" });
  assert.doesNotMatch(plain.stderr, /[▀▄█]/);
  assert.match(drawn.stderr, /[▀▄█]{10}/);
});

test("--json tells each step as a line and nothing else", async () => {
  await using sending = startCli(["send", "--json", "--content-type", "text/x-note"], {
    env,
    input: "hello",
  });
  const [, code = ""] = await sending.until("stdout", /"code":"([^"]+)"/);
  const received = await runCli(["receive", code, "--json"]);
  assert.deepEqual(received.json(), [
    { event: "message", contentType: "text/x-note", bytes: 5, body: "aGVsbG8=" },
  ]);
  const sent = await sending.ended;
  const [made, stored, delivered] = sent.json();
  assert.deepEqual(made, { event: "code", code });
  assert.equal(stored!.event, "stored");
  assert.equal(stored!.bytes, 5);
  assert.ok(Date.parse(String(stored!.expiresAt)) > Date.now());
  assert.deepEqual(delivered, { event: "delivered" });
  assert.equal(sent.stderr + received.stderr, "");
});

test("the code can come from a file, or from stdin", async () => {
  using folder = temporaryFolder();
  const secret = createSecret();
  const file = folder.file("secret.txt");
  writeFileSync(file, `${secret}\n`);
  const sent = await runCli(["send", "--secret-file", file, "--no-wait"], { env, input: "by file" });
  assert.equal(sent.code, 0);
  assert.ok(!sent.stderr.includes(secret));
  const received = await runCli(["receive", "--secret-file", "-"], { input: `${postern.url}/#${secret}` });
  assert.equal(received.stdout.toString(), "by file");
});

test("--keep leaves the message, and the sender waits on", async () => {
  const id = freshId();
  await runCli(["send", id, "--no-wait"], { env, input: "still here" });
  for (let at = 0; at < 2; at++) {
    const looked = await runCli(["receive", id, "--keep"], { env });
    assert.equal(looked.stdout.toString(), "still here");
  }
  const acked = await fetch(`${postern.url}/inbox/${id}/ack`);
  assert.equal(await acked.text(), "false");
});

test("--follow receives message after message until it is interrupted", async () => {
  const id = freshId();
  await using following = startCli(["receive", id, "--follow"], { env });
  for (const text of ["one ", "two ", "three"])
    assert.equal((await runCli(["send", id], { env, input: text })).code, 0);
  await following.until("stdout", /three/);
  following.process.kill("SIGINT");
  const { code, stdout } = await following.ended;
  assert.equal(stdout.toString(), "one two three");
  assert.equal(code, 130);
});

test("a message that cannot be written is not acknowledged", async () => {
  const id = freshId();
  await using receiving = startCli(["receive", id], { env });
  receiving.process.stdout!.destroy();
  const sent = await runCli(["send", id, "--timeout", "2s"], { env, input: "lost?" });
  assert.equal(sent.code, 3);
  assert.equal((await receiving.ended).code, 1);
  assert.equal((await runCli(["receive", id], { env })).stdout.toString(), "lost?");
});

test("Ctrl-C ends a wait with 130, an open stdin too", async () => {
  await using receiving = startCli(["receive"], { env });
  await receiving.until("stderr", /postern send/);
  receiving.process.kill("SIGINT");
  assert.equal((await receiving.ended).code, 130);
});

const cases: {
  name: string;
  args: () => string[];
  input?: string | Uint8Array;
  code: number;
  stderr: RegExp;
}[] = [
  {
    name: "nobody comes",
    args: () => ["receive", freshId(), "--timeout", "50ms"],
    code: 3,
    stderr: /^postern receive: Nothing came in time\.\n$/,
  },
  {
    name: "nobody collects",
    args: () => ["send", freshId(), "--timeout", "2s"],
    code: 3,
    stderr: /Nothing came in time/,
  },
  {
    name: "the message is too large",
    args: () => ["send", freshId()],
    input: new Uint8Array(2049),
    code: 4,
    stderr: /larger than the relay takes\. A relay takes 2048 bytes/,
  },
  {
    name: "no relay is there",
    args: () => ["receive", "x", "--relay", "http://127.0.0.1:2", "--timeout", "3s"],
    code: 1,
    stderr: /could not be reached in time\. `postern doctor URL`/,
  },
  {
    name: "an option is unknown",
    args: () => ["send", "--secret", "x"],
    code: 2,
    stderr: /--secret: no such option\. Did you mean --secret-file\?\nTry postern send --help\.\n$/,
  },
  {
    name: "a value is not possible",
    args: () => ["receive", "--timeout", "soon"],
    code: 2,
    stderr: /--timeout: "soon" is not possible; allowed: a duration such as/,
  },
  {
    name: "there are too many words, which may be secrets",
    args: () => ["receive", "http://r.example/#first", "second"],
    code: 2,
    stderr: /^postern receive: Too many words: 2, expected at most 1; see --help\.\nTry [^#]*$/,
  },
  {
    name: "a code is damaged, which is not quoted",
    args: () => ["receive", "https://relay.example/#secretsecret"],
    code: 2,
    stderr: /^postern receive: Not a code: expected the relay's URL, # and the secret\.\n$/,
  },
  {
    name: "the code names another relay than the option",
    args: () => ["receive", `https://relay.example/#${createSecret()}`, "--relay", "http://127.0.0.1:2"],
    code: 2,
    stderr: /--relay: the code names the relay already/,
  },
  {
    name: "the relay is no URL",
    args: () => ["receive", "--relay", "relay.example"],
    code: 2,
    stderr: /relay: expected a URL such as https:\/\/relay\.example/,
  },
  {
    name: "the secret file is missing",
    args: () => ["send", "--secret-file", "/nowhere/secret"],
    code: 2,
    stderr: /--secret-file: cannot read \/nowhere\/secret: ENOENT/,
  },
  {
    name: "the file is missing",
    args: () => ["send", "x", "--file", "/nowhere/file"],
    code: 1,
    stderr: /ENOENT/,
  },
];
for (const { name, args, input, code, stderr } of cases)
  test(`when ${name}: exit code ${code} and a sentence`, async () => {
    const ended = await runCli(args(), { env, input: input ?? "x" });
    assert.match(ended.stderr, stderr);
    assert.equal(ended.code, code);
    assert.equal(ended.stdout.length, 0);
  });

test("with --json a failure is JSON on stderr", async () => {
  const { code, stdout, stderr } = await runCli(["receive", "x", "--json", "--timeout", "50ms"], { env });
  assert.equal(code, 3);
  assert.equal(stdout.length, 0);
  assert.deepEqual(JSON.parse(stderr), { error: { code: "timed_out", message: "Nothing came in time." } });
});

test("a variable for the client verbs does not keep the relay from starting", async () => {
  const config = await runCli(["config"], { env });
  assert.equal(config.code, 0);
});
