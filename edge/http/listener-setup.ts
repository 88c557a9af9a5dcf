import type http from "node:http";
import type { Duplex } from "node:stream";
import type { Handler } from "#wire/http/request.ts";
import type { Certificates } from "../tls/certificates.ts";
import type { ClientAddresses } from "./client-address.ts";

export interface ListenerLimits {
  readonly maxConnections: number;
  readonly maxHeaderBytes: number;
  readonly headerTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly idleTimeoutMs: number;
}

export type ListenAt = { readonly host: string; readonly port: number } | { readonly fd: number };

export interface ListenerSetup {
  readonly at: ListenAt;
  readonly limits: ListenerLimits;
  readonly addresses: ClientAddresses;
  readonly handler: Handler;
  /** Takes over a connection that asks to become a WebSocket; without it such a request is an ordinary one. */
  readonly onUpgrade?: (request: http.IncomingMessage, socket: Duplex, head: Buffer) => void;
  /** With it the listener speaks HTTPS. It is not closed with the listener. */
  readonly tls?: Certificates;
  /** Hears what went wrong on our side, without anything of the request. */
  readonly report: (error: unknown) => void;
}
