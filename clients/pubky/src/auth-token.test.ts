import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concatBytes } from "../../../core/bytes.ts";
import { throwsCode } from "../tests/assert-code.ts";
import { counted, filled, hex, sdkVectors, unhex } from "../tests/sdk-vectors.ts";
import {
  type AuthTokenFields,
  decodeAuthToken,
  signAuthToken,
  TOKEN_MAX_BYTES,
  verifyAuthToken,
} from "./auth-token.ts";
import { formatCapabilities, parseCapabilities } from "./capabilities.ts";
import type { PubkyErrorCode } from "./errors.ts";
import { Keypair } from "./keys.ts";
import { open, seal } from "./sealed-box.ts";

const { tokens, tokenOutcomes } = sdkVectors;
const now = tokens.nowMs;
const keypair = Keypair.fromSecret(unhex(tokens.seed));
const CAPS = "/pub/a/:rw,/pub/b:r";
const micros = BigInt(now) * 1000n;
const good = await signAuthToken(keypair, parseCapabilities(CAPS), micros);
const nonce = unhex(tokens.nonce);

/** Any body of a token, properly signed. */
function resigned(change: (bytes: Uint8Array) => Uint8Array): Uint8Array {
  const changed = change(good.slice());
  return concatBytes(keypair.sign(changed.subarray(65)), changed.subarray(64));
}

const capsOf = (token: AuthTokenFields) => formatCapabilities(token.capabilities);

// The SDK's clock id fills the lowest byte of the time; it steps by 256 from token to token.
tokens.made.forEach(({ caps, body }, at) => {
  test(`the SDK's token for "${caps}" opens, verifies and is made again byte for byte`, async () => {
    const bytes = open(counted, unhex(body));
    const token = verifyAuthToken(bytes, { now });
    assert.ok(token.publicKey.equals(keypair.publicKey));
    assert.equal(capsOf(token), caps);
    assert.equal(token.issuedAtMicros, micros + BigInt(0x142 + 0x100 * at));
    assert.equal(hex(token.replayId), hex(bytes.subarray(75, 115)));

    const ours = await signAuthToken(keypair, parseCapabilities(caps), token.issuedAtMicros);
    assert.equal(hex(ours), hex(bytes));
    assert.equal(hex(seal(counted, nonce, ours)), body);
  });
});

test("the token of the specification is the one we made", () => {
  const token = open(counted, unhex(tokens.made[1]!.body));
  assert.equal(
    hex(token),
    `74c1efae2a1353ad14ad69b71bcbd4a42a53503ab6df0bfd864e6120888f3649
     34179e3b62a72a09706dcf5027867f47ffd93deeb59af0c262a8d4b5286eb700
     5055424b593a415554480000060a24181e4242
     ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c
     142f7075622f6578616d706c652e636f6d2f3a7277`.replaceAll(/\s/g, ""),
  );
});

/** Where we do not do as the SDK does, and what we say instead. */
const STRICTER: Record<string, PubkyErrorCode> = {
  "first letter of the namespace changed": "token_namespace",
  "namespace XUBKY:AUTH": "token_namespace",
  "namespace XXXXXXXXXX": "token_namespace",
  "capabilities to filter and merge": "capabilities_invalid",
  "a comma at the end": "capabilities_invalid",
};
const REFUSED: Record<string, PubkyErrorCode> = {
  "46 s old": "token_too_old",
  "46 s ahead": "token_from_future",
  "one bit of the signature flipped": "token_signature",
  "signed from byte 64": "token_signature",
  "bytes appended": "token_signature",
  "version 1": "token_version",
  "top byte of the time set": "token_version",
  "100 zero bytes": "token_malformed",
  empty: "token_malformed",
};

for (const { name, token, sdk } of tokenOutcomes) {
  test(`a token (${name}) is judged as the SDK judges it, or stricter`, () => {
    const verify = () => verifyAuthToken(unhex(token), { now, windowMs: 45_000 });
    if ("ok" in sdk && !(name in STRICTER)) {
      assert.equal(capsOf(verify()), sdk.ok);
    } else {
      const codes = "ok" in sdk ? STRICTER : REFUSED;
      throwsCode(verify, codes[name]!);
    }
  });
}

