import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import * as sdk from "@synonymdev/pubky";
import { runCli, startCli } from "#tests/support/cli.ts";
import { type Postern, startPostern } from "#tests/support/postern.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";

// The command line with the published SDK on the other side.

let relay: Postern;
const folder = temporaryFolder();
const passphrase = "correct horse";
before(async () => {
  relay = await startPostern();
  writeFileSync(folder.file("passphrase"), passphrase);
});
after(async () => {
  await relay[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});
const withPassphrase = ["--passphrase-file", folder.file("passphrase")];

for (const route of ["", "/link"])
  test(`postern auth request: the SDK's signer approves${route && ` over ${route}`}`, async () => {
    const args = ["auth", "request", "--relay", `${relay.url}${route}`, "--caps", "/pub/demo.app/:rw"];
    await using requesting = startCli(args);
    const [link = ""] = await requesting.until("stderr", /pubkyauth:\S+/);
    const keypair = sdk.Keypair.random();
    await new sdk.Pubky().signer(keypair).approveAuthRequest(link);
    const { code, stdout, json } = await requesting.ended;
    assert.equal(code, 0);
    assert.equal(json()[0]!.publicKey, keypair.publicKey.z32());
    assert.deepEqual(json()[0]!.capabilities, ["/pub/demo.app/:rw"]);
    assert.equal((await runCli(["auth", "verify"], { input: stdout })).code, 0);
  });

test("postern auth approve: the SDK's app takes the token; the key is the SDK's recovery file", async () => {
  const keypair = sdk.Keypair.random();
  const key = folder.file("sdk.pkarr");
  writeFileSync(key, keypair.createRecoveryFile(passphrase));
  const flow = new sdk.Pubky().startAuthFlow(
    "/pub/demo.app/:rw",
    sdk.AuthFlowKind.signin(),
    `${relay.url}/inbox`,
  );
  const approving = runCli([
    "auth",
    "approve",
    flow.authorizationUrl,
    "--key",
    key,
    "--yes",
    ...withPassphrase,
  ]);
  const token = await flow.awaitToken();
  assert.equal(token.publicKey.z32(), keypair.publicKey.z32());
  const { code, stderr } = await approving;
  assert.equal(code, 0, stderr);
});

test("postern key new: the SDK opens the recovery file", async () => {
  const key = folder.file("ours.pkarr");
  const made = await runCli(["key", "new", key, "--json", ...withPassphrase]);
  const opened = sdk.Keypair.fromRecoveryFile(readFileSync(key), passphrase);
  assert.equal(opened.publicKey.z32(), made.json()[0]!.publicKey);
});
