import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { rejectsCode, throwsCode } from "../tests/assert-code.ts";
import { filled, hex, sdkVectors, unhex } from "../tests/sdk-vectors.ts";
import type { PubkyErrorCode } from "./errors.ts";
import { Keypair } from "./keys.ts";
import {
  createRecoveryFile,
  openRecoveryFile,
  openRecoveryFileWithKey,
  recoveryKey,
} from "./recovery-file.ts";
import { seal } from "./sealed-box.ts";

const { passphrase, files } = sdkVectors.recovery;
const made = unhex(files.find(({ name }) => name === "made")!.file);
const key = await recoveryKey(passphrase);

test("the passphrase of the vector derives its key", () => {
  assert.equal(hex(key), "e865e8625a20808c80f62a09d8071a1e1f0168ac8087f05c7684d1da23b82016");
});

test("our file is the SDK's, byte for byte", async () => {
  const entropy = { bytes: (length: number) => filled(0x42, length) };
  const file = await createRecoveryFile(Keypair.fromSecret(filled(7)), passphrase, entropy);
  assert.equal(hex(file), hex(made));
  assert.equal(file.length, 91);
});

const CODES: Record<string, PubkyErrorCode> = {
  "no spec line": "recovery_spec_line",
  "wrong spec line": "recovery_spec_line",
  empty: "recovery_spec_line",
  "nothing after the line": "recovery_empty",
  "too short": "sealed_too_short",
  "cut by a byte": "recovery_undecryptable",
};

for (const { name, file, sdk } of files) {
  test(`a recovery file (${name}) is read as the SDK reads it`, () => {
    if ("ok" in sdk) {
      assert.equal(hex(openRecoveryFileWithKey(unhex(file), key).secretBytes()), sdk.ok);
    } else {
      throwsCode(() => openRecoveryFileWithKey(unhex(file), key), CODES[name]!);
    }
  });
}

test("the file opens with its passphrase and no other", async () => {
  assert.equal(hex((await openRecoveryFile(made, passphrase)).secretBytes()), "07".repeat(32));
  await rejectsCode(openRecoveryFile(made, "another password"), "recovery_undecryptable");
});

test("one changed byte anywhere keeps it closed", () => {
  const codes = new Set<string>();
  for (let at = 0; at < made.length; at++) {
    for (const bit of [1, 0x20, 0x80]) {
      const broken = made.slice();
      broken[at]! ^= bit;
      try {
        openRecoveryFileWithKey(broken, key);
        assert.fail(`opened with byte ${at} changed`);
      } catch (error) {
        codes.add((error as { code: string }).code);
      }
    }
  }
  assert.deepEqual([...codes].sort(), ["recovery_spec_line", "recovery_undecryptable"]);
});

test("random bytes are never a recovery file and never a crash", () => {
  const start = fc
    .constantFrom("", "pubky.org/recovery\n", "pkarr.org/recovery x\n")
    .map((line) => Buffer.from(line));
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 120 }), (line, rest) => {
      const file = Uint8Array.from([...line, ...rest]);
      assert.throws(() => openRecoveryFileWithKey(file, key), { name: "PubkyError" });
    }),
  );
});

test("what is far too long is refused before any work", async () => {
  const long = new Uint8Array(2_000).fill(0x41);
  long.set(made);
  await rejectsCode(openRecoveryFile(long, passphrase), "recovery_spec_line");
});

test("a box that holds another length than a secret's is refused", () => {
  const line = new TextEncoder().encode("pubky.org/recovery\n");
  const file = Uint8Array.from([...line, ...seal(key, filled(1, 24), filled(7, 31))]);
  throwsCode(() => openRecoveryFileWithKey(file, key), "recovery_undecryptable");
});
