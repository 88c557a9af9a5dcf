import { argon2idAsync } from "@noble/hashes/argon2.js";
import { concatBytes } from "../../../core/bytes.ts";
import { type Entropy, systemEntropy } from "../../../core/clock.ts";
import { type Bytes, utf8 } from "./bytes.ts";
import { PubkyError } from "./errors.ts";
import { Keypair } from "./keys.ts";
import { open, SEAL_NONCE_BYTES, seal } from "./sealed-box.ts";

const SPEC_LINE = "pubky.org/recovery";
const SPEC_LINES_READ = [SPEC_LINE, "pkarr.org/recovery"];
const FILE_MAX_BYTES = 1024;
const NEWLINE = 0x0a;

/**
 * The key a passphrase opens recovery files with: Argon2id version 1.3, 19,456 KiB, 2 passes, 1 lane.
 *
 * Takes around half a second on purpose; the event loop keeps turning meanwhile.
 */
export async function recoveryKey(passphrase: string): Promise<Bytes> {
  const key = await argon2idAsync(utf8(passphrase), utf8("recovery"), { t: 2, m: 19_456, p: 1, dkLen: 32 });
  return Uint8Array.from(key);
}

/** A file of 91 bytes that gives the key pair back to whoever knows the passphrase. */
export async function createRecoveryFile(
  keypair: Keypair,
  passphrase: string,
  entropy: Entropy = systemEntropy,
): Promise<Bytes> {
  const nonce = entropy.bytes(SEAL_NONCE_BYTES);
  const sealed = seal(await recoveryKey(passphrase), nonce, keypair.secretBytes());
  return concatBytes(utf8(`${SPEC_LINE}\n`), sealed);
}

/**
 * @throws PubkyError `recovery_spec_line`, `recovery_empty`, `sealed_too_short`, `recovery_undecryptable`
 */
export async function openRecoveryFile(file: Uint8Array, passphrase: string): Promise<Keypair> {
  // What is no recovery file is told so at once, before the slow derivation.
  const box = recoveryBox(file);
  return openRecoveryBox(box, await recoveryKey(passphrase));
}

/** As {@link openRecoveryFile}, with the key of {@link recoveryKey}: for trying several files with one passphrase. */
export function openRecoveryFileWithKey(file: Uint8Array, key: Uint8Array): Keypair {
  return openRecoveryBox(recoveryBox(file), key);
}

function recoveryBox(file: Uint8Array): Uint8Array {
  const lineEnd = file.length <= FILE_MAX_BYTES ? file.indexOf(NEWLINE) : -1;
  const line = lineEnd < 0 ? "" : new TextDecoder().decode(file.subarray(0, lineEnd));
  if (!SPEC_LINES_READ.some((known) => line.startsWith(known))) throw new PubkyError("recovery_spec_line");
  const box = file.subarray(lineEnd + 1);
  if (box.length === 0) throw new PubkyError("recovery_empty");
  if (box.length < SEAL_NONCE_BYTES) open(new Uint8Array(32), box);
  return box;
}

function openRecoveryBox(box: Uint8Array, key: Uint8Array): Keypair {
  let secret: Bytes;
  try {
    secret = open(key, box);
  } catch (cause) {
    throw new PubkyError("recovery_undecryptable", { cause });
  }
  if (secret.length !== 32) throw new PubkyError("recovery_undecryptable");
  return Keypair.fromSecret(secret);
}
