import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import net, { type AddressInfo, type Server, type Socket } from "node:net";
import type { SecureContextOptions } from "node:tls";
import { secureContexts } from "../tls/secure-contexts.ts";
import { EdgeRequest, type NodeRequest, type NodeResponse } from "./edge-request.ts";
import { PlainServer } from "./http1/plain-server.ts";
import type { ListenerSetup } from "./listener-setup.ts";
import { writeResponse } from "./write-response.ts";

/** A listening HTTP server: HTTP/1.1, and over TLS also HTTP/2. */
export interface Listener {
  /** The URL it really listens at. */
  readonly url: string;
  /** The same in parts: an address, and the port even where the URL leaves it out. */
  readonly at: { readonly host: string; readonly port: number };
  connections(): number;
  /** Connections accepted so far, and those that were dropped because `maxConnections` were open. */
  accepted(): number;
  dropped(): number;
  /** Stops accepting and closes each connection when its answer is out; at `graceMs` cuts what is left. */
  close(graceMs: number): Promise<void>;
}

/** Rejects with the system's error (`EADDRINUSE`, `EACCES`) where the address cannot be had. */
export async function listen(setup: ListenerSetup): Promise<Listener> {
  const { limits, addresses, handler, report } = setup;
  let draining = false;
  /** HTTP/1.1 connections between two requests. */
  const quiet = new Set<Socket>();

  const serve = async (request: NodeRequest, response: NodeResponse): Promise<void> => {
    if (request.httpVersionMajor === 1) {
      const { socket } = request;
      quiet.delete(socket);
      response.once("close", () => {
        if (newest.get(socket) === response && !socket.destroyed) quiet.add(socket);
      });
      await turnOf(socket, response);
    }
    const findSource = () => {
      const forwarded = request.headers["x-forwarded-for"];
      return addresses.sourceOf(request.socket, Array.isArray(forwarded) ? forwarded.join(",") : forwarded);
    };
    const edgeRequest = new EdgeRequest(request, response, limits.bodyTimeoutMs, findSource);
    try {
      const answer = await handler(edgeRequest);
      if (draining && request.httpVersionMajor === 1) response.setHeader("connection", "close");
      await writeResponse(answer, response, request.method === "HEAD");
    } catch (error) {
      report(error);
      if (response.headersSent) response.destroy();
      else (response as http.ServerResponse).writeHead(500, { "content-length": 0 }).end();
    }
  };

  // Over TLS, and where a connection becomes a WebSocket, it is Node's own server; plain HTTP/1.1 is the hot path and is
  // served by `http1/` (docs/decisions/0007-own-http1.md).
  const nodeServer = createServer(setup, (request, response) => void serve(request, response));
  // An expectation that nobody knows is passed over, as the original does, not refused.
  nodeServer.on("checkExpectation", (request, response) => void serve(request, response));
  const { upgrades } = setup;
  if (upgrades)
    nodeServer.on("upgrade", (request, socket, head: Buffer) => upgrades.take(request, socket, head));
  const plain = setup.tls ? undefined : new PlainServer(setup, nodeServer, () => draining);
  const server = plain?.server ?? nodeServer;
  server.maxConnections = limits.maxConnections;
  const sockets = new Set<Socket>();
  let accepted = 0;
  let dropped = 0;
  server.on("drop", () => dropped++);
  server.on("connection", (socket: Socket) => {
    accepted++;
    sockets.add(socket);
    setup.health?.accepted();
    socket.once("close", () => sockets.delete(socket));
  });
  server.on(setup.tls ? "secureConnection" : "connection", (socket: Socket) => {
    socket.once("close", () => quiet.delete(socket));
  });
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on("session", (session: http2.ServerHttp2Session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });

  const unwatch = setup.tls
    ? setup.tls.onChange(() =>
        (server as http2.Http2SecureServer).setSecureContext({
          ...setup.tls!.pairs[0]!,
          ...trusting(setup.clientRoots),
        }),
      )
    : () => {};

  server.listen("fd" in setup.at ? { fd: setup.at.fd } : { ...setup.at, backlog: 4096 });
  try {
    await once(server, "listening");
  } catch (error) {
    unwatch();
    throw error;
  }

  // From here on an error is a connection that could not be accepted; the others go on.
  server.on("error", (error) => {
    setup.health?.failed(error);
    report(error);
  });

  const address = server.address() as AddressInfo;
  return {
    url: urlOf(address, setup.tls !== undefined),
    at: { host: address.address, port: address.port },
    connections: () => sockets.size,
    accepted: () => accepted,
    dropped: () => dropped,
    async close(graceMs) {
      draining = true;
      unwatch();
      // Not the HTTP server's own close: that also cuts connections whose first request is still on its way.
      const closed = new Promise<void>((resolve) => net.Server.prototype.close.call(server, () => resolve()));
      for (const session of sessions) session.close();
      for (const socket of quiet) socket.destroySoon();
      plain?.endIdle();
      const cut = (which: (socket: Socket) => boolean) => {
        for (const socket of sockets) if (which(socket)) socket.destroy();
      };
      const timers = [
        setTimeout(() => cut(({ bytesRead }) => bytesRead === 0), Math.min(graceMs, silentGraceMs)),
        setTimeout(() => cut(() => true), graceMs),
      ];
      await closed;
      timers.forEach(clearTimeout);
      plain?.stop();
    },
  };
}

