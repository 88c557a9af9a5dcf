import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { ed25519 } from "@noble/curves/ed25519.js";

// Makes sdk-0.6.0.json with the published SDK, whose clock, dice and network are held still:
//   node clients/pubky/vectors/make-sdk-vectors.ts           writes the file
//   node clients/pubky/vectors/make-sdk-vectors.ts --print   prints it

const NOW_MS = 1_700_000_000_000;
const NONCE_BYTE = 0x42;
const PASSPHRASE = "very secure password";
const RELAY = "http://localhost:15412/link";

let posted: Uint8Array = new Uint8Array(0);
Date.now = () => NOW_MS;
crypto.getRandomValues = (array) => {
  if (array) new Uint8Array(array.buffer, array.byteOffset, array.byteLength).fill(NONCE_BYTE);
  return array;
};
globalThis.fetch = async (input, init) => {
  const request = new Request(input as Request, init);
  posted = new Uint8Array(await request.arrayBuffer());
  // The SDK reads where an answer came from, which one made by hand does not say.
  return Object.defineProperty(new Response(), "url", { value: request.url });
};
// After the globals, because the SDK takes them when it is loaded.
const sdk: typeof import("@synonymdev/pubky") = createRequire(import.meta.url)("@synonymdev/pubky");

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const unhex = (text: string) => new Uint8Array(Buffer.from(text, "hex"));
const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
const filled = (byte: number) => new Uint8Array(32).fill(byte);
const counted = Uint8Array.from({ length: 32 }, (_, at) => at);

/** What the SDK says to something: what it makes of it, or the name and the words of its refusal. */
function outcome<T>(ask: () => T): { ok: T } | { error: string; message: string } {
  try {
    return { ok: ask() };
  } catch (error) {
    const { name, message } = error as Error;
    return { error: name, message };
  }
}

function keys() {
  const seeds = [
    filled(0),
    filled(7),
    filled(8),
    unhex("5aa93b299a343aa2691739771f2b5b85e740ca14c685793d67870f88fa89dc51"),
  ];
  const valid = seeds.map((seed) => {
    const { publicKey } = sdk.Keypair.fromSecret(seed);
    return {
      seed: hex(seed),
      publicKey: hex(publicKey.toUint8Array()),
      z32: publicKey.z32(),
      display: publicKey.toString(),
    };
  });
  const z32 = valid[1]!.z32;
  const invalid = [
    "",
    "pubky",
    z32.slice(1),
    `${z32}y`,
    `pubky:${z32}`,
    `l${z32.slice(1)}`,
    "y".repeat(51),
    "9".repeat(52),
  ];
  return {
    valid,
    parse: invalid.map((text) => ({ text, sdk: outcome(() => sdk.PublicKey.from(text).z32()) })),
  };
}

async function tokens() {
  const secret = base64url(counted);
  const signer = new sdk.Pubky().signer(sdk.Keypair.fromSecret(filled(7)));
  const made = [];
  for (const caps of ["", "/pub/example.com/:rw", "/pub/pubky.app/:rw,/pub/foo.bar/file:r"]) {
    await signer.approveAuthRequest(`pubkyauth://signin?caps=${caps}&relay=${RELAY}&secret=${secret}`);
    made.push({ caps, body: hex(posted) });
  }
  return {
    seed: hex(filled(7)),
    nonce: hex(new Uint8Array(24).fill(NONCE_BYTE)),
    clientSecret: secret,
    nowMs: NOW_MS,
    made,
  };
}

