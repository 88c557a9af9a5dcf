import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { Clock } from "#core/clock.ts";
import type { PeerLink, PeerSession } from "#wire/federation/peer-link.ts";
import { endSocket, servePeer } from "./peer-socket.ts";

/** Where relays call each other. */
export const federationPath = "/federation";

/** Takes calls of other relays. */
export class PeerAcceptor {
  readonly #server: WebSocketServer;
  readonly #open: (link: PeerLink) => PeerSession | undefined;
  readonly #clock: Clock;

  constructor(messageMaxBytes: number, open: (link: PeerLink) => PeerSession | undefined, clock: Clock) {
    this.#server = new WebSocketServer({
      noServer: true,
      maxPayload: messageMaxBytes,
      perMessageDeflate: false,
      // Nothing of the protocol; a client that names one is served without.
      handleProtocols: () => false,
    });
    this.#open = open;
    this.#clock = clock;
  }

  take(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#server.handleUpgrade(request, socket, head, (webSocket) =>
      servePeer(webSocket, this.#open, this.#clock),
    );
  }

  /** Ends every connection; `graceMs` later by force. */
  close(graceMs: number): void {
    for (const socket of this.#server.clients as Set<WebSocket>) endSocket(socket, graceMs, this.#clock);
  }
}
