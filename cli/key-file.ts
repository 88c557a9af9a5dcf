import { readFileSync, writeFileSync } from "node:fs";
import { Keypair, openRecoveryFile, PubkyError } from "#clients/pubky/src/index.ts";
import { OptionError } from "#core/flags.ts";
import { text } from "#core/options.ts";
import { readSecretFile, type Terminal } from "./terminal.ts";

export const passphraseOption = text({
  default: undefined,
  doc: "File with the passphrase of the recovery file; - is stdin. Without it you are asked at the terminal.",
  allowed: "a file name, or -",
});

/** The passphrase, from its file or from the person, who types a new one twice. */
export async function readPassphrase(
  terminal: Terminal,
  file: string | undefined,
  isNew: boolean,
): Promise<string> {
  if (file !== undefined) {
    const passphrase = readSecretFile(file, "passphrase-file");
    if (passphrase === "") throw new OptionError("--passphrase-file: it is empty.");
    return passphrase;
  }
  const passphrase = await terminal.ask("Passphrase: ", { hidden: true });
  if (passphrase === undefined)
    throw new OptionError("--passphrase-file: needed where there is no terminal.");
  if (passphrase === "") throw new OptionError("The passphrase is empty.");
  if (isNew && (await terminal.ask("Once more: ", { hidden: true })) !== passphrase)
    throw new OptionError("The two passphrases differ.");
  return passphrase;
}

export interface KeyFile {
  readonly keypair: Keypair;
  readonly format: "recovery" | "plain";
}

/** Reads either kind of key file: a recovery file, or the seed in 64 hexadecimal digits. */
export async function readKeyFile(
  path: string,
  terminal: Terminal,
  passphraseFile: string | undefined,
): Promise<KeyFile> {
  const bytes = readFileSync(path);
  const seed = /^\s*([0-9a-f]{64})\s*$/i.exec(bytes.length < 100 ? bytes.toString("latin1") : "")?.[1];
  if (seed) return { keypair: Keypair.fromSecret(Buffer.from(seed, "hex")), format: "plain" };
  // Nobody is asked for a passphrase for what is no key file at all.
  if (!/^(pubky|pkarr)\.org\/recovery/.test(bytes.subarray(0, 32).toString("latin1")))
    throw new PubkyError("recovery_spec_line", {
      message: `${path}: neither a recovery file nor a seed of 64 hexadecimal digits.`,
    });
  const passphrase = await readPassphrase(terminal, passphraseFile, false);
  return { keypair: await openRecoveryFile(bytes, passphrase), format: "recovery" };
}

/** Writes a key for its owner's eyes alone. Throws `OptionError` where something is there already. */
export function writeKeyFile(path: string, content: Uint8Array | string): void {
  try {
    writeFileSync(path, content, { mode: 0o600, flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    throw new OptionError(`${path}: exists already; no key is ever overwritten.`);
  }
}
