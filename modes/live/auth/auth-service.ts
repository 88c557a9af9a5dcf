import { RelayError } from "#core/errors.ts";
import type { TransportKind } from "#wire/live/acceptor.ts";
import { normalizePath } from "../path.ts";
import { tierPattern } from "../tier.ts";
import { type Grants, isUseless } from "./grants.ts";
import { KeyError, parseKeyFile, type VerifyingKey, verifyingKey } from "./key.ts";

/** What the service is asked about one session. */
export interface AuthQuestion {
  /** The session's path, in normal form. */
  readonly root: string;
  /** The `kid` of its JWT, where it has one that names a key. */
  readonly kid?: string | undefined;
  /** It showed a certificate that we verified. */
  readonly mtls?: boolean;
  readonly transport?: TransportKind | undefined;
}

/** What it says; nothing of it need be there. */
export interface AuthAnswer {
  /** Where the session's names really are: as many parts as the path. */
  readonly alias?: string | undefined;
  /** What anybody may do there, with the question's path as root. */
  readonly public?: Grants | undefined;
  /** The key that the JWT must be signed with. */
  readonly key?: VerifyingKey | undefined;
  /** Label of the session's traffic. */
  readonly tier?: string | undefined;
}

/** The body of a successful answer; rejects for any other, and where none came. */
export type FetchAnswer = (url: string) => Promise<string>;

/**
 * Somebody else who decides about sessions, over HTTP, as the original relay asks: `GET base?root=&kid=&mtls=&transport=`.
 * Whatever goes wrong refuses the session with `auth_unavailable`.
 */
export class AuthService {
  readonly #base: string;
  readonly #fetch: FetchAnswer;

  constructor(base: string, fetch: FetchAnswer) {
    this.#base = base;
    this.#fetch = fetch;
  }

  async ask({ root, kid, mtls, transport }: AuthQuestion): Promise<AuthAnswer> {
    const url = new URL(this.#base);
    url.searchParams.append("root", root);
    if (kid !== undefined) url.searchParams.append("kid", kid);
    if (mtls) url.searchParams.append("mtls", "true");
    if (transport !== undefined) url.searchParams.append("transport", transport);
    try {
      return await parseAnswer(await this.#fetch(url.href), root);
    } catch (cause) {
      throw new RelayError("auth_unavailable", { cause });
    }
  }
}

/** What anybody may do at a path, from `{base}/{path}`: `{"subscribe": [...], "publish": [...]}`, relative to the path. */
export function publicService(
  base: string,
  fetch: FetchAnswer,
): (path: string) => Promise<Grants | undefined> {
  return async (path) => {
    try {
      const encoded = path.split("/").map(encodeURIComponent).join("/");
      return parsePublic(JSON.parse(await fetch(new URL(encoded, base.replace(/\/?$/, "/")).href)), path);
    } catch (cause) {
      throw new RelayError("auth_unavailable", { cause });
    }
  };
}

async function parseAnswer(text: string, root: string): Promise<AuthAnswer> {
  const answer = membersOf(JSON.parse(text));
  const { alias, public: open, key, tier } = answer;
  return {
    alias: alias === undefined ? undefined : parseAlias(alias, root),
    public: open === undefined ? undefined : parsePublic(open, root),
    key: key === undefined ? undefined : await parseKey(key),
    tier: tier === undefined || tier === "" ? undefined : parseTier(tier),
  };
}

/** Absent and `null` are the same. */
function membersOf(value: unknown): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error("no object");
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== null));
}

function parseAlias(value: unknown, root: string): string {
  const alias = typeof value === "string" ? normalizePath(value) : undefined;
  // Another depth would move what the token allows.
  if (alias === undefined || depthOf(alias) !== depthOf(root)) throw new Error("the alias does not fit");
  return alias;
}

const depthOf = (path: string): number => (path === "" ? 0 : path.split("/").length);

function parsePublic(value: unknown, root: string): Grants | undefined {
  const { publish, subscribe } = membersOf(value);
  const grants = { root, put: parsePrefixes(publish), get: parsePrefixes(subscribe) };
  return isUseless(grants) ? undefined : grants;
}

function parsePrefixes(value: unknown = []): string[] {
  if (!Array.isArray(value)) throw new Error("a list of prefixes is none");
  return value.map((prefix) => {
    const path = typeof prefix === "string" ? normalizePath(prefix) : undefined;
    if (path === undefined) throw new Error("a prefix is none");
    return path;
  });
}

async function parseKey(value: unknown): Promise<VerifyingKey> {
  try {
    return await verifyingKey(parseKeyFile(JSON.stringify(value)));
  } catch (error) {
    if (error instanceof KeyError) throw new Error("the key is none");
    throw error;
  }
}

function parseTier(value: unknown): string {
  if (typeof value !== "string" || value.length > 128 || !tierPattern.test(value))
    throw new Error("the tier is none");
  return value;
}
