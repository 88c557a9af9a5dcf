import type { Instant } from "#core/clock.ts";
import type { Transport } from "./transport.ts";
import type { ProtocolName } from "./version.ts";

/** How a session comes, in the words of the original relay. */
export type TransportKind = "quic" | "websocket" | "tcp" | "unix";

/** A client's certificate that the listener has verified. */
export interface ClientCertificate {
  /** Its `notAfter`: no session outlives it. */
  readonly expiresAt: Instant;
}

/** What a client says when it knocks, before there is a connection. */
export interface Knock {
  /** Path of the URL as sent: percent-encoded, and not made shorter. */
  path: string;
  query: URLSearchParams;
  /** The `Authorization` header. */
  authorization: string | undefined;
  /** The `Host` header or `:authority`, as sent. */
  host?: string | undefined;
  transport?: TransportKind | undefined;
  clientCertificate?: ClientCertificate | undefined;
  /** The connection begins with a SETUP, which may bring what lets it in. */
  beginsWithSetup?: boolean;
  /** A JWT among it: what is spoken has a place for one there. */
  showsTokenInSetup?: boolean;
  /** The path is among it, and the one here means nothing. */
  targetInSetup?: boolean;
}

/** What a listening edge needs of live: `admit` before the handshake is answered, then `accept`. */
export interface LiveAcceptor<Admission> {
  /** The versions it takes, what it likes best first; `protocolNames` where it does not say. */
  readonly names?: readonly ProtocolName[];
  /** Rejects with `RelayError`, whose status and sentence the client is told. */
  admit(knock: Knock): Promise<Admission>;
  accept(transport: Transport, admission: Admission): void;
}

/** Path and query of a request target, whatever a client sends as one; an origin before them says nothing to us. */
export function parseTarget(target: string): { path: string; query: URLSearchParams } {
  const local = target.replace(/^[a-z]+:\/\/[^/?]*/i, "");
  const mark = local.indexOf("?");
  const path = mark < 0 ? local : local.slice(0, mark);
  return { path: path || "/", query: new URLSearchParams(mark < 0 ? "" : local.slice(mark + 1)) };
}
