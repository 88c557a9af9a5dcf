import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import * as sdk from "@synonymdev/pubky";
import fc from "fast-check";
import {
  channelUrl,
  createRecoveryFile,
  createVerifier,
  formatCapabilities,
  isPubkyError,
  Keypair,
  normalizeCapabilities,
  openRecoveryFile,
  parseAuthRequest,
  parseLink,
  readCapabilities,
  resumeAuthFlow,
  signAuthToken,
  startAuthFlow,
} from "#clients/pubky/src/index.ts";
import { type Postern, startPostern } from "#tests/support/postern.ts";
import { startActivated } from "#tests/support/socket-activation.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";

// Our side of Pubky Auth with the published SDK on the other. The relay is ours; `RELAY_URL=http://host:port`
// puts another in its place, the original among them.

const CAPS = "/pub/demo.app/:rw,/pub/read.me:r";
const PATIENCE = { timeout: 60_000 };

let relay: Postern | undefined;
let relayUrl = process.env.RELAY_URL ?? "";
before(async () => {
  if (relayUrl !== "") return;
  relay = await startPostern();
  relayUrl = relay.url;
});
after(() => relay?.[Symbol.asyncDispose]());

const sdkSigner = () => {
  const keypair = sdk.Keypair.random();
  return { signer: new sdk.Pubky().signer(keypair), z32: keypair.publicKey.z32() };
};

for (const binding of ["inbox", "link"] as const) {
  describe(`over /${binding}`, () => {
    test(
      "the SDK's signer signs in to our app, and our verifier takes its token once",
      PATIENCE,
      async () => {
        const flow = startAuthFlow({ capabilities: CAPS, relay: `${relayUrl}/${binding}` });
        const { signer, z32 } = sdkSigner();

        await signer.approveAuthRequest(flow.authorizationUrl);
        const approval = await flow.result;
        await flow.settled;

        assert.equal(approval.publicKey.z32, z32);
        assert.deepEqual(approval.capabilities, CAPS.split(","));
        assert.deepEqual([approval.missing, approval.extra], [[], []]);
        const verifier = createVerifier();
        const verified = await verifier.verify(approval.tokenBytes);
        assert.equal(verified.publicKey.z32, z32);
        await assert.rejects(verifier.verify(approval.tokenBytes), (error) =>
          isPubkyError(error, "token_replayed"),
        );
      },
    );

    test("our authenticator signs in to the SDK's app", PATIENCE, async () => {
      const flow = new sdk.Pubky().startAuthFlow(CAPS, sdk.AuthFlowKind.signin(), `${relayUrl}/${binding}`);
      const keypair = Keypair.random();
      const request = parseAuthRequest(flow.authorizationUrl);
      assert.deepEqual(request.capabilities, CAPS.split(","));

      const approving = request.approve({ keypair });
      const token = await flow.awaitToken();
      await approving;

      assert.equal(token.publicKey.z32(), keypair.publicKey.z32);
      assert.deepEqual(token.capabilities, CAPS.split(","));
    });

    test("our authenticator hears that our app took the approval", PATIENCE, async () => {
      const flow = startAuthFlow({ capabilities: "", relay: `${relayUrl}/${binding}/` });
      const keypair = Keypair.random();
      const delivery = await parseAuthRequest(flow.authorizationUrl).approve({ keypair });
      await delivery.delivered();
      assert.ok((await flow.result).publicKey.equals(keypair.publicKey));
    });

    test(
      "signup links and capabilities that need encoding mean the same on both sides",
      PATIENCE,
      async () => {
        const caps = "/pub/a b/ä&=#+%.app/:rw,/pub/100%25:r";
        const homeserver = Keypair.random().publicKey;
        const signup = { homeserver, signupToken: "NN7N-VP43-NTW1" };
        const ours = startAuthFlow({ capabilities: caps, relay: `${relayUrl}/${binding}`, signup });
        await sdkSigner().signer.approveAuthRequest(ours.authorizationUrl);
        assert.deepEqual((await ours.result).capabilities, caps.split(","));

        // The SDK 0.6.0 writes links without encoding, so its own must do without such characters.
        const kind = sdk.AuthFlowKind.signup(sdk.PublicKey.from(homeserver.z32), signup.signupToken);
        const theirs = new sdk.Pubky().startAuthFlow(CAPS, kind, `${relayUrl}/${binding}`);
        const keypair = Keypair.random();
        const signedUp: unknown[] = [];
        const approving = parseAuthRequest(theirs.authorizationUrl).approve({
          keypair,
          signUp: (account) => void signedUp.push(account.homeserver.z32, account.signupToken),
        });
        assert.equal((await theirs.awaitToken()).publicKey.z32(), keypair.publicKey.z32);
        await approving;
        assert.deepEqual(signedUp, [homeserver.z32, signup.signupToken]);
      },
    );

    test("a grant goes from our authenticator to our app", PATIENCE, async () => {
      const flow = startAuthFlow({
        capabilities: CAPS,
        relay: `${relayUrl}/${binding}`,
        grant: { clientId: "demo.app" },
      });
      const keypair = Keypair.random();
      const delivery = await parseAuthRequest(flow.authorizationUrl).approve({ keypair });
      await delivery.delivered();
      const approval = await flow.result;
      assert.ok(approval.publicKey.equals(keypair.publicKey));
      assert.ok(approval.grant.clientKey.equals(approval.clientKeypair.publicKey));
      assert.deepEqual(approval.capabilities, CAPS.split(","));
    });
  });
}

