import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { Keypair, PublicKey } from "#clients/pubky/src/index.ts";
import { runCli, startCli } from "#tests/support/cli.ts";
import { type Postern, startPostern } from "#tests/support/postern.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";

let postern: Postern;
let env: NodeJS.ProcessEnv;
const folder = temporaryFolder();
const key = folder.file("me.key");
const person = Keypair.random();
before(async () => {
  postern = await startPostern();
  env = { POSTERN_RELAY: postern.url };
  writeFileSync(key, `${Buffer.from(person.secretBytes()).toString("hex")}\n`, { mode: 0o600 });
});
after(async () => {
  await postern[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

test("request, approve, verify: the token says who signed in and what they granted", async () => {
  await using requesting = startCli(["auth", "request", "--caps", "/pub/my.app/:rw,/pub/photos/:r"], { env });
  const [link = ""] = await requesting.until("stderr", /pubkyauth:\S+/);
  const approved = await runCli(["auth", "approve", link, "--key", key, "--yes"]);
  assert.equal(approved.code, 0);
  assert.match(approved.stderr, /It asks for:\n {4}\/pub\/my\.app\/:rw\n {4}\/pub\/photos\/:r\n/);
  assert.match(approved.stderr, /The app has it\.\n$/);

  const requested = await requesting.ended;
  assert.equal(requested.code, 0);
  const [token] = requested.json();
  assert.equal(token!.publicKey, person.publicKey.z32);
  assert.deepEqual(token!.capabilities, ["/pub/my.app/:rw", "/pub/photos/:r"]);
  assert.deepEqual(token!.missing, []);

  for (const given of [requested.stdout, String(token!.token)]) {
    const verified = await runCli(["auth", "verify"], { input: given });
    assert.equal(verified.code, 0);
    const { publicKey, capabilities, issuedAt } = token!;
    assert.deepEqual(verified.json(), [{ publicKey, capabilities, issuedAt }]);
  }
});

test("less can be granted than was asked, not more; --json tells each step", async () => {
  await using requesting = startCli(["auth", "request", "--caps", "/pub/my.app/:rw", "--json"], { env });
  const [, link = ""] = await requesting.until("stdout", /"url":"([^"]+)"/);
  const extra = await runCli(["auth", "approve", link, "--key", key, "--yes", "--caps", "/:rw", "--json"]);
  assert.equal(extra.code, 4);
  assert.equal(JSON.parse(extra.stderr).error.code, "capabilities_extra");

  const args = ["auth", "approve", "-", "--key", key, "--yes", "--caps", "/pub/my.app/:r", "--json"];
  const approved = await runCli(args, { input: `${link}\n` });
  const [request, ...rest] = approved.json();
  assert.equal(request!.event, "request");
  assert.deepEqual(request!.capabilities, ["/pub/my.app/:rw"]);
  assert.deepEqual(request!.warnings, ["relay_without_tls"]);
  assert.deepEqual(rest, [{ event: "approved", publicKey: person.publicKey.z32 }, { event: "delivered" }]);
  const [, token] = (await requesting.ended).json();
  assert.equal(token!.event, "token");
  assert.deepEqual(token!.capabilities, ["/pub/my.app/:r"]);
  assert.deepEqual(token!.missing, ["/pub/my.app/:w"]);
});

test("a request that nobody approves ends with 3, an interrupted one with 130", async () => {
  const expired = await runCli(["auth", "request", "--timeout", "50ms"], { env });
  assert.equal(expired.code, 3);
  assert.match(expired.stderr, /Nobody approved in time/);
  await using requesting = startCli(["auth", "request"], { env });
  await requesting.until("stderr", /pubkyauth:/);
  requesting.process.kill("SIGINT");
  assert.equal((await requesting.ended).code, 130);
});

test("approving asks, and where nobody can be asked it wants --yes", async () => {
  const link = `pubkyauth://signin?caps=&relay=${postern.url}/inbox&secret=${"A".repeat(43)}`;
  const { code, stderr } = await runCli(["auth", "approve", link, "--key", key]);
  assert.equal(code, 2);
  assert.match(stderr, /asks only who you are/);
  assert.match(stderr, /--yes: needed where there is no terminal/);
});

const bad: { name: string; args: string[]; code: number; stderr: RegExp }[] = [
  {
    name: "a link of another kind",
    args: ["auth", "approve", "https://x", "--key", key, "--yes"],
    code: 2,
    stderr: /Invalid schema/,
  },
  {
    name: "a link without a secret",
    args: ["auth", "approve", "pubkyauth://signin?caps=&relay=http://127.0.0.1", "--key", key],
    code: 2,
    stderr: /secret/,
  },
  {
    name: "no key",
    args: ["auth", "approve", "pubkyauth://signin"],
    code: 2,
    stderr: /--key: needed; postern key new makes one/,
  },
  {
    name: "capabilities that are none",
    args: ["auth", "request", "--caps", "everything"],
    code: 1,
    stderr: /Write them as \/pub\/my\.app\/:rw/,
  },
  {
    name: "a token that is none",
    args: ["auth", "verify", "AAAA"],
    code: 4,
    stderr: /Not a Pubky Auth token/,
  },
  { name: "a token in another alphabet", args: ["auth", "verify", "a+b/"], code: 2, stderr: /Not base64url/ },
  { name: "no token", args: ["auth", "verify"], code: 2, stderr: /No token/ },
  { name: "no file to make", args: ["key", "new"], code: 2, stderr: /Name the file/ },
  {
    name: "a key file that is there already",
    args: ["key", "new", key, "--plain"],
    code: 2,
    stderr: /no key is ever overwritten/,
  },
  {
    name: "a passphrase for what has none",
    args: ["key", "new", "x", "--plain", "--passphrase-file", key],
    code: 2,
    stderr: /has no passphrase/,
  },
  {
    name: "no passphrase and nobody to ask",
    args: ["key", "new", folder.file("new")],
    code: 2,
    stderr: /--passphrase-file: needed/,
  },
  {
    name: "a key file that is none",
    args: ["key", "show", import.meta.filename],
    code: 1,
    stderr: /neither a recovery file nor a seed/,
  },
  { name: "no key file", args: ["key", "show", "/nowhere/key"], code: 1, stderr: /ENOENT/ },
];
for (const { name, args, code, stderr } of bad)
  test(`${name}: exit code ${code} and a sentence`, async () => {
    const ended = await runCli(args, { env });
    assert.match(ended.stderr, stderr);
    assert.equal(ended.code, code);
    assert.equal(ended.stdout.length, 0);
  });

test("a plain key is for its owner's eyes, and shows its public half alone", async () => {
  const file = folder.file("plain.key");
  const made = await runCli(["key", "new", file, "--plain"]);
  assert.equal(made.code, 0);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const seed = readFileSync(file, "utf8").trim();
  assert.match(seed, /^[0-9a-f]{64}$/);
  const shown = await runCli(["key", "show", file]);
  assert.equal(shown.stdout.toString(), made.stdout.toString());
  assert.equal(
    shown.stdout.toString().trim(),
    String(Keypair.fromSecret(Buffer.from(seed, "hex")).publicKey),
  );
  assert.ok(!`${made.stdout}${made.stderr}${shown.stderr}`.includes(seed));
});

test("a recovery file opens with its passphrase alone", async () => {
  const file = folder.file("me.pkarr");
  writeFileSync(folder.file("right"), "correct horse\n");
  writeFileSync(folder.file("wrong"), "battery staple\n");
  const made = await runCli(["key", "new", file, "--passphrase-file", folder.file("right"), "--json"]);
  const [row] = made.json();
  assert.deepEqual({ ...row, publicKey: "" }, { publicKey: "", file, format: "recovery" });
  PublicKey.parseZ32(String(row!.publicKey));
  assert.match(readFileSync(file).toString("latin1"), /^pubky\.org\/recovery\n/);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const shown = await runCli(["key", "show", file, "--passphrase-file", "-", "--json"], {
    input: "correct horse",
  });
  assert.deepEqual(shown.json(), [row]);
  const refused = await runCli(["key", "show", file, "--passphrase-file", folder.file("wrong")]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /does not open with this passphrase/);
});
