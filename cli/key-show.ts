import { OptionError } from "#core/flags.ts";
import { flag } from "#core/options.ts";
import { clientCommand } from "./client-command.ts";
import { exitCodes } from "./exit-codes.ts";
import { passphraseOption, readKeyFile } from "./key-file.ts";

export const keyShow = clientCommand({
  name: "key show",
  usage: "key show FILE [OPTIONS]",
  about: `
Takes a recovery file, which needs its passphrase, and a plain file. Never prints the secret half.

  postern key show me.pkarr
  postern key show me.key --qr --json`,
  options: {
    passphraseFile: passphraseOption,
    qr: flag({ default: false, doc: "Show the public key as a QR code too, on stderr." }),
  },
  operandsMost: 1,
  async run({ values, operands: [path], terminal }) {
    if (path === undefined) throw new OptionError("Name the file: postern key show FILE.");
    const { keypair, format } = await readKeyFile(path, terminal, values.passphraseFile);
    if (values.qr) await terminal.showQr(String(keypair.publicKey), true);
    if (terminal.json) await terminal.writeJson({ publicKey: keypair.publicKey.z32, file: path, format });
    else await terminal.write(`${keypair.publicKey}\n`);
    return exitCodes.ok;
  },
});
