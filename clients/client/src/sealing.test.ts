import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import type { Entropy } from "../../../core/clock.ts";
import { simEntropy } from "../../../tests/support/sim-clock.ts";
import { formatCode, parseCode } from "./code.ts";
import { channelIdOf, createSecret, SEALED_OVERHEAD_BYTES, Sealer } from "./sealing.ts";

const vectors = JSON.parse(
  readFileSync(new URL("../../../protocol/vectors/sealed-messages.json", import.meta.url), "utf8"),
) as {
  valid: {
    name: string;
    secret: string;
    id: string;
    nonce: string;
    contentType: string;
    body: string;
    sealed: string;
  }[];
  invalid: { name: string; secret: string; sealed: string }[];
};
const hex = (text: string) => Uint8Array.from(Buffer.from(text, "hex"));
const fixed = (bytes: Uint8Array<ArrayBuffer>): Entropy => ({ bytes: () => bytes });

for (const { name, secret, id, nonce, contentType, body, sealed } of vectors.valid) {
  test(`vector: ${name}`, () => {
    assert.equal(channelIdOf(hex(secret)), id);
    const sealer = new Sealer(hex(secret));
    assert.equal(Buffer.from(sealer.seal(hex(body), contentType, fixed(hex(nonce)))).toString("hex"), sealed);
    const opened = sealer.open(hex(sealed));
    assert.equal(Buffer.from(opened.body).toString("hex"), body);
    assert.equal(opened.contentType, contentType);
  });
}

for (const { name, secret, sealed } of vectors.invalid) {
  test(`vector: refused, ${name}`, () => {
    assert.throws(() => new Sealer(hex(secret)).open(hex(sealed)), { code: "sealed_malformed" });
  });
}

test("channel ids are Pubky's", () => {
  // A published pair of client secret and channel.
  assert.equal(
    channelIdOf("kqnceEMgrNQM_xi06oQXjA3cJHX_RQmw1BY6JE1bse8"),
    "Bd7wcIdR29_ncsAJbRkIpWDg_pEvZzULycHdh5Fz4QY",
  );
});

test("what is sealed opens to the same, and one changed bit does not open", () => {
  const entropy = simEntropy(7);
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.stringMatching(/^[ -~]{0,80}$/),
      fc.nat(),
      (body, contentType, where) => {
        const sealer = new Sealer(createSecret(entropy));
        const sealed = sealer.seal(body, contentType, entropy);
        assert.equal(sealed.length, body.length + contentType.length + SEALED_OVERHEAD_BYTES);
        assert.deepEqual(sealer.open(sealed), { body: Uint8Array.from(body), contentType });
        const at = where % (sealed.length * 8);
        sealed[at >> 3]! ^= 1 << (at & 7);
        assert.throws(() => sealer.open(sealed), { code: "sealed_malformed" });
      },
    ),
  );
});

test("anything else than a sealed message is refused and breaks nothing", () => {
  const sealer = new Sealer(createSecret());
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
      assert.throws(() => sealer.open(Uint8Array.of(1, ...bytes)), { code: "sealed_malformed" });
      assert.throws(() => sealer.open(bytes), { code: "sealed_malformed" });
    }),
  );
});

test("a secret must be 32 bytes, a content type short visible ASCII", () => {
  for (const secret of [new Uint8Array(31), "short", `${createSecret()}=`, ""])
    assert.throws(() => new Sealer(secret), { code: "secret_malformed" });
  const sealer = new Sealer(createSecret());
  for (const contentType of ["a\nb", "é", "x".repeat(256)])
    assert.throws(() => sealer.seal(new Uint8Array(), contentType, simEntropy()), {
      code: "content_type_malformed",
    });
});

test("a code carries relay and secret, behind the # that browsers keep to themselves", () => {
  const secret = createSecret(simEntropy(3));
  const code = formatCode({ relay: "https://relay.example/inbox/", secret });
  assert.equal(code, `https://relay.example/#${secret}`);
  assert.deepEqual(parseCode(` ${code}\n`), { relay: "https://relay.example/", secret });
  const deep = formatCode({ relay: "http://10.0.0.1:8080/relay", secret });
  assert.deepEqual(parseCode(deep), { relay: "http://10.0.0.1:8080/relay", secret });
});

test("what is no code is refused without being quoted", () => {
  const secret = createSecret();
  for (const text of [
    "",
    "hello",
    secret,
    `https://relay.example/`,
    `ftp://relay.example/#${secret}`,
    `https://relay.example/#${secret}x`,
    `https://u:p@relay.example/#${secret}`,
    `https://relay.example/?a=b#${secret}`,
  ])
    assert.throws(() => parseCode(text), { code: "code_malformed", message: /^[^/]*$|^Not a code/ });
});