test("the window is three minutes each way, its ends included", () => {
  for (const offset of [-180_000, 0, 180_000]) verifyAuthToken(good, { now: now + offset });
  const old = throwsCode(() => verifyAuthToken(good, { now: now + 180_001 }), "token_too_old");
  assert.match(old.message, /^Approved, but 180 s ago/);
  assert.equal(old.details.ageMs, 180_001);
  const early = throwsCode(() => verifyAuthToken(good, { now: now - 180_001 }), "token_from_future");
  assert.equal(early.details.ageMs, -180_001);
});

test("a wrong signature counts before a wrong time, so that an age is always the owner's word", () => {
  const forged = good.slice();
  forged[0]! ^= 1;
  throwsCode(() => verifyAuthToken(forged, { now: now + 1e9 }), "token_signature");
});

test("one changed bit in any byte is never accepted and never a crash", () => {
  for (let at = 0; at < good.length; at++) {
    for (let bit = 1; bit < 256; bit <<= 1) {
      const broken = good.slice();
      broken[at]! ^= bit;
      assert.throws(() => verifyAuthToken(broken, { now }), { name: "PubkyError" });
    }
  }
});

test("a token cut short or made longer anywhere is never accepted and never a crash", () => {
  for (let length = 0; length < good.length; length++) {
    assert.throws(() => verifyAuthToken(good.subarray(0, length), { now }), { name: "PubkyError" });
  }
  throwsCode(
    () => verifyAuthToken(concatBytes(good, filled(0, TOKEN_MAX_BYTES)), { now }),
    "token_malformed",
  );
});

test("a length that is wrong, too long or not in its shortest form is malformed, even when signed", () => {
  const length = good.length - 116;
  for (const varint of [[length - 1], [length + 1], [0x80 | length, 0], [0xff, 0xff, 0xff, 0x0f], [0x80]]) {
    const token = resigned((bytes) =>
      concatBytes(bytes.subarray(0, 115), Uint8Array.from(varint), bytes.subarray(116)),
    );
    throwsCode(() => verifyAuthToken(token, { now }), "token_malformed");
  }
});

test("capabilities that are no UTF-8 are malformed, even when signed", () => {
  const token = resigned((bytes) => {
    bytes[120] = 0xff;
    return bytes;
  });
  throwsCode(() => verifyAuthToken(token, { now }), "token_malformed");
});

test("a key that is no point on the curve is malformed", () => {
  const token = good.slice();
  token.fill(2, 83, 115);
  throwsCode(() => verifyAuthToken(token, { now }), "token_malformed");
  throwsCode(() => decodeAuthToken(token), "token_malformed");
});

test("whatever is signed is read again, in the normal form", async () => {
  const scope = fc.constantFrom("/", "/pub/a/", "/pub/a", "/pub/é/", `/${"x".repeat(200)}`);
  const actions = fc.constantFrom("" as const, "r" as const, "w" as const, "rw" as const);
  const capability = fc.record({ scope, actions });
  const moment = fc.bigInt({ min: 0n, max: (1n << 56n) - 1n });
  await fc.assert(
    fc.asyncProperty(fc.array(capability, { maxLength: 5 }), moment, async (capabilities, issuedAtMicros) => {
      const bytes = await signAuthToken(keypair, capabilities, issuedAtMicros);
      const token = verifyAuthToken(bytes, { now: Number(issuedAtMicros / 1000n) });
      assert.equal(token.issuedAtMicros, issuedAtMicros);
      assert.equal(hex(await signAuthToken(keypair, token.capabilities, issuedAtMicros)), hex(bytes));
    }),
    { numRuns: 40 },
  );
});

test("random bytes are never a token and never a crash", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      assert.throws(() => decodeAuthToken(bytes), { name: "PubkyError" });
    }),
  );
});

test("a signer elsewhere that fails makes no token", async () => {
  const failing = { publicKey: keypair.publicKey, sign: () => Promise.reject(new TypeError("no key")) };
  await assert.rejects(signAuthToken(failing, [], 0n), TypeError);
  const elsewhere = {
    publicKey: keypair.publicKey,
    sign: async (message: Uint8Array) => keypair.sign(message),
  };
  assert.equal(hex(await signAuthToken(elsewhere, parseCapabilities(CAPS), micros)), hex(good));
});
