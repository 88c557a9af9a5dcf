import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { simEntropy } from "../../../tests/support/sim-clock.ts";
import { throwsCode } from "../tests/assert-code.ts";
import { filled, hex, sdkVectors } from "../tests/sdk-vectors.ts";
import { formatCapabilities, parseCapabilities } from "./capabilities.ts";
import type { PubkyErrorCode } from "./errors.ts";
import { Keypair, PublicKey } from "./keys.ts";
import { formatLink, type PubkyLink, parseLink } from "./link.ts";

const SECRET = "kqnceEMgrNQM_xi06oQXjA3cJHX_RQmw1BY6JE1bse8";
const RELAY = "http://localhost:15412/link";
const HS = "8pinxxgqs41n4aididenw5apqp1urfmzdztr8jt4abrkdn435ewo";
const CPK = "5jsjx1o6fzu6aeeo697r3i5rx15zq41kikcye8wtwdqm4nb4tryo";
const CHANNEL = `caps=/pub/pubky.app/:rw&relay=${RELAY}&secret=${SECRET}`;
const CLIENT = `cid=franky.pubky.app&cpk=${CPK}`;

/** Every kind of link, as in the specification. */
const KINDS: Record<string, string> = {
  signin: `pubkyauth://signin?${CHANNEL}`,
  "signin without an intent": `pubkyauth:///?${CHANNEL}`,
  signup: `pubkyauth://signup?${CHANNEL}&hs=${HS}&st=1234567890`,
  signin_grant: `pubkyauth://signin_grant?${CHANNEL}&${CLIENT}`,
  signup_grant: `pubkyauth://signup_grant?${CHANNEL}&hs=${HS}&st=1234567890&${CLIENT}`,
  direct_signup: `pubkyauth://direct_signup?hs=${HS}&st=1234567890`,
  secret_export: `pubkyauth://secret_export?secret=${SECRET}`,
};

/** A link's values in plain types, to compare. */
function plain(link: PubkyLink) {
  return JSON.parse(
    JSON.stringify({ ...link, ...("clientSecret" in link && { clientSecret: hex(link.clientSecret) }) }),
  );
}

test("every kind of link is read", () => {
  const signup = plain(parseLink(KINDS.signup_grant!));
  assert.deepEqual(signup, {
    kind: "signup_grant",
    scheme: "pubkyauth",
    capabilities: [{ scope: "/pub/pubky.app/", actions: "rw" }],
    droppedCapabilities: [],
    relay: RELAY,
    clientSecret: "92a9dc784320acd40cff18b4ea84178c0ddc2475ff4509b0d4163a244d5bb1ef",
    homeserver: HS,
    signupToken: "1234567890",
    clientId: "franky.pubky.app",
    clientKey: CPK,
  });
  const kinds = Object.values(KINDS).map((url) => parseLink(url).kind);
  assert.deepEqual(kinds, [
    "signin",
    "signin",
    "signup",
    "signin_grant",
    "signup_grant",
    "direct_signup",
    "secret_export",
  ]);
  const secret = parseLink(KINDS.secret_export!);
  assert.ok("clientSecret" in secret);
  assert.deepEqual([...secret.clientSecret.subarray(0, 4)], [146, 169, 220, 120]);
});

for (const [name, url] of Object.entries(KINDS)) {
  test(`a link (${name}) is written so that it reads the same, scheme and form kept`, () => {
    for (const scheme of ["pubkyauth", "pubkyring"]) {
      const link = parseLink(url.replace("pubkyauth", scheme));
      const written = formatLink(link);
      assert.ok(written.startsWith(`${scheme}://`));
      assert.deepEqual(plain(parseLink(written)), plain(link));
      assert.equal(formatLink(parseLink(written)), written);
    }
  });
}

test("links are written in the form encoding", () => {
  assert.equal(
    formatLink(parseLink(KINDS.signin!)),
    `pubkyauth://signin?caps=%2Fpub%2Fpubky.app%2F%3Arw&relay=http%3A%2F%2Flocalhost%3A15412%2Flink&secret=${SECRET}`,
  );
  assert.match(formatLink(parseLink(KINDS["signin without an intent"]!)), /^pubkyauth:\/\/\/\?caps=/);
});

for (const [intent, cases] of Object.entries(sdkVectors.links)) {
  test(`${intent} links are read as the SDK reads them`, () => {
    for (const { url, sdk } of cases) {
      if ("ok" in sdk) {
        const link = parseLink(url);
        assert.ok(link.kind === "signin" || link.kind === "signup");
        assert.equal(formatCapabilities(link.capabilities), sdk.ok.caps);
        assert.equal(link.relay, sdk.ok.relay);
        assert.equal(hex(link.clientSecret), sdk.ok.secret);
        if (link.kind === "signup") {
          assert.equal(link.homeserver.z32, sdk.ok.hs);
          assert.equal(link.signupToken ?? null, sdk.ok.st);
        }
      } else {
        // Ours goes on to say why a value is wrong; the intent is not told which one was expected.
        const said = sdk.message.replace(/^Invalid sign\w+ deep link: /, "").replace(/ Expected signin$/, "");
        assert.throws(
          () => parseLink(url),
          ({ message }: Error) => message.startsWith(said),
        );
      }
    }
  });
}

