import { readFile } from "node:fs/promises";
import { type Clock, systemEntropy } from "#core/clock.ts";
import { fetchText } from "#edge/http/fetch-text.ts";
import { openIssuerPrivateKey } from "#edge/privacy-pass/issuer-private-key.ts";
import { challengeRoutes } from "#modes/live/auth/challenge-route.ts";
import {
  type Gate,
  type Issuer,
  issuerRoutes,
  jwtGate,
  openGate,
  secretGate,
} from "#modes/live/auth/issuer.ts";
import { IssuerDirectory } from "#modes/live/auth/issuer-directory.ts";
import type { KeySource } from "#modes/live/auth/key-source.ts";
import { PrivacyPass } from "#modes/live/auth/privacy-pass.ts";
import type { SpentTokenStore } from "#store/contract/spent-token-store.ts";
import { openMemorySpentTokenStore } from "#store/memory/spent-token-store.ts";
import { openSqliteSpentTokenStore } from "#store/sqlite/spent-token-store.ts";
import type { Routes } from "#wire/http/router.ts";
import { type IssuerKey, parseIssuerKey } from "#wire/privacy-pass/issuer-key.ts";
import { every } from "./every.ts";
import { type Config, OptionError } from "./options.ts";
import type { Logger } from "./telemetry.ts";

/** How often an issuer's directory is read, how soon again when that failed, and how long one reading may take. */
const directoryEveryMs = 3_600_000;
const directoryRetryMs = 10_000;
const directoryTimeoutMs = 10_000;
const sweepEveryMs = 60_000;

export interface PrivacyPassParts extends AsyncDisposable {
  /** Undefined where it is off. */
  readonly privacyPass: PrivacyPass | undefined;
  readonly routes: readonly Routes[];
}

/** Privacy Pass as the options say: the issuer's key, the spent tokens, our own issuer. */
export async function openPrivacyPass(
  config: Config,
  keys: KeySource | undefined,
  database: string | undefined,
  clock: Clock,
  log: Logger,
  report: (error: unknown) => void,
): Promise<PrivacyPassParts> {
  await using opening = new AsyncDisposableStack();
  const issuer = config.privacypassServe ? await issuerOf(config, keys, clock) : undefined;
  const routes: Routes[] = issuer ? [issuerRoutes(issuer)] : [];
  let privacyPass: PrivacyPass | undefined;
  if (config.privacypassEnabled) {
    if (!config.privacypassBound && config.privacypassSecret === undefined && database === undefined)
      log.warn(
        "spent private tokens are kept in memory only, and without bound challenges a restart makes them good again",
      );
    const spent = opening.use(await openSpentTokens(config, database));
    opening.defer(every(sweepEveryMs, clock, () => void spent.sweep(clock.now()).catch(report)));
    const issuerKeys = issuer ? () => [issuer.key] : await keysOf(config, clock, log, opening);
    privacyPass = new PrivacyPass(settingsOf(config, issuerKeys), spent);
    routes.push(challengeRoutes(privacyPass, clock));
  } else {
    routes.push(challengeRoutes(undefined, clock));
  }
  const open = opening.move();
  return { privacyPass, routes, [Symbol.asyncDispose]: () => open.disposeAsync() };
}

function settingsOf(config: Config, keys: () => readonly IssuerKey[]) {
  const { privacypassSecret: secret } = config;
  return {
    issuerName: config.privacypassIssuer!,
    keys,
    secret: secret === undefined ? systemEntropy.bytes(32) : new TextEncoder().encode(secret),
    windowMs: config.privacypassWindowMs,
    bound: config.privacypassBound,
    unboundKeepMs: config.privacypassUnboundKeepMs,
    sessionMaxMs: config.privacypassSessionMaxMs,
  };
}

async function openSpentTokens(config: Config, database: string | undefined): Promise<SpentTokenStore> {
  return database === undefined
    ? openMemorySpentTokenStore(config)
    : await openSqliteSpentTokenStore(database, config);
}

/** The issuer's key from a file, else from its directory: now if it answers, and again and again. */
async function keysOf(
  { privacypassIssuerKey: path, privacypassIssuer }: Config,
  clock: Clock,
  log: Logger,
  opening: AsyncDisposableStack,
): Promise<() => readonly IssuerKey[]> {
  if (path !== undefined) {
    const key = parseIssuerKey(await read(path, "--privacypass-issuer-key"));
    if (!key) throw new OptionError("--privacypass-issuer-key: the file holds no RSA key of 2048 bits.");
    return () => [key];
  }
  const fetchDirectory = (url: string, maxLength: number) => fetchText(url, maxLength, directoryTimeoutMs);
  const directory = new IssuerDirectory(privacypassIssuer!, fetchDirectory, clock);
  let cancel = () => {};
  let over = false;
  const refresh = async (): Promise<void> => {
    const worked = await directory.refresh().then(
      () => true,
      () => false,
    );
    if (!worked) log.warn("the directory of the Privacy Pass issuer cannot be read; trying again");
    if (!over) cancel = clock.after(worked ? directoryEveryMs : directoryRetryMs, () => void refresh());
  };
  opening.defer(() => {
    over = true;
    cancel();
  });
  // The relay does not wait for somebody else's server: until its key is known, private tokens are refused.
  void refresh();
  return () => directory.keys;
}

async function issuerOf(config: Config, keys: KeySource | undefined, clock: Clock): Promise<Issuer> {
  const gate = gateOf(config, keys, clock);
  const { privacypassServeKey: path } = config;
  const pem = path && new TextDecoder().decode(await read(path, "--privacypass-serve-key"));
  try {
    return { ...openIssuerPrivateKey(pem), gate };
  } catch {
    throw new OptionError("--privacypass-serve-key: the file holds no RSA private key of 2048 bits in PEM.");
  }
}

function gateOf(config: Config, keys: KeySource | undefined, clock: Clock): Gate {
  const { privacypassServeGate: kind, privacypassServeSecret: secret } = config;
  if (kind === "open") return openGate;
  if (kind === "secret") {
    if (secret === undefined)
      throw new OptionError("--privacypass-serve-secret: needed by the gate `secret`.");
    return secretGate(secret);
  }
  if (!keys) throw new OptionError("--auth-key: needed by the gate `jwt` of --privacypass-serve.");
  return jwtGate(keys, clock);
}

async function read(path: string, option: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch {
    throw new OptionError(`${option}: the file cannot be read.`);
  }
}
