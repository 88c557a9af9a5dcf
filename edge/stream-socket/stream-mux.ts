import type { Socket } from "node:net";
import type { Clock } from "#core/clock.ts";
import { LiveProtocolError } from "#wire/live/error-code.ts";
import { Mux, type MuxLimits } from "#wire/live/mux.ts";
import { RecordReader, recordHeadroom, sealRecord } from "#wire/live/records.ts";
import type { ProtocolName } from "#wire/live/version.ts";
import type { Beating, HeartbeatOptions } from "../websocket/heartbeat.ts";
import type { SlabPool } from "../websocket/slab-pool.ts";
import { type MessageHeader, SocketSink } from "../websocket/socket-sink.ts";

export interface StreamSocketOptions extends MuxLimits, HeartbeatOptions {}

const recordHeader: MessageHeader = { headroom: recordHeadroom, seal: sealRecord };

/**
 * Streams over a TCP or Unix socket: qmux-01 in records, the version agreed upon in the parameters.
 *
 * `onAgreed` is called once it is, before anything else of the remote is looked at. The mux has no handler yet; whoever
 * asked for it sets one at once.
 */
export function streamMux(
  socket: Socket,
  role: "client" | "server",
  names: readonly ProtocolName[],
  options: StreamSocketOptions,
  pool: SlabPool,
  clock: Clock,
  onAgreed: () => void,
): Mux {
  socket.setNoDelay(true);
  const sink = new SocketSink(
    socket,
    recordHeader,
    pool,
    () => socket.end(),
    () => mux.drained(),
  );
  const mux = new Mux("qmux-01", undefined, role, options, sink, clock, { names, onAgreed });
  const records = new RecordReader(options.recordMaxBytes, (record) => mux.receive(record));
  socket.on("data", (chunk: Buffer) => {
    try {
      records.push(chunk);
    } catch (error) {
      if (!(error instanceof LiveProtocolError)) throw error;
      mux.refuse(error.message);
      socket.destroySoon();
    }
  });
  socket.on("error", () => mux.lost("the connection failed"));
  socket.on("close", () => mux.lost("the connection went away"));
  return mux;
}

/** The connection for a heartbeat. */
export const beating = (socket: Socket, mux: Mux): Beating => ({
  heardAt: () => mux.receivedAt,
  ping: () => mux.ping(),
  drop: () => void socket.destroy(),
});