test("what is wrong is told in the order scheme, intent, caps, relay, secret, hs, cid, cpk", () => {
  const expected: [string, PubkyErrorCode, string?][] = [
    ["", "link_scheme"],
    ["nonsense", "link_scheme"],
    [`https://signin?${CHANNEL}`, "link_scheme"],
    ["pubkyauth://nonsense", "link_intent"],
    ["pubkyauth:signin", "link_intent"],
    ["pubkyauth://SIGNIN", "link_intent"],
    ["pubkyauth://signup_grant", "link_parameter_missing", "caps"],
    ["pubkyauth://signup_grant?caps=", "link_parameter_missing", "relay"],
    ["pubkyauth://signup_grant?caps=&relay=ftp://x", "link_parameter_invalid", "relay"],
    [`pubkyauth://signup_grant?caps=&relay=${RELAY}`, "link_parameter_missing", "secret"],
    [`pubkyauth://signup_grant?caps=&relay=${RELAY}&secret=AAAA`, "link_parameter_invalid", "secret"],
    [`pubkyauth://signup_grant?${CHANNEL}`, "link_parameter_missing", "hs"],
    [`pubkyauth://signup_grant?${CHANNEL}&hs=pubky${HS}`, "link_parameter_invalid", "hs"],
    [`pubkyauth://signup_grant?${CHANNEL}&hs=${HS}`, "link_parameter_missing", "cid"],
    [`pubkyauth://signup_grant?${CHANNEL}&hs=${HS}&cid=`, "link_parameter_invalid", "cid"],
    [`pubkyauth://signup_grant?${CHANNEL}&hs=${HS}&cid=${"x".repeat(254)}`, "link_parameter_invalid", "cid"],
    [`pubkyauth://signup_grant?${CHANNEL}&hs=${HS}&cid=x`, "link_parameter_missing", "cpk"],
    [`pubkyauth://signup_grant?${CHANNEL}&hs=${HS}&cid=x&cpk=${CPK}y`, "link_parameter_invalid", "cpk"],
    ["pubkyauth://direct_signup?st=x", "link_parameter_missing", "hs"],
    ["pubkyauth://secret_export", "link_parameter_missing", "secret"],
    [`pubkyauth://signin?${CHANNEL}${"&x=y".repeat(5_000)}`, "link_scheme"],
  ];
  for (const [url, code, parameter] of expected) {
    const error = throwsCode(() => parseLink(url), code);
    assert.equal(error.details.parameter, parameter);
  }
});

test("no error repeats a value of the link", () => {
  const secret = `${SECRET}x`;
  const error = throwsCode(
    () => parseLink(`pubkyauth://signin?caps=&relay=${RELAY}&secret=${secret}`),
    "link_parameter_invalid",
  );
  assert.ok(!`${error.stack}${JSON.stringify(error)}`.includes(SECRET));
  assert.equal(error.cause, undefined);
});

test("unknown parameters, a path, a fragment and repeated parameters do not count", () => {
  const link = parseLink(
    `pubkyauth://signin/x?${CHANNEL}&relay=http://evil/&x=1&cid=&cpk=nonsense#caps=/:rw`,
  );
  assert.deepEqual(plain(link), plain(parseLink(KINDS.signin!)));
});

test("bad capabilities do not spoil a link, but are told of and not written again", () => {
  const link = parseLink(`pubkyauth://signin?caps=/a:r,bogus&relay=${RELAY}&secret=${SECRET}`);
  assert.ok(link.kind === "signin");
  assert.deepEqual(link.droppedCapabilities, ["bogus"]);
  assert.ok(!formatLink(link).includes("bogus"));
});

test("any values come back from a link unchanged", () => {
  const text = fc.string({
    unit: fc.oneof(
      fc.constantFrom(..."&#+%=?/ \n"),
      fc.string({ unit: "grapheme", minLength: 1, maxLength: 1 }),
    ),
    minLength: 1,
    maxLength: 40,
  });
  const key = fc.integer({ min: 1 }).map((seed) => Keypair.random(simEntropy(seed)).publicKey);
  const channel = {
    scheme: fc.constantFrom("pubkyauth" as const, "pubkyring" as const),
    capabilities: fc.constantFrom("", "/:rw", "/pub/a&b#c+d%/:r,/é:w").map(parseCapabilities),
    droppedCapabilities: fc.constant([]),
    relay: text.map((query) => `https://relay.example/inbox?key=${encodeURIComponent(query)}&b+c=%2B`),
    clientSecret: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Uint8Array.from(bytes)),
  };
  const link = fc.record({
    ...channel,
    kind: fc.constant("signup_grant" as const),
    homeserver: key,
    signupToken: text,
    clientId: text,
    clientKey: key,
  });
  fc.assert(
    fc.property(link, (value) => assert.deepEqual(plain(parseLink(formatLink(value))), plain(value))),
  );
});

test("no text crashes the parser", () => {
  const piece = fc.oneof(
    fc.string(),
    fc.constantFrom("pubkyauth://", "signin", "?", "caps=", "&relay=", RELAY, "&secret=", SECRET, "#"),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      try {
        parseLink(pieces.join(""));
      } catch (error) {
        assert.equal((error as Error).name, "PubkyError");
      }
    }),
  );
});

test("a key of the vectors is a key", () => {
  assert.ok(PublicKey.parseZ32(HS).equals(Keypair.fromSecret(filled(0)).publicKey));
});
