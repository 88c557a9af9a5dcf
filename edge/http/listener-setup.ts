import type http from "node:http";
import type { Duplex } from "node:stream";
import type { Handler } from "#wire/http/request.ts";
import type { Certificates } from "../tls/certificates.ts";
import type { AcceptHealth } from "./accept-health.ts";
import type { ClientAddresses } from "./client-address.ts";

export interface ListenerLimits {
  readonly maxConnections: number;
  readonly maxHeaderBytes: number;
  readonly headerTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly idleTimeoutMs: number;
}

export type ListenAt = { readonly host: string; readonly port: number } | { readonly fd: number };

/** The part of a daemon that speaks WebSocket. */
export interface WebSocketUpgrades {
  /** Is this target, path and query as sent, one of its own? */
  owns(target: string): boolean;
  take(request: http.IncomingMessage, socket: Duplex, head: Buffer): void;
}

export interface ListenerSetup {
  readonly at: ListenAt;
  readonly limits: ListenerLimits;
  readonly addresses: ClientAddresses;
  readonly handler: Handler;
  /** Who takes connections that ask to become a WebSocket; where nobody does, such a request is an ordinary one. */
  readonly upgrades?: WebSocketUpgrades | undefined;
  /** With it the listener speaks HTTPS. It is not closed with the listener. */
  readonly tls?: Certificates;
  /** PEM of the authorities whose client certificates are trusted; absent: clients are not asked for one. */
  readonly clientRoots?: readonly string[];
  /** Told of each connection, and of each that could not be accepted. */
  readonly health?: AcceptHealth;
  /** Hears what went wrong on our side, without anything of the request. */
  readonly report: (error: unknown) => void;
}
