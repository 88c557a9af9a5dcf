import { ed25519 } from "@noble/curves/ed25519.js";
import { guardianHashOf } from "#modes/mailbox/guardians.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** The signed members of a change to a guardian set, by a key made from `seed`. */
export function signedGuardians(domain: "guardian-store" | "guardian-delete", timestamp: number, seed = 3) {
  const secret = new Uint8Array(32).fill(seed);
  const key = ed25519.getPublicKey(secret);
  const guardian_hash = guardianHashOf(key);
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(BigInt(timestamp));
  const message = Buffer.concat([Buffer.from(domain), key, Buffer.from(guardian_hash, "hex"), time]);
  return {
    guardian_hash,
    designator_pk: hex(key),
    timestamp,
    signature: hex(ed25519.sign(message, secret)),
  };
}
