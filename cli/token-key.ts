import { readFile, writeFile } from "node:fs/promises";
import { systemEntropy } from "#core/clock.ts";
import { OptionError } from "#core/flags.ts";
import { choice, text } from "#core/options.ts";
import { algorithms, type KeyFile, newKeyFile, parseKeyFile, publicKeyFile } from "#modes/live/auth/key.ts";
import { clientCommand } from "./client-command.ts";
import { exitCodes } from "./exit-codes.ts";

export const tokenKey = clientCommand({
  name: "token key",
  usage: "token key new --out FILE [OPTIONS]",
  about: `
Makes a key that live tokens are signed with. Its file is readable by you alone and never overwritten. A relay needs to
verify only: give it the public half as --auth-key. With HS* there is none, both sides know one secret.

  postern token key new --out live.jwk --public live.pub.jwk
  postern token key new --alg EdDSA --kid 2026-08 --out keys/2026-08.jwk`,
  options: {
    alg: choice({ default: "ES256", of: algorithms, doc: "What the tokens are signed with." }),
    kid: text({
      default: undefined,
      doc: "Name of the key, in each token too; in a folder of keys (`auth-key-dir`) its file is `{kid}.jwk`. Unset, a random one.",
      pattern: /^[A-Za-z0-9_-]+$/,
      allowed: "letters, digits, - and _",
    }),
    out: text({ default: undefined, doc: "File for the key.", allowed: "a file name" }),
    public: text({ default: undefined, doc: "File for its public half.", allowed: "a file name" }),
  },
  operandsMost: 1,
  async run({ values: { alg, kid, out, public: open }, operands: [verb], terminal }) {
    if (verb !== "new") throw new OptionError("Say new: postern token key new --out FILE.");
    if (out === undefined) throw new OptionError("--out FILE is needed.");
    if (open !== undefined && alg.startsWith("HS"))
      throw new OptionError(`--public: an ${alg} key is one shared secret, without a public half.`);
    const file = parseKeyFile(JSON.stringify(await newKeyFile(alg, kid ?? freshKid())));
    await writeKey(out, file, 0o600);
    if (open !== undefined) await writeKey(open, publicKeyFile(file), 0o644);
    if (terminal.json) await terminal.writeJson({ kid: file.kid, alg, file: out, public: open });
    return exitCodes.ok;
  },
});

function freshKid(): string {
  return Array.from(systemEntropy.bytes(8), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function writeKey(path: string, key: KeyFile, mode: number): Promise<void> {
  await writeFile(path, `${JSON.stringify(key, null, 2)}\n`, { mode, flag: "wx" });
}

/** The key in a file that the command line names. */
export async function readTokenKey(path: string): Promise<KeyFile> {
  return parseKeyFile(await readFile(path, "utf8"));
}