/** Tokens as nobody should make them, all within the SDK's window of 45 s but for those that are about it. */
function tokenOutcomes() {
  const seed = filled(7);
  const publicKey = ed25519.getPublicKey(seed);
  const make = ({
    namespace = "PUBKY:AUTH",
    version = 0,
    micros = NOW_MS * 1000,
    top = 0,
    caps = "/pub/a/:rw",
    signedFrom = 65,
  }) => {
    const time = Buffer.alloc(8);
    time.writeBigUInt64BE(BigInt(micros));
    if (top > 0) time[0] = top;
    const text = Buffer.from(caps);
    const body = Buffer.concat([
      Buffer.from(namespace),
      Uint8Array.of(version),
      time,
      publicKey,
      Uint8Array.of(text.length),
      text,
    ]);
    return Buffer.concat([ed25519.sign(body.subarray(signedFrom - 64), seed), body]);
  };
  const flipped = (bytes: Buffer, at: number) => {
    bytes[at]! ^= 1;
    return bytes;
  };
  const seconds = (offset: number) => ({ micros: (NOW_MS + offset * 1000) * 1000 });
  const cases = {
    fresh: make({}),
    "no capabilities": make({ caps: "" }),
    "44 s old": make(seconds(-44)),
    "44 s ahead": make(seconds(44)),
    "46 s old": make(seconds(-46)),
    "46 s ahead": make(seconds(46)),
    "one bit of the signature flipped": flipped(make({}), 10),
    "signed from byte 64": make({ signedFrom: 64 }),
    "bytes appended": Buffer.concat([make({}), Uint8Array.of(0)]),
    "first letter of the namespace changed": flipped(make({}), 64),
    "namespace XUBKY:AUTH": make({ namespace: "XUBKY:AUTH" }),
    "namespace XXXXXXXXXX": make({ namespace: "XXXXXXXXXX" }),
    "version 1": make({ version: 1 }),
    "top byte of the time set": make({ top: 1 }),
    "100 zero bytes": Buffer.alloc(100),
    empty: Buffer.alloc(0),
    "capabilities to filter and merge": make({
      caps: "/pub/a/:rw,bogus,/pub/a/b:r,/pub/a/:r,/x:y,/pub/c/:wr",
    }),
    "actions not sorted": make({ caps: "/pub/a/:wr" }),
    "a comma at the end": make({ caps: "/pub/a/:rw," }),
  };
  return Object.entries(cases).map(([name, token]) => {
    const said = outcome(() => sdk.AuthToken.verify(token).capabilities.join(","));
    return { name, token: hex(token), sdk: said };
  });
}

function capabilities() {
  const texts = [
    "",
    "/:rw",
    "/pub/a:",
    "/pub/a/:rrw",
    "/pub/a/:wr",
    "/pub/a b/:r",
    "/pub/é/:r",
    "/a%3A:r",
    "/pub/a/:r,/pub/b/:w",
    "/pub/a/:x",
    "pub/a:r",
    "/a:b:r",
    "/pub/a/:R",
    "/pub/a",
    ":r",
    "/ok:r,bogus,/a:b:c",
  ];
  return texts.map((text) => ({ text, sdk: outcome(() => sdk.validateCapabilities(text)) }));
}

function merging() {
  const lists = [
    "/pub/a:rw,/pub/ab:r",
    "/pub/a:rw,/pub/a/b:r",
    "/pub/a/:rw,/pub/a:r",
    "/pub/a/:r,/pub/a/:w",
    "/pub/b:r,/pub/a:r",
    "/pub/a/:,/pub/b/:r",
    "/pub/a/:,/pub/a/b:r",
    "/pub/a/:r,bogus",
    "/pub/a/b:r,/pub/a/:rw",
    "/pub/a/b:rw,/pub/a/:r",
    "/pub/a/:rw,bogus,/pub/a/b:r,/pub/a/:r,/x:y,/pub/c/:wr",
  ];
  const secret = base64url(counted);
  return lists.map((text) => {
    const link = sdk.SigninDeepLink.parse(`pubkyauth://signin?caps=${text}&relay=${RELAY}&secret=${secret}`);
    return { text, merged: link.capabilities };
  });
}

