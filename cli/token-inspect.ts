import { decodeJwt, decodeProtectedHeader, errors } from "jose";
import { systemClock } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import { OptionError } from "#core/flags.ts";
import { text } from "#core/options.ts";
import { type KeyFile, verifyingKey } from "#modes/live/auth/key.ts";
import { oneKey } from "#modes/live/auth/key-source.ts";
import { tokenId, verifyToken } from "#modes/live/auth/token.ts";
import { clientCommand } from "./client-command.ts";
import { exitCodes } from "./exit-codes.ts";
import { readTokenKey } from "./token-key.ts";

export const tokenInspect = clientCommand({
  name: "token inspect",
  usage: "token inspect JWT|- [OPTIONS]",
  about: `
Prints what a token of the live mode says, and its id for the file that auth-revoked names. With --key it also says whether
the token is valid now.

  postern token inspect eyJhbGciOi…
  postern token mint --key live.jwk --get '' | postern token inspect - --key live.jwk`,
  options: {
    key: text({ default: undefined, doc: "The key that must have signed it.", allowed: "a file name" }),
  },
  operandsMost: 1,
  async run({ values, operands: [named], terminal }) {
    if (named === undefined) throw new OptionError("JWT is needed, or - for the standard input.");
    const given = named === "-" ? new TextDecoder().decode(await terminal.readStdin()) : named;
    const jwt = given.trim();
    const shown = readable(jwt);
    const verdict =
      values.key === undefined ? undefined : await verdictOf(jwt, await readTokenKey(values.key));
    const result = { ...shown, ...verdict?.shown };
    if (terminal.json) await terminal.writeJson(result);
    else await terminal.write(`${JSON.stringify(result, null, 2)}\n`);
    return verdict?.exitCode ?? exitCodes.ok;
  },
});

function readable(jwt: string): object {
  try {
    const claims = decodeJwt(jwt);
    const expires = claims.exp === undefined ? "never" : new Date(claims.exp * 1000).toISOString();
    return { id: tokenId(jwt), header: decodeProtectedHeader(jwt), claims, expires };
  } catch {
    throw new OptionError("This is no token: a token is three texts in base64url, joined by dots.");
  }
}

interface Verdict {
  readonly shown: { readonly valid: boolean; readonly why?: string };
  readonly exitCode: number;
}

async function verdictOf(jwt: string, file: KeyFile): Promise<Verdict> {
  try {
    await verifyToken(jwt, oneKey(await verifyingKey(file)), systemClock().now());
    return { shown: { valid: true }, exitCode: exitCodes.ok };
  } catch (error) {
    if (!(error instanceof RelayError)) throw error;
    const expired = error.cause instanceof errors.JWTExpired;
    return {
      shown: { valid: false, why: error.message },
      exitCode: expired ? exitCodes.timedOut : exitCodes.refused,
    };
  }
}
