import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { liveOnSimClock } from "#tests/support/live-http.ts";
import { muxPair } from "#tests/support/live-pair.ts";
import { RawSession } from "#tests/support/raw-session.ts";
import { settle } from "#tests/support/sim-clock.ts";
import { draftOf } from "#wire/live/ietf/draft.ts";
import { encodeClientSetup, encodeSetup } from "#wire/live/ietf/setup.ts";
import { type IetfDraft, setupOf } from "#wire/live/version.ts";
import { newKeyFile, signingKey, verifyingKey } from "../auth/key.ts";
import { oneKey } from "../auth/key-source.ts";
import { mintToken } from "../auth/token.ts";

const file = await newKeyFile("HS256", "key");
const keys = oneKey(await verifyingKey(file));

/** A session at `/room` that brings `jwt` in its SETUP. */
async function knocking(version: IetfDraft, jwt: string | undefined, open?: string) {
  const grants = open === undefined ? undefined : { root: open, put: [""], get: [""] };
  const { live, clock } = liveOnSimClock({ keys, public: grants });
  const knock = { path: "/room", query: new URLSearchParams(), authorization: undefined };
  const grant = await live.admit({ ...knock, ...setupOf(version) });
  const pair = muxPair(clock, "qmux-02", version);
  const raw = new RawSession(pair.client);
  live.accept(pair.server, grant);
  const draft = draftOf(version);
  // By value, of the type that both sides know of.
  const token = Uint8Array.from([3, 0, ...new TextEncoder().encode(jwt)]);
  const options = jwt === undefined ? {} : { tokens: [token] };
  if (draft.requestStreams) raw.uni(encodeSetup(options, draft));
  else raw.bidi(encodeClientSetup(options, draft));
  const [session] = live.relay.sessions;
  // Signatures are checked off this turn.
  await new Promise<void>((decided) => {
    session!.whenReady(decided);
    session!.whenOver(decided);
  });
  await settle();
  return { live, clock, raw, session };
}

async function minted(now: number, root = "room"): Promise<string> {
  const wish = { root, put: ["me"], get: [""], cluster: false, expiresAt: now + 5_000 };
  return mintToken(await signingKey(file), wish, now);
}

const startAt = liveOnSimClock().clock.now();

describe("a JWT in the SETUP of moq-transport", () => {
  for (const version of [14, 18] as const) {
    test(`gives draft ${version} its rights, until it expires`, async () => {
      const { session, raw, clock } = await knocking(version, await minted(startAt));
      assert.equal(session?.knownVersion, version);
      assert.deepEqual([session.grant.root, session.grant.put, session.grant.get], ["room", ["me"], [""]]);
      await clock.advance(5_000);
      assert.equal(raw.end?.code, 2);
    });

    test(`that is not good, or is not there, closes draft ${version} as unauthorized`, async () => {
      for (const jwt of [await minted(startAt, "elsewhere"), "a.b.c", undefined]) {
        const { raw } = await knocking(version, jwt);
        assert.equal(raw.end?.code, 2);
        assert.equal(raw.end.reason.includes("."), false);
      }
    });
  }

  test("goes before what is public; without one there is that", async () => {
    const shown = await knocking(16, await minted(startAt), "");
    assert.deepEqual(shown.session?.grant.put, ["me"]);
    const silent = await knocking(16, undefined, "");
    assert.deepEqual(silent.session?.grant.put, [""]);
  });

  test("is asked about again like any other", async () => {
    const { live, session } = await knocking(18, await minted(startAt));
    assert.ok(live.tokenOf(session!.grant));
    assert.equal(await live.recheck(), 0);
  });
});
