import net, { type Server, type Socket } from "node:net";
import type { ListenerSetup } from "../listener-setup.ts";
import { Http1Connection, type Http1Setup } from "./connection.ts";

const carried = Symbol("connection");
type Carrying = Socket & { [carried]?: Http1Connection };

// Shared by all connections: ten thousand parked polls hold no function of their own.
function onData(this: Carrying, chunk: Buffer): void {
  this[carried]?.onData(chunk);
}
function onError(): void {
  // What there is to do about it is done at "close".
}

/** HTTP/1.1 without TLS, over plain sockets. */
export class PlainServer {
  readonly server: Server;
  readonly #connections = new Set<Http1Connection>();
  readonly #sweep: NodeJS.Timeout;

  /** `upgraded` gets the connections that become WebSockets, as if it had accepted them itself. */
  constructor(
    { limits, addresses, handler, upgrades, report }: ListenerSetup,
    upgraded: Server,
    isDraining: () => boolean,
  ) {
    const connections = this.#connections;
    function onClose(this: Carrying): void {
      const connection = this[carried];
      if (!connection) return;
      connections.delete(connection);
      connection.onClose();
    }
    const setup: Http1Setup = {
      maxHeaderBytes: limits.maxHeaderBytes,
      headerTimeoutMs: limits.headerTimeoutMs,
      bodyTimeoutMs: limits.bodyTimeoutMs,
      idleTimeoutMs: limits.idleTimeoutMs,
      handler,
      sourceOf: (socket, forwardedFor) => addresses.sourceOf(socket, forwardedFor),
      isUpgradable: (target) => upgrades?.owns(target) ?? false,
      upgrade(socket: Carrying, read) {
        socket.off("data", onData).off("close", onClose).off("error", onError);
        connections.delete(socket[carried]!);
        delete socket[carried];
        upgraded.emit("connection", socket);
        // Its parser reads the system's buffers from now on; what was read from them before is handed to it.
        socket.emit("data", read);
      },
      isDraining,
      report,
    };
    this.server = net.createServer({ noDelay: true }, (socket: Carrying) => {
      const connection = new Http1Connection(socket, setup, performance.now());
      socket[carried] = connection;
      connections.add(connection);
      socket.on("data", onData).on("close", onClose).on("error", onError);
    });
    // Timeouts are late by one look at most: a quarter of the shortest, between 50 ms and a second.
    const shortestMs = Math.min(limits.headerTimeoutMs, limits.bodyTimeoutMs, limits.idleTimeoutMs);
    this.#sweep = setInterval(
      () => {
        const now = performance.now();
        for (const connection of connections) connection.sweep(now);
      },
      Math.max(50, Math.min(1000, shortestMs / 4)),
    ).unref();
  }

  /** Ends connections between two requests; those that have not carried one yet may have one on its way. */
  endIdle(): void {
    for (const connection of this.#connections) {
      if (connection.isIdle && connection.hasServed) connection.socket.end();
    }
  }

  stop(): void {
    clearInterval(this.#sweep);
  }
}