/** How long a connection that has not said anything yet may keep a stop waiting. */
const silentGraceMs = 1000;

/** The newest request of each HTTP/1.1 connection. */
const newest = new WeakMap<Socket, NodeResponse>();

/** Pipelined requests are carried out in their order, not only answered in it: a GET sees the POST before it. */
async function turnOf(socket: Socket, response: NodeResponse): Promise<void> {
  const before = newest.get(socket);
  newest.set(socket, response);
  if (before && !before.writableFinished && !before.destroyed) await once(before, "close");
}

function createServer(
  { limits, tls, clientRoots, upgrades }: ListenerSetup,
  serve: (request: NodeRequest, response: NodeResponse) => void,
): Server {
  const options: http.ServerOptions = {
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: limits.headerTimeoutMs,
    // The body has a timeout of its own, which answers and does not cut.
    requestTimeout: 0,
    keepAliveTimeout: limits.idleTimeoutMs,
    // How often timeouts are looked at: they may be late by this much.
    connectionsCheckingInterval: Math.max(50, Math.min(1000, limits.headerTimeoutMs / 4)),
    // The original serves a request without Host.
    requireHostHeader: false,
    // Any other wish to upgrade, such as curl's h2c, is passed over and the request served.
    shouldUpgradeCallback: ({ headers, url }) =>
      upgrades !== undefined && headers.upgrade?.toLowerCase() === "websocket" && upgrades.owns(url!),
  };
  if (!tls) return http.createServer(options, serve);
  return http2.createSecureServer(
    {
      ...options,
      ...tls.pairs[0],
      ...trusting(clientRoots),
      requestCert: clientRoots !== undefined,
      // A client without a certificate, or with one nobody trusts, is a client like any other.
      rejectUnauthorized: false,
      SNICallback: secureContexts(tls, trusting(clientRoots)),
      allowHTTP1: true,
    },
    serve,
  ) as unknown as Server;
}

const trusting = (roots: readonly string[] | undefined): SecureContextOptions =>
  roots === undefined ? {} : { ca: [...roots] };

function urlOf({ address, port, family }: AddressInfo, tls: boolean): string {
  return `${tls ? "https" : "http"}://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}

/** The first socket that a service manager passed to this very process (sd_listen_fds), if it did. */
export function inheritedSocket(env: NodeJS.ProcessEnv, pid: number): { readonly fd: number } | undefined {
  return env.LISTEN_PID === String(pid) && Number(env.LISTEN_FDS) >= 1 ? { fd: 3 } : undefined;
}
