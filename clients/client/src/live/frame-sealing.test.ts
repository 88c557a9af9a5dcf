import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { simEntropy } from "../../../../tests/support/sim-clock.ts";
import { createSecret } from "../sealing.ts";
import { FrameSealer, SEALED_FRAME_OVERHEAD_BYTES } from "./frame-sealing.ts";

interface Vector {
  name: string;
  secret: string;
  track: string;
  group: number;
  index: number;
  sealed: string;
}

const vectors = JSON.parse(
  readFileSync(new URL("../../../../protocol/vectors/sealed-frames.json", import.meta.url), "utf8"),
) as { valid: (Vector & { nonce: string; payload: string })[]; invalid: Vector[] };
const hex = (text: string) => Uint8Array.from(Buffer.from(text, "hex"));

for (const { name, secret, nonce, payload, sealed, ...place } of vectors.valid) {
  test(`vector: ${name}`, () => {
    const sealer = new FrameSealer(hex(secret));
    const found = sealer.seal(hex(payload), place, { bytes: () => hex(nonce) });
    assert.equal(Buffer.from(found).toString("hex"), sealed);
    assert.deepEqual(sealer.open(hex(sealed), place), hex(payload));
  });
}

for (const { name, secret, sealed, ...place } of vectors.invalid) {
  test(`vector: refused, ${name}`, () => {
    assert.equal(new FrameSealer(hex(secret)).open(hex(sealed), place), undefined);
  });
}

test("what is sealed opens to the same at its place, and nowhere else", () => {
  const entropy = simEntropy(3);
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.string({ maxLength: 20 }),
      fc.maxSafeNat(),
      fc.nat(),
      (payload, track, group, index) => {
        const sealer = new FrameSealer(createSecret(entropy));
        const place = { track, group, index };
        const sealed = sealer.seal(payload, place, entropy);
        assert.equal(sealed.length, payload.length + SEALED_FRAME_OVERHEAD_BYTES);
        assert.deepEqual(sealer.open(sealed, place), Uint8Array.from(payload));
        assert.equal(sealer.open(sealed, { ...place, index: index + 1 }), undefined);
        assert.equal(sealer.open(sealed, { ...place, track: `${track}x` }), undefined);
      },
    ),
  );
});