test("a stranger's junk on the channel does not end our flow", PATIENCE, async () => {
  const flow = startAuthFlow({ capabilities: "", relay: `${relayUrl}/inbox` });
  const { signer, z32 } = sdkSigner();
  const link = parseLink(flow.authorizationUrl);
  assert.ok("relay" in link);
  const ignored = new Promise<void>((resolve) => {
    flow.subscribe(({ ignoredMessages }) => ignoredMessages > 0 && resolve());
  });
  await fetch(channelUrl(link.relay, link.clientSecret), { method: "POST", body: "not for you" });
  await ignored;

  await signer.approveAuthRequest(flow.authorizationUrl);
  assert.equal((await flow.result).publicKey.z32, z32);
  assert.equal(flow.status.ignoredMessages, 1);
});

test("a flow resumed from its link alone finds the SDK's approval", PATIENCE, async () => {
  const first = startAuthFlow({ capabilities: CAPS, relay: `${relayUrl}/inbox` });
  const { signer, z32 } = sdkSigner();
  first.cancel();
  await assert.rejects(first.result, (error) => isPubkyError(error, "flow_cancelled"));

  await signer.approveAuthRequest(first.authorizationUrl);
  const resumed = resumeAuthFlow(first.authorizationUrl);
  assert.equal(resumed.authorizationUrl, first.authorizationUrl);
  assert.equal((await resumed.result).publicKey.z32, z32);
});

test("our flow survives a restart of the relay", PATIENCE, async () => {
  await using before = await startPostern();
  const flow = startAuthFlow({ capabilities: CAPS, relay: `${before.url}/inbox` });
  const { signer, z32 } = sdkSigner();
  const troubled = new Promise<void>((resolve) => {
    flow.subscribe(({ trouble }) => trouble && resolve());
  });
  before.process.kill("SIGTERM");
  await before.exited;
  await troubled;
  await using again = await startPostern(["--port", new URL(before.url).port]);
  assert.equal(again.url, before.url);

  await signer.approveAuthRequest(flow.authorizationUrl);
  assert.equal((await flow.result).publicKey.z32, z32);
  await flow.settled;
});

