import { joinBytes } from "#core/bytes.ts";
import { RelayError } from "#core/errors.ts";
import type { ClientCertificate } from "../live/acceptor.ts";

/**
 * What a handler may ask of a request. Every `Request` of the web platform is one; an edge may pass a lighter object of
 * the same shape (`docs/decisions/0002-request-and-reply.md`).
 */
export interface RelayRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Pick<Headers, "get" | "has">;
  readonly body: ReadableStream<Uint8Array> | null;
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
  /** What the edge knows beyond the `Request`. Absent where a handler is called in process. */
  readonly edge?: EdgeContext;
}

export interface EdgeContext {
  /** Path and query exactly as sent: a URL object would collapse `..` and some encodings. */
  readonly target: string;
  /**
   * Who asks, for fair shares and rate limits only: an address, IPv6 cut to its /64. Never logged, never stored.
   * Undefined for loopback and private addresses, which may be a proxy that speaks for many.
   */
  readonly source: string | undefined;
  /** A certificate that the listener has verified; undefined for all who showed none. */
  readonly clientCertificate?: ClientCertificate | undefined;
  /** The request came out of an OHTTP capsule: whoever sent it wants to stay unknown. */
  readonly oblivious?: boolean;
  /** The body, read at once. Throws `body_too_large` as soon as more than `maxBytes` came. */
  readBody(maxBytes: number): Promise<Uint8Array>;
}

/** A web-standard binding: any `Request` in, a `Response` out. Never rejects for what a remote can bring about. */
export type Handler = (request: RelayRequest) => Promise<Response>;

/** Path and query as sent. */
export function targetOf(request: RelayRequest): string {
  if (request.edge) return request.edge.target;
  const url = new URL(request.url);
  return url.pathname + url.search;
}

/** The path as sent, without its query. */
export function pathOf(request: RelayRequest): string {
  const target = targetOf(request);
  const query = target.indexOf("?");
  return query < 0 ? target : target.slice(0, query);
}

/** The whole body. Throws `body_too_large` once more than `maxBytes` arrived, reading no further. */
export async function readBody(request: RelayRequest, maxBytes: number): Promise<Uint8Array> {
  if (request.edge) return request.edge.readBody(maxBytes);
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw new RelayError("body_too_large");
  if (!request.body) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
    length += chunk.byteLength;
    if (length > maxBytes) throw new RelayError("body_too_large");
    chunks.push(chunk);
  }
  return joinBytes(chunks);
}

/**
 * Does `Accept` name this media type? Wildcards do not count: a client that accepts anything keeps getting what the
 * original relay sent.
 */
export function acceptsExplicitly(request: RelayRequest, ...mediaTypes: string[]): boolean {
  const accept = request.headers.get("accept");
  if (!accept || accept === "*/*") return false;
  return accept.split(",").some((range) => {
    const [type, ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
    return mediaTypes.includes(type!) && !parameters.some((p) => /^q=0(\.0*)?$/.test(p));
  });
}

/** `Prefer: wait=N` (RFC 7240, 4.3) in milliseconds; undefined when absent or not a number. */
export function preferWaitMs(request: RelayRequest): number | undefined {
  const prefer = request.headers.get("prefer");
  if (!prefer) return undefined;
  for (const preference of prefer.split(/[,;]/)) {
    const match = /^\s*wait\s*=\s*"?(\d{1,9})"?\s*$/i.exec(preference);
    if (match) return Number(match[1]) * 1000;
  }
  return undefined;
}
