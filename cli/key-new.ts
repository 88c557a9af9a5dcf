import { createRecoveryFile, Keypair } from "#clients/pubky/src/index.ts";
import { OptionError } from "#core/flags.ts";
import { flag } from "#core/options.ts";
import { clientCommand } from "./client-command.ts";
import { exitCodes } from "./exit-codes.ts";
import { passphraseOption, readPassphrase, writeKeyFile } from "./key-file.ts";

export const keyNew = clientCommand({
  name: "key new",
  usage: "key new FILE [OPTIONS]",
  about: `
The file is a Pubky recovery file, which other Pubky apps open too: the key, sealed with a passphrase. Losing the file or
the passphrase is losing the identity; there is no reset. The public key is printed.

  postern key new me.pkarr                               asks for a passphrase, twice
  postern key new me.pkarr --passphrase-file pass.txt    for scripts
  postern key new me.key --plain                         not sealed, readable by you alone (mode 0600)`,
  options: {
    passphraseFile: passphraseOption,
    plain: flag({ default: false, doc: "Keep the seed as 64 hexadecimal digits, without a passphrase." }),
  },
  operandsMost: 1,
  async run({ values, operands: [path], terminal }) {
    if (path === undefined) throw new OptionError("Name the file to make: postern key new FILE.");
    if (values.plain && values.passphraseFile !== undefined)
      throw new OptionError("--plain: such a file has no passphrase.");
    const keypair = Keypair.random();
    const content = values.plain
      ? `${Buffer.from(keypair.secretBytes()).toString("hex")}\n`
      : await createRecoveryFile(keypair, await readPassphrase(terminal, values.passphraseFile, true));
    writeKeyFile(path, content);
    const format = values.plain ? "plain" : "recovery";
    if (terminal.json) await terminal.writeJson({ publicKey: keypair.publicKey.z32, file: path, format });
    else await terminal.write(`${keypair.publicKey}\n`);
    return exitCodes.ok;
  },
});
