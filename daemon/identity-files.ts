import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Entropy, systemEntropy } from "#core/clock.ts";
import { newBlobId } from "#modes/mailbox/blob-id.ts";
import { type RelayIdentity, relayIdentity } from "#modes/mailbox/federation/relay-identity.ts";
import { type Config, OptionError } from "./options.ts";

/** Private and public X25519 key, one behind the other, as the original keeps them. */
const keyFileBytes = 64;

/** What the options say, else what the files of this relay or of an original do, else something new that is kept there. */
export function openIdentity(
  config: Config,
  folder: string | undefined,
  entropy = systemEntropy,
): RelayIdentity {
  const relayId = config.federationRelayId ?? keptId(folder, entropy);
  return relayIdentity(relayId, privateKey(config, folder, entropy));
}

function keptId(folder: string | undefined, entropy: Entropy): string {
  const fresh = newBlobId(entropy);
  if (folder === undefined) return fresh;
  const path = join(folder, "relay_id");
  return readOrKeep(path, new TextEncoder().encode(fresh), (bytes) => bytes.toString("utf8").trim() !== "")
    .toString("utf8")
    .trim();
}

function privateKey(config: Config, folder: string | undefined, entropy: Entropy): Uint8Array {
  if (config.noiseStaticKey !== undefined) {
    return Buffer.from(config.noiseStaticKey, "base64url").subarray(0, 32);
  }
  const secret = entropy.bytes(32);
  if (folder === undefined) return secret;
  const path = join(folder, "relay_noise_key.bin");
  const fresh = Buffer.concat([secret, relayIdentity("", secret).publicKey]);
  const kept = readOrKeep(path, fresh, (bytes) => {
    if (bytes.byteLength !== keyFileBytes) throw new OptionError(`${path}: the file must hold 64 bytes.`);
    return true;
  });
  return kept.subarray(0, 32);
}

/** What the file holds, if it holds anything of use; else `fresh`, which it holds from then on. */
function readOrKeep(path: string, fresh: Uint8Array, isUsable: (bytes: Buffer) => boolean): Buffer {
  try {
    const kept = readFileSync(path);
    if (isUsable(kept)) return kept;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  writeFileSync(path, fresh, { mode: 0o600, flush: true });
  return Buffer.from(fresh);
}
