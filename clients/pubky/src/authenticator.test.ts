import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { settle, simClock, simEntropy } from "../../../tests/support/sim-clock.ts";
import { rejectsCode, throwsCode } from "../tests/assert-code.ts";
import { counted, filled, hex } from "../tests/sdk-vectors.ts";
import { simRelay } from "../tests/sim-relay.ts";
import { verifyAuthToken } from "./auth-token.ts";
import { type ApproveOptions, parseAuthRequest } from "./authenticator.ts";
import { encodeBase64url } from "./base64url.ts";
import { fromUtf8 } from "./bytes.ts";
import { formatCapabilities } from "./capabilities.ts";
import { verifyGrant } from "./grant.ts";
import { Keypair } from "./keys.ts";
import { open } from "./sealed-box.ts";

const user = Keypair.fromSecret(filled(7));
const client = Keypair.fromSecret(filled(8));
const SECRET = encodeBase64url(counted);
const HS = Keypair.fromSecret(filled(0)).publicKey;
const CAPS = "/pub/demo.app/:rw,/pub/read.me:r";

const linkTo = (intent: string, { relay = "https://relay.example/inbox", caps = CAPS, more = "" } = {}) =>
  `pubkyauth://${intent}?caps=${caps}&relay=${relay}&secret=${SECRET}${more}`;
const SIGNIN = linkTo("signin");
const LINK_RELAY = linkTo("signin", { relay: "https://relay.example/link" });
const GRANT = linkTo("signin_grant", { more: `&cid=demo.app&cpk=${client.publicKey.z32}` });
const SIGNUP = linkTo("signup", { more: `&hs=${HS.z32}&st=NN7N-VP43-NTW1` });

function world() {
  const clock = simClock();
  const relay = simRelay(clock);
  const options: ApproveOptions = { keypair: user, clock, entropy: simEntropy(), fetch: relay.fetch };
  const token = () => verifyAuthToken(open(counted, relay.body!), { now: clock.now() });
  return { clock, relay, options, token };
}

describe("what a person is shown", () => {
  test("capabilities in the normal form, the relay's host, and what the link says of the app", () => {
    const request = parseAuthRequest(linkTo("signin", { caps: "/pub/a/:wr,/pub/a/b:r" }));
    assert.equal(request.kind, "signin");
    assert.deepEqual(request.capabilities, ["/pub/a/:rw"]);
    assert.equal(request.relayHost, "relay.example");
    assert.deepEqual(request.warnings, []);
    assert.equal(request.clientId, undefined);

    const grant = parseAuthRequest(GRANT);
    assert.equal(grant.clientId, "demo.app");
    assert.ok(grant.clientKey?.equals(client.publicKey));
  });

  test("a new account and where it would be", () => {
    const request = parseAuthRequest(SIGNUP);
    assert.ok(request.homeserver?.equals(HS));
    assert.equal(request.signupToken, "NN7N-VP43-NTW1");
    assert.deepEqual(request.warnings, ["new_account"]);
  });

  test("what to be wary of", () => {
    const url = linkTo("signin", { caps: "/:rw,bogus", relay: "http://relay.example:8080/inbox" });
    const request = parseAuthRequest(url);
    assert.deepEqual(request.warnings, [
      "asks_for_everything",
      "relay_without_tls",
      "unreadable_capabilities",
    ]);
    assert.equal(request.relayHost, "relay.example:8080");
    assert.deepEqual(parseAuthRequest(linkTo("signin", { caps: "/:r" })).warnings, []);
  });

  test("nothing, for links that go through no relay", () => {
    throwsCode(
      () => parseAuthRequest(`pubkyauth://secret_export?secret=${SECRET}`),
      "request_not_approvable",
    );
    throwsCode(() => parseAuthRequest(`pubkyauth://direct_signup?hs=${HS.z32}`), "request_not_approvable");
    throwsCode(() => parseAuthRequest("https://relay.example/"), "link_scheme");
  });
});

