import { ed25519 } from "@noble/curves/ed25519.js";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** The members of a purge, signed by a key made from `seed`. */
export function signedPurge(
  mailbox: string,
  timestamp: number,
  of: { readonly seed?: number; readonly token?: number } = {},
) {
  const seed = new Uint8Array(32).fill(of.seed ?? 7);
  const token = new Uint8Array(32).fill(of.token ?? 0);
  if (of.token === undefined) crypto.getRandomValues(token);
  const publicKey = ed25519.getPublicKey(seed);
  const message = new Uint8Array(72);
  message.set(publicKey);
  message.set(token, 32);
  new DataView(message.buffer).setBigUint64(64, BigInt(timestamp));
  return {
    recipient_id: mailbox,
    public_key: hex(publicKey),
    purge_token: hex(token),
    signature: hex(ed25519.sign(message, seed)),
    timestamp,
  };
}
