import type { Clock } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import { encodeBase64url } from "#wire/base64url.ts";
import { errorReply } from "#wire/http/problem.ts";
import { Reply } from "#wire/http/reply.ts";
import { pathOf, type RelayRequest, readBody } from "#wire/http/request.ts";
import { emptyReply, type Routes } from "#wire/http/router.ts";
import {
  decodeTokenRequest,
  directoryMediaType,
  directoryPath,
  encodeDirectory,
  tokenRequestLength,
  tokenRequestMediaType,
  tokenResponseMediaType,
} from "#wire/privacy-pass/issuance.ts";
import type { IssuerKey } from "#wire/privacy-pass/issuer-key.ts";
import type { KeySource } from "./key-source.ts";
import { verifyToken } from "./token.ts";

/** Decides who gets a token. Throws `unauthorized`. */
export type Gate = (request: RelayRequest) => Promise<void>;

export interface Issuer {
  readonly key: IssuerKey;
  /** Our private key's bare operation on 256 bytes (RFC 9474, 4.3). Undefined: the number is not below the modulus. */
  readonly rawRsaSign: (blinded: Uint8Array) => Uint8Array | undefined;
  readonly gate: Gate;
}

/** Where tokens are asked for; the directory says so. */
const requestPath = "/token-request";

/** An issuer of type 0x0002 (RFC 9578, 4 and 6): its directory, and signatures on what it cannot see. */
export function issuerRoutes(issuer: Issuer): Routes {
  const routes: Record<string, { method: string; respond: (request: RelayRequest) => Promise<Response> }> = {
    [directoryPath]: { method: "GET", respond: async () => directory(issuer) },
    [requestPath]: { method: "POST", respond: (request) => issue(request, issuer) },
  };
  return (request) => {
    const path = pathOf(request);
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
    if (!route) return undefined;
    const respond = async () => {
      if (request.method !== route.method) return emptyReply(405, [["allow", route.method]]);
      try {
        return await route.respond(request);
      } catch (error) {
        if (!(error instanceof RelayError)) throw error;
        return errorReply(request, error, "text/plain; charset=utf-8");
      }
    };
    return { route: path, respond };
  };
}

function directory({ key }: Issuer): Reply {
  const headers: [string, string][] = [
    ["content-type", directoryMediaType],
    ["cache-control", "max-age=300"],
  ];
  return new Reply(200, headers, encodeDirectory(requestPath, [encodeBase64url(key.spki)]));
}

async function issue(request: RelayRequest, { key, rawRsaSign, gate }: Issuer): Promise<Reply> {
  await gate(request);
  if (request.headers.get("content-type") !== tokenRequestMediaType)
    throw new RelayError("unsupported_media_type");
  const asked = decodeTokenRequest(await readBody(request, tokenRequestLength));
  // The last byte of the key's id tells whether the client means this key (RFC 9578, 6.1).
  if (asked?.truncatedKeyId !== key.id.at(-1)) throw new RelayError("unprocessable");
  const signature = rawRsaSign(asked!.blinded);
  if (!signature) throw new RelayError("unprocessable");
  return new Reply(200, [["content-type", tokenResponseMediaType]], signature);
}

/** Tokens for everybody: for development. */
export const openGate: Gate = async () => {};

function bearerOf(request: RelayRequest): string {
  const value = /^Bearer ([!-~]+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
  if (value === undefined) throw new RelayError("unauthorized", { text: "The issuer needs a bearer token" });
  return value;
}

/** Tokens for whoever has a valid JWT of the relay's own key, in `Authorization: Bearer`. */
export function jwtGate(keys: KeySource, clock: Clock): Gate {
  return async (request) => void (await verifyToken(bearerOf(request), keys, clock.now()));
}

/** Tokens for whoever knows a secret, in `Authorization: Bearer`. */
export function secretGate(secret: string): Gate {
  return async (request) => {
    // Compared by digest, so that the time it takes tells nothing of where they differ.
    const [given, wanted] = await Promise.all([bearerOf(request), secret].map(digest));
    if (given !== wanted) throw new RelayError("unauthorized");
  };
}

async function digest(text: string): Promise<string> {
  const bytes = new TextEncoder().encode(text);
  return encodeBase64url(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}