describe("approving", () => {
  test("leaves a sealed token for exactly what was asked", async () => {
    const { relay, options, token, clock } = world();
    await parseAuthRequest(SIGNIN).approve(options);
    assert.deepEqual(relay.log, ["POST inbox"]);
    assert.ok(token().publicKey.equals(user.publicKey));
    assert.equal(formatCapabilities(token().capabilities), CAPS);
    assert.equal(token().issuedAtMicros / 1000n, BigInt(clock.now()));
  });

  test("signs the normal form, whatever the link says", async () => {
    const { options, token } = world();
    await parseAuthRequest(
      linkTo("signin", { caps: "/pub/a/:w,bogus,/pub/a/b:r,/pub/a/:r,/pub/c/:wr" }),
    ).approve(options);
    assert.equal(formatCapabilities(token().capabilities), "/pub/a/:rw,/pub/c/:rw");
  });

  test("twice within a millisecond makes two different tokens", async () => {
    const { options, token } = world();
    await parseAuthRequest(SIGNIN).approve(options);
    const first = token();
    await parseAuthRequest(SIGNIN).approve(options);
    assert.notEqual(hex(token().replayId), hex(first.replayId));
  });

  test("can grant less, never more", async () => {
    const { options, token, relay } = world();
    await parseAuthRequest(SIGNIN).approve({ ...options, capabilities: "/pub/demo.app/notes/:r" });
    assert.equal(formatCapabilities(token().capabilities), "/pub/demo.app/notes/:r");
    const more = parseAuthRequest(SIGNIN).approve({
      ...options,
      capabilities: ["/pub/demo.app/:r", "/pub/x:w"],
    });
    assert.deepEqual((await rejectsCode(more, "capabilities_extra")).details.capabilities, ["/pub/x:w"]);
    assert.equal(relay.log.length, 1);
  });

  test("a grant binds the app's key and id, for as long as the person says", async () => {
    const { options, relay, clock } = world();
    await parseAuthRequest(GRANT).approve({ ...options, grantLifeMs: 86_400_000 });
    const jws = fromUtf8(open(counted, relay.body!));
    const grant = verifyGrant(jws, { now: clock.now(), clientKey: client.publicKey, clientId: "demo.app" });
    assert.equal(formatCapabilities(grant.capabilities), CAPS);
    assert.equal(grant.expiresAt, clock.now() + 86_400_000);
    assert.match(grant.grantId, /^[\w-]{22}$/);
  });

  test("a new account is made before anything is signed, by whoever knows how", async () => {
    const { options, relay } = world();
    await rejectsCode(parseAuthRequest(SIGNUP).approve(options), "request_needs_signup");
    const failing = { ...options, signUp: () => Promise.reject(new TypeError("full")) };
    await assert.rejects(parseAuthRequest(SIGNUP).approve(failing), TypeError);
    assert.deepEqual(relay.log, []);

    const signUp: NonNullable<ApproveOptions["signUp"]> = async ({ homeserver, signupToken }) => {
      assert.ok(homeserver.equals(HS));
      assert.equal(signupToken, "NN7N-VP43-NTW1");
      assert.deepEqual(relay.log, []);
    };
    await parseAuthRequest(SIGNUP).approve({ ...options, signUp });
    assert.deepEqual(relay.log, ["POST inbox"]);
  });

  test("after declining is over, and declining sends nothing", async () => {
    const { options, relay } = world();
    const request = parseAuthRequest(SIGNIN);
    request.decline();
    await rejectsCode(request.approve(options), "request_declined");
    assert.deepEqual(relay.log, []);
  });
});

describe("a relay in trouble", () => {
  test("gets the same bytes again until it has them", async () => {
    const { relay, options, clock, token } = world();
    const bodies: string[] = [];
    const fetch: typeof relay.fetch = (input, init) => {
      bodies.push(hex(init!.body as Uint8Array));
      return relay.fetch(input, init);
    };
    relay.fault(
      "network",
      { status: 503, headers: { "retry-after": "3" } },
      { status: 429 },
      { status: 500 },
    );
    const approving = parseAuthRequest(SIGNIN).approve({ ...options, fetch });
    await clock.advance(10_000);
    await approving;
    assert.equal(bodies.length, 5);
    assert.equal(new Set(bodies).size, 1);
    assert.ok(token().publicKey.equals(user.publicKey));
  });

  test("is given up after half a minute, or as long as the caller says", async () => {
    for (const deadlineMs of [undefined, 5_000]) {
      const { relay, options, clock } = world();
      relay.down = { status: 502 };
      const approving = parseAuthRequest(SIGNIN).approve({ ...options, ...(deadlineMs && { deadlineMs }) });
      const outcome = rejectsCode(approving, "relay_unreachable");
      await clock.advance(deadlineMs ?? 30_000);
      assert.equal((await outcome).details.status, 502);
      assert.equal(clock.armed, 0);
    }
  });

  test("that refuses is not asked again", async () => {
    for (const status of [400, 403, 404, 413]) {
      const { relay, options } = world();
      relay.fault({ status });
      assert.equal(
        (await rejectsCode(parseAuthRequest(SIGNIN).approve(options), "relay_refused")).details.status,
        status,
      );
      assert.equal(relay.log.length, 1);
    }
  });

  test("can be given up by the person at any time", async () => {
    for (const fault of ["hang", "network"] as const) {
      const { relay, options, clock } = world();
      relay.down = fault;
      const abort = new AbortController();
      const outcome = rejectsCode(
        parseAuthRequest(SIGNIN).approve({ ...options, signal: abort.signal }),
        "flow_cancelled",
      );
      await settle();
      abort.abort("enough");
      assert.equal((await outcome).cause, "enough");
      assert.equal(clock.armed, 0);
    }
  });
});

