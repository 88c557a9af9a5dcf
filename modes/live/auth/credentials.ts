import type { Knock } from "#wire/live/acceptor.ts";
import { decodePadded, parseTokenHeader } from "#wire/privacy-pass/authorization.ts";
import { tokensMax } from "./privacy-pass.ts";

/** What a remote brings along to be let in. */
export interface Credentials {
  /** The value of `?jwt=`; undefined where there is none. */
  readonly jwt: string | undefined;
  /** Privacy Pass tokens: of `?pp=`, of `Authorization`, of a SETUP. */
  readonly privateTokens: readonly Uint8Array[];
}

export function credentialsOf({ query, authorization }: Omit<Knock, "path">): Credentials {
  // What cannot be decoded is kept as a token that is malformed: it must be refused, not passed over.
  const inQuery = query.getAll("pp").map((text) => decodePadded(text) ?? new Uint8Array());
  return {
    jwt: query.get("jwt") ?? undefined,
    privateTokens: [...inQuery, ...parseTokenHeader(authorization)].slice(0, tokensMax + 1),
  };
}
