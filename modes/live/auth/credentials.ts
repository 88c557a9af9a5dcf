import { decodePadded, parseTokenHeader } from "#wire/privacy-pass/authorization.ts";
import type { Claim } from "./authorize.ts";
import { tokensMax } from "./privacy-pass.ts";

/**
 * What a request brings along: the path, `?jwt=` and the private tokens of its target (as sent, or as a SETUP has it),
 * and the private tokens of its `Authorization`.
 */
export function credentialsOf(target: string, authorization: string | null): Omit<Claim, "now"> {
  const [path = "", ...query] = target.split("?");
  const parameters = new URLSearchParams(query.join("?"));
  // What cannot be decoded is kept as a token that is malformed: it must be refused, not passed over.
  const inQuery = parameters.getAll("pp").map((text) => decodePadded(text) ?? new Uint8Array());
  return {
    path,
    jwt: parameters.get("jwt") ?? undefined,
    privateTokens: [...inQuery, ...parseTokenHeader(authorization)].slice(0, tokensMax + 1),
  };
}