describe("delivery", () => {
  test("is known when the app has acknowledged, however long the relay lets us wait at a time", async () => {
    const { relay, options, clock } = world();
    const delivery = await parseAuthRequest(SIGNIN).approve(options);
    let isDelivered = false;
    const delivered = delivery.delivered().then(() => {
      isDelivered = true;
    });
    await clock.advance(60_000);
    assert.equal(isDelivered, false);
    // Held for 25 s each time.
    assert.deepEqual(relay.log.slice(1), Array(3).fill("GET inbox await"));
    const url = `https://relay.example/inbox/5SjpV5gDffQQVD2fMeOW7N1FjXGxV9YBQ5i64y-1bGU`;
    await relay.fetch(url, { method: "DELETE" });
    await delivered;
  });

  test("is lost when the message is gone, or the time is over", async () => {
    const gone = world();
    const delivery = await parseAuthRequest(SIGNIN).approve(gone.options);
    gone.relay.fault({ status: 404 });
    await rejectsCode(delivery.delivered(), "delivery_expired");

    const late = world();
    const waiting = await parseAuthRequest(SIGNIN).approve(late.options);
    const outcome = rejectsCode(waiting.delivered({ deadlineMs: 100_000 }), "delivery_expired");
    await late.clock.advance(100_000);
    await outcome;
    assert.equal(late.clock.armed, 0);
  });

  test("survives trouble, and can be given up", async () => {
    const { relay, options, clock } = world();
    const delivery = await parseAuthRequest(SIGNIN).approve(options);
    relay.fault("network", { status: 503 }, { status: 408 });
    const abort = new AbortController();
    const outcome = rejectsCode(delivery.delivered({ signal: abort.signal }), "flow_cancelled");
    await clock.advance(3_000);
    assert.equal(relay.waiting, 1);
    abort.abort();
    await outcome;
    await settle();
    assert.deepEqual([relay.waiting, clock.armed], [0, 0]);
  });

  test("a relay that never waits is not asked in a busy loop", async () => {
    const { relay, options, clock } = world();
    const delivery = await parseAuthRequest(SIGNIN).approve(options);
    relay.down = { status: 408 };
    const outcome = rejectsCode(delivery.delivered({ deadlineMs: 60_000 }), "delivery_expired");
    await clock.advance(60_000);
    await outcome;
    assert.ok(relay.log.length < 40);
  });

  test("on a link relay approving lasts until the app has it, and delivery is known then", async () => {
    const { relay, options, clock } = world();
    let isApproved = false;
    const approving = parseAuthRequest(LINK_RELAY)
      .approve(options)
      .then((delivery) => {
        isApproved = true;
        return delivery.delivered();
      });
    await clock.advance(20_000);
    assert.equal(isApproved, false);
    await relay.fetch("https://relay.example/link/5SjpV5gDffQQVD2fMeOW7N1FjXGxV9YBQ5i64y-1bGU");
    await approving;
    assert.deepEqual(relay.log, ["POST link", "GET link"]);
  });

  test("on a link relay nobody's coming, or another approval in its place, ends it", async () => {
    for (const status of [408, 404]) {
      const { relay, options } = world();
      relay.fault({ status });
      const error = await rejectsCode(parseAuthRequest(LINK_RELAY).approve(options), "delivery_expired");
      assert.equal(error.details.status, status);
      assert.equal(relay.log.length, 1);
    }
  });
});
