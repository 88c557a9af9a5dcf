import { once } from "node:events";
import { chmod, lstat, unlink } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Clock } from "#core/clock.ts";
import type { LiveAcceptor } from "#wire/live/acceptor.ts";
import { SetupGate, type SetupGateLimits } from "#wire/live/setup-gate.ts";
import { protocolNames } from "#wire/live/version.ts";
import { Heartbeat } from "../websocket/heartbeat.ts";
import { SlabPool } from "../websocket/slab-pool.ts";
import { beating, type StreamSocketOptions, streamMux } from "./stream-mux.ts";

/** Where to listen: on a TCP port, or at a path whose file gets these permissions. */
export type StreamSocketAddress = { host: string; port: number } | { path: string; mode: number };

export interface StreamSocketListenerOptions extends StreamSocketOptions, SetupGateLimits {
  /** Connections at once; further ones are closed unheard. */
  connectionsMax: number;
}

export interface StreamSocketListener {
  /** The TCP port; 0 for a Unix socket. */
  readonly port: number;
  connections(): number;
  /** Takes no further connection, and cuts what is still open a moment later. */
  close(): Promise<void>;
}

/** How long a client has to read why its session was closed. */
const closeGraceMs = 1_000;

/**
 * Accepts sessions of live on a TCP or Unix socket, without TLS and without HTTP: for machines and programs that trust
 * each other. Rejects with the system's error where the address cannot be had.
 *
 * `report` hears what went wrong on our side, without anything of a client.
 */
export async function listenStreamSocket<Admission>(
  acceptor: LiveAcceptor<Admission>,
  at: StreamSocketAddress,
  options: StreamSocketListenerOptions,
  clock: Clock,
  report: (error: unknown) => void,
): Promise<StreamSocketListener> {
  const pool = new SlabPool();
  const { names = protocolNames } = acceptor;
  const heartbeat = new Heartbeat(options, clock);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const mux = streamMux(socket, "server", names, options, pool, clock, () => gate.start());
    const gate = new SetupGate(mux, acceptor, "path" in at ? "unix" : "tcp", options, clock, report);
    const connection = beating(socket, mux);
    heartbeat.add(connection);
    sockets.add(socket);
    socket.once("close", () => {
      heartbeat.remove(connection);
      sockets.delete(socket);
    });
  });
  server.maxConnections = options.connectionsMax;
  await bind(server, at);
  server.on("error", report);
  return {
    port: "path" in at ? 0 : (server.address() as AddressInfo).port,
    connections: () => sockets.size,
    async close() {
      const closed = once(server, "close");
      server.close();
      const cancel = clock.after(closeGraceMs, () => {
        for (const socket of sockets) socket.destroy();
      });
      await closed;
      cancel();
    },
  };
}

async function bind(server: Server, at: StreamSocketAddress): Promise<void> {
  if (!("path" in at)) {
    server.listen(at.port, at.host);
    await once(server, "listening");
    return;
  }
  await removeStale(at.path);
  // Nobody gets in between its making and the change of its permissions.
  const before = process.umask(0o177);
  try {
    server.listen(at.path);
  } finally {
    process.umask(before);
  }
  await once(server, "listening");
  await chmod(at.path, at.mode);
}

/** Removes what a relay that died left behind; never a file of another kind, nor a socket that is listened on. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error("there is a file at the path of the socket that is none");
  if (await isListenedOn(path)) throw new Error("somebody listens on the socket already");
  await unlink(path);
}

function isListenedOn(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code !== "ECONNREFUSED"));
  });
}