test(
  "the SDK's waiting app survives a restart of the relay behind an inherited socket",
  PATIENCE,
  async () => {
    using folder = temporaryFolder();
    await using relay = await startActivated(2, ["--persist-db", folder.file("relay.db")]);
    const flow = new sdk.Pubky().startAuthFlow(CAPS, sdk.AuthFlowKind.signin(), `${relay.url}/inbox`);
    const channel = channelUrl(
      `${relay.url}/inbox`,
      parseAuthRequest(flow.authorizationUrl).link.clientSecret,
    );
    // The app polls by now or will soon: cut or queued, its flow has to go on.
    await (await fetch(`${channel}/ack`)).text();
    relay.stop();
    const { signer, z32 } = sdkSigner();
    await signer.approveAuthRequest(flow.authorizationUrl);
    const token = await flow.awaitToken();
    assert.equal(token.publicKey.z32(), z32);
    assert.equal(relay.starts(), 2);
    relay.stop();
    assert.equal(await relay.exited, 0);
  },
);

test("links mean the same to the SDK and to us, in both directions", () => {
  const flow = startAuthFlow({
    capabilities: CAPS,
    relay: "http://127.0.0.1:1/inbox?a=b&c=%25+d",
    signup: { homeserver: Keypair.random().publicKey, signupToken: "a&b=c#d %+é" },
  });
  flow.cancel();
  const ours = parseLink(flow.authorizationUrl);
  assert.equal(ours.kind, "signup");
  assert.ok(ours.kind === "signup");
  const theirs = sdk.SignupDeepLink.parse(flow.authorizationUrl);
  assert.equal(theirs.capabilities, CAPS);
  assert.equal(theirs.baseRelayUrl, ours.relay);
  assert.deepEqual(theirs.secret, ours.clientSecret);
  assert.equal(theirs.homeserver.z32(), ours.homeserver.z32);
  assert.equal(theirs.signupToken, ours.signupToken);

  const plain = sdk.SigninDeepLink.parse(
    "pubkyauth://signin?caps=/pub/a/:rw,bogus&relay=http://localhost:15412/link&secret=kqnceEMgrNQM_xi06oQXjA3cJHX_RQmw1BY6JE1bse8",
  );
  const read = parseLink(plain.toString());
  assert.ok(read.kind === "signin");
  assert.deepEqual(read.clientSecret, plain.secret);
  assert.equal(formatCapabilities(read.capabilities), plain.capabilities);
});

test("whatever we sign, the SDK verifies and prints again unchanged", async () => {
  const scope = fc
    .array(fc.constantFrom("pub", "a", "b", "ab", "é", "a b"), { maxLength: 3 })
    .chain((segments) => fc.constantFrom(`/${segments.join("/")}`, `/${segments.join("/")}/`));
  const entry = fc
    .tuple(scope, fc.constantFrom("", "r", "w", "rw", "wr", "rr"))
    .map((pair) => pair.join(":"));
  const keypair = Keypair.fromSecret(new Uint8Array(32).fill(7));
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 6 }), async (entries) => {
      const { capabilities } = readCapabilities(entries.join(","));
      const bytes = await signAuthToken(keypair, capabilities, BigInt(Date.now()) * 1000n);
      const token = sdk.AuthToken.verify(bytes);
      assert.deepEqual(token.toBytes(), bytes);
      assert.deepEqual(token.capabilities.join(","), formatCapabilities(normalizeCapabilities(capabilities)));
    }),
    { numRuns: 150 },
  );
});

test("recovery files open on the other side, both ways", async () => {
  const passphrase = "correct horse, bâttery staple";
  const ours = Keypair.random();
  const theirReading = sdk.Keypair.fromRecoveryFile(await createRecoveryFile(ours, passphrase), passphrase);
  assert.equal(theirReading.publicKey.z32(), ours.publicKey.z32);

  const theirs = sdk.Keypair.random();
  const ourReading = await openRecoveryFile(theirs.createRecoveryFile(passphrase), passphrase);
  assert.equal(ourReading.publicKey.z32, theirs.publicKey.z32());
});
