import { systemClock } from "#core/clock.ts";
import { OptionError, parseGiven } from "#core/flags.ts";
import { duration, flag, prefixes, text } from "#core/options.ts";
import { signingKey } from "#modes/live/auth/key.ts";
import { mintToken } from "#modes/live/auth/token.ts";
import { clientCommand } from "./client-command.ts";
import { exitCodes } from "./exit-codes.ts";
import { readTokenKey } from "./token-key.ts";

const expiry = duration({ default: "1h", atLeast: "1s", doc: "How long a token is valid." });

export const tokenMint = clientCommand({
  name: "token mint",
  usage: "token mint --key FILE [OPTIONS]",
  about: `
Prints a token for the live mode. It goes into the URL of a session: https://relay.example/room?jwt=TOKEN.

  postern token mint --key live.jwk --root room --put alice --get ''
                                      may publish room/alice and what is below it, and watch all of room
  postern token mint --key live.jwk --get demo --get news --expires 7d`,
  options: {
    key: text({ default: undefined, doc: "The key to sign with.", allowed: "a file name" }),
    root: text({ default: "", doc: "What the names in `put` and `get` are relative to." }),
    put: prefixes({
      default: undefined,
      doc: 'What may be published; "" is everything below the root. May be repeated.',
    }),
    get: prefixes({
      default: undefined,
      doc: 'What may be watched; "" is everything below the root. May be repeated.',
    }),
    expires: text({
      default: "1h",
      doc: "How long the token is valid; `never` makes it valid for ever.",
      allowed: "a duration such as 2h or 7d, or never",
    }),
    cluster: flag({ default: false, doc: "The bearer is another relay of the cluster." }),
  },
  operandsMost: 0,
  async run({ values: { key: file, root = "", put = [], get = [], expires = "1h", cluster }, terminal }) {
    if (file === undefined) throw new OptionError("--key FILE is needed.");
    const now = systemClock().now();
    const expiresAt =
      expires === "never" ? undefined : now + parseGiven(expiry, { name: "--expires", text: expires });
    const key = await signingKey(await readTokenKey(file));
    const token = await mintToken(key, { root, put, get, cluster, expiresAt }, now);
    if (terminal.json) await terminal.writeJson({ token });
    else await terminal.write(`${token}\n`);
    return exitCodes.ok;
  },
});
