import { readFile, writeFile } from "node:fs/promises";
import { text as readAll } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { decodeJwt, decodeProtectedHeader, errors } from "jose";
import { systemClock, systemEntropy } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import { duration, OptionValueError } from "#core/options.ts";
import { ClaimsError } from "#modes/live/auth/claims.ts";
import {
  type Algorithm,
  algorithms,
  KeyError,
  type KeyFile,
  newKeyFile,
  parseKeyFile,
  publicKeyFile,
  signingKey,
  verifyingKey,
} from "#modes/live/auth/key.ts";
import { oneKey } from "#modes/live/auth/key-source.ts";
import { mintToken, tokenId, verifyToken } from "#modes/live/auth/token.ts";
import type { Command } from "./command.ts";
import { exitCodes, exitCodesHelp } from "./exit-codes.ts";

const help = `postern token: keys and tokens for the live mode.

Usage: postern token key new [--alg ALG] [--kid ID] --out FILE [--public FILE]
       postern token mint --key FILE [--root PATH] [--put PREFIX]... [--get PREFIX]... [--expires SPAN] [--cluster]
       postern token inspect JWT [--key FILE]

key new   makes a key. FILE is readable by you alone and never overwritten; --public also writes the half
          that a relay needs to verify (not with HS*, where both are the same secret).
          ALG is one of ${algorithms.join(", ")}; ES256 when not given.
mint      prints a token. --put and --get name what may be published and watched, relative to --root;
          "" is everything below it. It expires after --expires (1h), or never with --expires never.
inspect   prints what a token says, and its id for auth-revoked; with --key, whether it is valid now.
          JWT may be - for the standard input.

${exitCodesHelp}`;

/** What was asked for cannot be done as asked: exit code 2. */
class UsageError extends Error {}

export const token: Command = {
  options: {},
  words: ["key", "mint", "inspect"],
  async run(args) {
    if (args.length === 0 || args.includes("--help") || args.includes("-h")) {
      process.stdout.write(help);
      return args.length === 0 ? exitCodes.usage : exitCodes.ok;
    }
    try {
      if (args[0] === "key" && args[1] === "new") return await newKey(args.slice(2));
      if (args[0] === "mint") return await mint(args.slice(1));
      if (args[0] === "inspect") return await inspect(args.slice(1));
      throw new UsageError("say key new, mint or inspect; see postern token --help");
    } catch (error) {
      const exitCode = exitCodeOf(error);
      if (exitCode === undefined) throw error;
      process.stderr.write(`postern token: ${(error as Error).message}\n`);
      return exitCode;
    }
  },
};

function exitCodeOf(error: unknown): number | undefined {
  if (error instanceof UsageError || error instanceof OptionValueError) return exitCodes.usage;
  // A bad flag is a TypeError of parseArgs with a code of this form.
  const code = (error as { code?: unknown }).code;
  if (typeof code === "string" && code.startsWith("ERR_PARSE_ARGS")) return exitCodes.usage;
  if (error instanceof KeyError || error instanceof ClaimsError) return exitCodes.failed;
  return typeof code === "string" && /^E[A-Z]+$/.test(code) ? exitCodes.failed : undefined;
}

function required(value: string | undefined, name: string): string {
  if (value === undefined) throw new UsageError(`${name} is needed; see postern token --help`);
  return value;
}

async function newKey(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      alg: { type: "string", default: "ES256" },
      kid: { type: "string" },
      out: { type: "string" },
      public: { type: "string" },
    },
  });
  const alg = algorithms.find((name) => name === values.alg);
  if (!alg) throw new UsageError(`--alg: one of ${algorithms.join(", ")}`);
  if (values.public !== undefined && alg.startsWith("HS"))
    throw new UsageError(`--public: an ${alg} key is one shared secret, without a public half`);
  const out = required(values.out, "--out FILE");
  const file = parseKeyFile(
    JSON.stringify(await newKeyFile(alg satisfies Algorithm, values.kid ?? freshKid())),
  );
  await writeKey(out, file, 0o600);
  if (values.public !== undefined) await writeKey(values.public, publicKeyFile(file), 0o644);
  return exitCodes.ok;
}

function freshKid(): string {
  return Array.from(systemEntropy.bytes(8), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function writeKey(path: string, key: KeyFile, mode: number): Promise<void> {
  await writeFile(path, `${JSON.stringify(key, null, 2)}\n`, { mode, flag: "wx" });
}

async function readKey(path: string): Promise<KeyFile> {
  return parseKeyFile(await readFile(path, "utf8"));
}

const expiry = duration({ default: "1h", atLeast: "1s", doc: "How long a token is valid." });

async function mint(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      key: { type: "string" },
      root: { type: "string", default: "" },
      put: { type: "string", multiple: true, default: [] },
      get: { type: "string", multiple: true, default: [] },
      expires: { type: "string", default: "1h" },
      cluster: { type: "boolean", default: false },
    },
  });
  const key = await signingKey(await readKey(required(values.key, "--key FILE")));
  const now = systemClock().now();
  const expiresAt = values.expires === "never" ? undefined : now + expiry.parse(values.expires);
  const { root, put, get, cluster } = values;
  process.stdout.write(`${await mintToken(key, { root, put, get, cluster, expiresAt }, now)}\n`);
  return exitCodes.ok;
}

async function inspect(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { key: { type: "string" } },
    allowPositionals: true,
  });
  const named = required(positionals[0], "JWT");
  const jwt = (named === "-" ? await readAll(process.stdin) : named).trim();
  const verdict = values.key === undefined ? undefined : await verdictOf(jwt, await readKey(values.key));
  process.stdout.write(`${JSON.stringify({ ...readable(jwt), ...verdict?.shown }, null, 2)}\n`);
  return verdict?.exitCode ?? exitCodes.ok;
}

function readable(jwt: string): object {
  try {
    const claims = decodeJwt(jwt);
    const expires = claims.exp === undefined ? "never" : new Date(claims.exp * 1000).toISOString();
    return { id: tokenId(jwt), header: decodeProtectedHeader(jwt), claims, expires };
  } catch {
    throw new UsageError("this is no token: a token is three texts in base64url, joined by dots");
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
