import { connect } from "node:net";
import type { Clock } from "#core/clock.ts";
import type { Mux } from "#wire/live/mux.ts";
import type { SessionEnd } from "#wire/live/transport.ts";
import { type ProtocolName, protocolNames } from "#wire/live/version.ts";
import { Heartbeat } from "../websocket/heartbeat.ts";
import { SlabPool } from "../websocket/slab-pool.ts";
import { beating, type StreamSocketOptions, streamMux } from "./stream-mux.ts";

export interface StreamDialOptions extends StreamSocketOptions {
  /** How long connecting and agreeing upon a version may take together. */
  connectTimeoutMs: number;
  /** The versions to offer, what we like best first; all that are final where it is left out. */
  names?: readonly ProtocolName[] | undefined;
}

/** What all connections that we dialled write their batches into. */
const pool = new SlabPool();

/**
 * Opens a session of live with another relay at `tcp://HOST:PORT/PATH?QUERY` or `unix:///SOCKET?path=PATH&QUERY`.
 * Rejects if there is none to be had.
 *
 * `open` is given the transport once both know the version, before anything else arrives, and sets its handler.
 */
export function dialStreamSocket(
  url: URL,
  options: StreamDialOptions,
  clock: Clock,
  open: (transport: Mux) => void,
): Promise<void> {
  const { address, target } = parseStreamUrl(url);
  const { names = protocolNames } = options;
  return new Promise((resolve, reject) => {
    const socket = connect(address);
    const heartbeat = new Heartbeat(options, clock);
    const mux = streamMux(socket, "client", names, options, pool, clock, () => {
      cancel();
      heartbeat.add(connection);
      mux.setupTarget = target;
      open(mux);
      resolve();
    });
    const connection = beating(socket, mux);
    mux.handler = {
      onUni() {},
      onBidi() {},
      onPump() {},
      onEnd: ({ reason }: SessionEnd) => reject(new Error(reason)),
    };
    const cancel = clock.after(options.connectTimeoutMs, () => {
      mux.lost("nobody answered in time");
      socket.destroy();
    });
    socket.once("close", () => {
      cancel();
      heartbeat.remove(connection);
    });
  });
}

/** Where to connect, and what to say in the SETUP. A socket's path fills the URL, so the session's is in its query. */
function parseStreamUrl(url: URL): {
  address: { host: string; port: number } | { path: string };
  target: string;
} {
  if (url.protocol === "tcp:") {
    const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
    return { address: { host, port: Number(url.port) }, target: `${url.pathname || "/"}${url.search}` };
  }
  const query = new URLSearchParams(url.search);
  const path = query.get("path") ?? "/";
  query.delete("path");
  const more = query.size === 0 ? "" : `${path.includes("?") ? "&" : "?"}${query}`;
  return { address: { path: decodeURIComponent(url.pathname) }, target: `${path}${more}` };
}
