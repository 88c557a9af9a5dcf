import type { ClientCertificate, Knock, TransportKind } from "#wire/live/acceptor.ts";
import { decodePadded, parseTokenHeader } from "#wire/privacy-pass/authorization.ts";
import { tokensMax } from "./privacy-pass.ts";

/** What a remote brings along to be let in. */
export interface Credentials {
  /** The value of `?jwt=`; undefined where there is none. */
  readonly jwt: string | undefined;
  /** Privacy Pass tokens: of `?pp=`, of `Authorization`, of a SETUP. */
  readonly privateTokens: readonly Uint8Array[];
  readonly clientCertificate?: ClientCertificate | undefined;
  /** No credential: an authorization service is told. */
  readonly transport?: TransportKind | undefined;
}

export function credentialsOf(knock: Omit<Knock, "path">): Credentials {
  const { query, authorization, clientCertificate, transport } = knock;
  // What cannot be decoded is kept as a token that is malformed: it must be refused, not passed over.
  const inQuery = query.getAll("pp").map((text) => decodePadded(text) ?? new Uint8Array());
  return {
    // As the original: the last one counts, and an empty one is none.
    jwt: query.getAll("jwt").findLast((jwt) => jwt !== ""),
    privateTokens: [...inQuery, ...parseTokenHeader(authorization)].slice(0, tokensMax + 1),
    ...(clientCertificate && { clientCertificate }),
    ...(transport && { transport }),
  };
}
