import type { Draft } from "./draft.ts";
import { IetfProtocolError, sessionCode } from "./error.ts";
import { decoderOf } from "./integers.ts";

const aliasType = { delete: 0, register: 1, useAlias: 2, useValue: 3 } as const;

/** Tokens of a type that both sides know of without saying: a JWT, here. */
export const outOfBand = 0;

export interface AuthorizationToken {
  type: number;
  value: Uint8Array;
}

/**
 * The token in an AUTHORIZATION TOKEN option. We keep no aliases, so one that is registered is as good as one that is
 * not, and one that is used is unknown.
 */
export function decodeAuthorizationToken(bytes: Uint8Array, draft: Draft): AuthorizationToken {
  try {
    const from = decoderOf(bytes, draft);
    const alias = from.varint();
    if (alias === aliasType.register) from.bigVarint();
    if (alias === aliasType.register || alias === aliasType.useValue) {
      return { type: from.varint(), value: from.rest() };
    }
  } catch {
    throw new IetfProtocolError("a token is malformed", sessionCode.malformedAuthToken);
  }
  throw new IetfProtocolError("a token's alias is unknown", sessionCode.unknownAuthTokenAlias);
}