function links() {
  const secret = "kqnceEMgrNQM_xi06oQXjA3cJHX_RQmw1BY6JE1bse8";
  const hs = "8pinxxgqs41n4aididenw5apqp1urfmzdztr8jt4abrkdn435ewo";
  const good = `caps=/pub/pubky.app/:rw&relay=${RELAY}&secret=${secret}`;
  const encoded = `caps=%2Fpub%2Fpubky.app%2F%3Arw&relay=${encodeURIComponent(RELAY)}&secret=${secret}`;
  const signin = [
    `pubkyauth://signin?${good}`,
    `pubkyring://signin?${good}`,
    `pubkyauth://signin?${encoded}`,
    `pubkyauth://signin/?${good}`,
    `pubkyauth://signin?${good}&x=1&cid=&cpk=nonsense`,
    `pubkyauth://signin?${good}&caps=/x:r`,
    `http://signin?${good}`,
    `pubkyauth://nonsense?${good}`,
    `pubkyauth:signin?${good}`,
    `pubkyauth://signin?relay=${RELAY}&secret=${secret}`,
    `pubkyauth://signin?caps=&secret=${secret}`,
    `pubkyauth://signin?caps=&relay=${RELAY}`,
    `pubkyauth://signin?caps=&relay=nonsense&secret=${secret}`,
    `pubkyauth://signin?caps=&relay=${RELAY}&secret=abc`,
    `pubkyauth://signin?caps=&relay=${RELAY}&secret=${secret}=`,
    `pubkyauth://signin?caps=&relay=${RELAY}&secret=${secret.slice(1)}`,
  ].map((url) => ({
    url,
    sdk: outcome(() => {
      const link = sdk.SigninDeepLink.parse(url);
      return { caps: link.capabilities, relay: link.baseRelayUrl, secret: hex(link.secret) };
    }),
  }));
  const signup = [
    `pubkyauth://signup?${good}&hs=${hs}&st=1234567890`,
    `pubkyauth://signup?${good}&hs=${hs}`,
    `pubkyauth://signup?${good}`,
    `pubkyauth://signup?${good}&hs=nonsense`,
  ].map((url) => ({
    url,
    sdk: outcome(() => {
      const link = sdk.SignupDeepLink.parse(url);
      const common = { caps: link.capabilities, relay: link.baseRelayUrl, secret: hex(link.secret) };
      return { ...common, hs: link.homeserver.z32(), st: link.signupToken ?? null };
    }),
  }));
  return { signin, signup };
}

function recovery() {
  const file = sdk.Keypair.fromSecret(filled(7)).createRecoveryFile(PASSPHRASE);
  const files = {
    made: file,
    "older spec line": Buffer.concat([Buffer.from("pkarr.org/recovery\n"), file.subarray(19)]),
    "longer spec line": Buffer.concat([Buffer.from("pubky.org/recovery v2\n"), file.subarray(19)]),
    "no spec line": file.subarray(19),
    "wrong spec line": Buffer.concat([Buffer.from("pubky.org/recover\n"), file.subarray(19)]),
    empty: new Uint8Array(0),
    "nothing after the line": file.subarray(0, 19),
    "too short": file.subarray(0, 40),
    "cut by a byte": file.subarray(0, 90),
  };
  const open = (bytes: Uint8Array, passphrase: string) =>
    outcome(() => hex(sdk.Keypair.fromRecoveryFile(Uint8Array.from(bytes), passphrase).secret()));
  return {
    passphrase: PASSPHRASE,
    files: Object.entries(files).map(([name, bytes]) => ({
      name,
      file: hex(bytes),
      sdk: open(bytes, PASSPHRASE),
    })),
    wrongPassphrase: open(file, "another password"),
  };
}

const vectors = {
  sdk: "@synonymdev/pubky 0.6.0",
  keys: keys(),
  capabilities: capabilities(),
  merging: merging(),
  links: links(),
  tokens: await tokens(),
  tokenOutcomes: tokenOutcomes(),
  recovery: recovery(),
};
const text = `${JSON.stringify(vectors, null, 2)}\n`;
if (process.argv.includes("--print")) process.stdout.write(text);
else writeFileSync(new URL("sdk-0.6.0.json", import.meta.url), text);
