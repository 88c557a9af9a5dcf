import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import { assertTrustworthyUrl, CachedFetch } from "#edge/http/cached-fetch.ts";
import { AuthService, publicService } from "#modes/live/auth/auth-service.ts";
import type { AccessPolicy } from "#modes/live/auth/authorize.ts";
import { KeyError, parseKeyFile, verifyingKey } from "#modes/live/auth/key.ts";
import { firstOf, type KeySource, keyFolder, oneKey, oneKeyAt } from "#modes/live/auth/key-source.ts";
import { publicAccess } from "#modes/live/auth/public-access.ts";
import { type Config, OptionError } from "./options.ts";
import { revokedTokens } from "./revoked-tokens.ts";

/** Keys and decisions are small. */
const answerMaxLength = 65_536;
const answersMax = 10_000;
/** A stranger with an unknown key id makes us ask no more often than this. */
const freshAtLeastMs = 5_000;
const freshAtMostMs = 3_600_000;

/** Who may use live, as the options say, Privacy Pass aside. Undefined where nobody may. */
export async function liveAccess(config: Config, clock: Clock): Promise<AccessPolicy | undefined> {
  const {
    authApi,
    authPublicApi,
    authRevoked,
    authMtlsTier: mtlsTier,
    authFetchTimeoutMs: timeoutMs,
  } = config;
  const cache = new CachedFetch({
    clock,
    timeoutMs,
    maxLength: answerMaxLength,
    entriesMax: answersMax,
    freshAtLeastMs,
    freshAtMostMs,
  });
  const fetchText = (url: string) => cache.text(url);
  if (authApi !== undefined) assertAlone(config);
  const keys = await keysOf(config, cache);
  const open = publicAccess(config);
  const usesCertificates = config.serverTlsRoot.length > 0;
  if (!keys && !open && authApi === undefined && authPublicApi === undefined && !usesCertificates)
    return undefined;
  return {
    keys,
    revoked: authRevoked === undefined ? undefined : revokedTokens(authRevoked),
    public: open,
    publicAt:
      authPublicApi === undefined
        ? undefined
        : publicService(trustworthy("--auth-public-api", authPublicApi), fetchText),
    service:
      authApi === undefined ? undefined : new AuthService(trustworthy("--auth-api", authApi), fetchText),
    mtlsTier,
  };
}

/** The service knows the keys and what is public: two answers to one question would be one too many. */
function assertAlone(config: Config): void {
  const others = [
    "authKey",
    "authKeyDir",
    "authPublic",
    "authPublicSubscribe",
    "authPublicPublish",
    "authPublicApi",
  ];
  if (others.some((key) => config[key as keyof Config] !== undefined))
    throw new OptionError("--auth-api: give either it or auth-key, auth-key-dir and auth-public.");
}

function trustworthy(option: string, url: string): string {
  try {
    assertTrustworthyUrl(url);
    return url;
  } catch (error) {
    throw new OptionError(`${option}: ${(error as Error).message}.`);
  }
}

const isUrl = (text: string): boolean => /^[a-z][a-z0-9+.-]*:\/\//i.test(text);

async function keysOf({ authKey, authKeyDir }: Config, cache: CachedFetch): Promise<KeySource | undefined> {
  const sources: KeySource[] = [];
  if (authKeyDir !== undefined) sources.push(keyFolder(readerOf(authKeyDir, cache)));
  if (authKey !== undefined) sources.push(await singleKey(authKey, cache));
  return sources.length === 0 ? undefined : firstOf(...sources);
}

function readerOf(folder: string, cache: CachedFetch): (name: string) => Promise<string | undefined> {
  if (!isUrl(folder)) return (name) => textOf(join(folder, name));
  const base = trustworthy("--auth-key-dir", folder).replace(/\/?$/, "/");
  return (name) => textAt(new URL(name, base).href, cache);
}

async function singleKey(authKey: string, cache: CachedFetch): Promise<KeySource> {
  if (isUrl(authKey)) {
    const url = trustworthy("--auth-key", authKey);
    return oneKeyAt(() => textAt(url, cache));
  }
  const text = await textOf(authKey);
  if (text === undefined) throw new OptionError("--auth-key: the file cannot be read.");
  try {
    return oneKey(await verifyingKey(parseKeyFile(text)));
  } catch (error) {
    if (error instanceof KeyError) throw new OptionError(`--auth-key: ${error.message}.`);
    throw error;
  }
}

/** Undefined where there is none; a server that fails is no proof of that, and refuses the session otherwise. */
async function textAt(url: string, cache: CachedFetch): Promise<string | undefined> {
  try {
    const { status, text } = await cache.get(url);
    return status === 404 ? undefined : text;
  } catch (cause) {
    throw new RelayError("auth_unavailable", { text: "The token's key cannot be fetched now", cause });
  }
}

export const textOf = (path: string): Promise<string | undefined> =>
  readFile(path, "utf8").catch(() => undefined);
