import { RelayError } from "#core/errors.ts";
import { decodeBinaryHttp } from "#wire/bhttp/decode.ts";
import { encodeBinaryHttp } from "#wire/bhttp/encode.ts";
import { BinaryHttpError, type BinaryRequest, type BinaryResponse, isField } from "#wire/bhttp/message.ts";
import { type HeaderList, Reply, settle } from "#wire/http/reply.ts";
import { type Handler, pathOf, type RelayRequest, readBody } from "#wire/http/request.ts";
import type { Match, Routes } from "#wire/http/router.ts";
import { ohttpKeysType, ohttpRequestType, ohttpResponseType } from "#wire/ohttp/media-types.ts";
import { type Gateway, keyProblemType } from "./gateway.ts";
import { relayPath } from "./relay.ts";

/** Where clients look for a gateway and its keys. */
export const gatewayPath = "/.well-known/ohttp-gateway";

/** Sizes that an answer is filled to, so that its own shows in few steps; above, multiples of the third. */
const rungs: readonly number[] = [1024, 4096, 32_768, 98_304];

/** Fields about a connection, which a message in a capsule has none of (RFC 9292, 3.6), and what we fill in ourselves. */
const hopByHop = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
]);

function padTo(length: number): number {
  return rungs.find((rung) => length <= rung) ?? Math.ceil(length / 32_768) * 32_768;
}

const noStore: [string, string] = ["cache-control", "no-store"];

/**
 * The gateway of RFC 9458 over Binary HTTP, for everything that `handler` serves. GET answers the keys, as a list.
 * `maxBytes` bounds a capsule.
 */
export function standardGatewayRoutes(gateway: Gateway, handler: Handler, maxBytes: number): Routes {
  return (request): Match | undefined => {
    if (pathOf(request) !== gatewayPath) return undefined;
    return { route: gatewayPath, respond: () => answer(request, gateway, handler, maxBytes) };
  };
}

async function answer(
  request: RelayRequest,
  gateway: Gateway,
  handler: Handler,
  maxBytes: number,
): Promise<Response> {
  if (request.method === "GET" || request.method === "HEAD") {
    return new Reply(
      200,
      [
        ["content-type", ohttpKeysType],
        ["cache-control", `public, max-age=${Math.min(3600, gateway.keyFreshSeconds)}`],
      ],
      await gateway.keyConfigList(),
    );
  }
  if (request.method !== "POST") return new Reply(405, [["allow", "GET,HEAD,POST"]]);
  if (request.headers.get("content-type")?.split(";", 1)[0]?.trim() !== ohttpRequestType) {
    return problem(415, "about:blank", "Unsupported media type");
  }
  let capsule: Uint8Array;
  try {
    capsule = await readBody(request, maxBytes);
  } catch (error) {
    if (!(error instanceof RelayError)) throw error;
    return problem(error.status, "about:blank", error.message);
  }
  const outcome = await gateway.open(capsule);
  if (outcome.kind === "unknown-key") return problem(400, keyProblemType, "key identifier unknown");
  if (outcome.kind === "refused") return problem(400, "about:blank", "request cannot be opened");
  if (outcome.kind === "busy")
    return problem(429, "about:blank", "Too many requests", [["retry-after", "1"]]);
  if (outcome.kind === "unavailable")
    return problem(503, "about:blank", "Storage unavailable", [["retry-after", "5"]]);
  // From here on every answer goes back sealed, failures too.
  const response = await serve(outcome.request, request.signal, handler);
  const sealed = outcome.seal(encodeBinaryHttp(response, { padTo }));
  return new Reply(200, [["content-type", ohttpResponseType], noStore], sealed);
}

function problem(status: number, type: string, title: string, extra: HeaderList = []): Reply {
  return new Reply(
    status,
    [["content-type", "application/problem+json"], noStore, ...extra],
    JSON.stringify({ type, title, status }),
  );
}

async function serve(bytes: Uint8Array, signal: AbortSignal, handler: Handler): Promise<BinaryResponse> {
  const bare = (status: number): BinaryResponse => ({
    kind: "response",
    status,
    headers: [],
    content: new Uint8Array(),
  });
  let message: BinaryRequest;
  try {
    const decoded = decodeBinaryHttp(bytes);
    if (decoded.kind !== "request" || !decoded.path.startsWith("/")) return bare(400);
    message = decoded;
  } catch (error) {
    if (error instanceof BinaryHttpError) return bare(400);
    throw error;
  }
  // A capsule in a capsule would let one request cost many.
  const path = message.path.split("?", 1)[0]!;
  const isOhttp = path === gatewayPath || path === "/v2/ohttp" || path.startsWith(relayPath);
  if (isOhttp) return bare(404);
  const response = await handler(requestOf(message, signal));
  // A capsule holds a whole answer; one that goes on for as long as the client listens never is.
  if (response.headers.get("content-type") === "text/event-stream") {
    await response.body?.cancel();
    settle(response, "lost");
    return bare(406);
  }
  try {
    const isHead = message.method === "HEAD";
    const content = isHead ? new Uint8Array() : new Uint8Array(await response.arrayBuffer());
    settle(response, "sent");
    return { kind: "response", status: response.status, headers: fieldsOf(response), content };
  } catch (error) {
    settle(response, "lost");
    throw error;
  }
}

/** What a handler is given in place of a connection's request: no source, and no way to find one. */
function requestOf(message: BinaryRequest, signal: AbortSignal): RelayRequest {
  const headers = new Headers();
  for (const [name, value] of message.headers) if (!hopByHop.has(name)) headers.append(name, value);
  const { content } = message;
  return {
    method: message.method,
    url: `${message.scheme || "https"}://${message.authority || headers.get("host") || "localhost"}${message.path}`,
    headers,
    body: content.byteLength === 0 ? null : new Blob([content.slice()]).stream(),
    signal,
    edge: {
      target: message.path,
      source: undefined,
      oblivious: true,
      async readBody(maxBytes) {
        if (content.byteLength > maxBytes) throw new RelayError("body_too_large");
        return content;
      },
    },
  };
}

function fieldsOf(response: Response): [string, string][] {
  return [...response.headers].filter(([name, value]) => !hopByHop.has(name) && isField(name, value));
}
