import { createVerifier, decodeBase64url } from "#clients/pubky/src/index.ts";
import { OptionError } from "#core/flags.ts";
import { duration } from "#core/options.ts";
import { clientCommand } from "./client-command.ts";
import { exitCodes } from "./exit-codes.ts";

export const authVerify = clientCommand({
  name: "auth verify",
  usage: "auth verify [TOKEN] [OPTIONS]",
  about: `
The backend's side of Pubky Auth. Takes the token, or the JSON that postern auth request prints, as an argument or from
stdin, and prints {"publicKey":…,"capabilities":[…],"issuedAt":…}. Exit code 4: not a valid token; 3: too old.

This command forgets what it has seen. A backend must also refuse a token that comes a second time: createVerifier of
@postern/pubky does.

  postern auth request --caps /pub/my.app/:rw | postern auth verify
  postern auth verify < token.txt`,
  options: {
    windowMs: duration({
      default: "3m",
      atLeast: "1s",
      atMost: "1h",
      doc: "How far the token's time may be from this machine's clock, each way.",
    }),
  },
  operandsMost: 1,
  async run({ values, operands: [operand], terminal }) {
    const given = operand ?? Buffer.from(await terminal.readStdin()).toString("utf8");
    const verifier = createVerifier({ windowMs: values.windowMs });
    const { publicKey, capabilities, issuedAt } = await verifier.verify(decodeBase64url(tokenIn(given)));
    await terminal.writeJson({
      publicKey: publicKey.z32,
      capabilities,
      issuedAt: new Date(issuedAt).toISOString(),
    });
    return exitCodes.ok;
  },
});

/** The token by itself, or out of the last line of what `auth request` has printed. */
function tokenIn(given: string): string {
  const line = given.trim().split("\n").at(-1)!;
  if (line === "") throw new OptionError("No token: give one as an argument or on stdin.");
  if (!line.startsWith("{")) return line;
  try {
    const { token } = JSON.parse(line) as { token?: unknown };
    if (typeof token === "string") return token;
  } catch {
    // Answered below, without quoting what may be half a token.
  }
  throw new OptionError('The JSON has no "token".');
}
