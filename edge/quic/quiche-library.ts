import type { QUICConnection } from "@matrixai/quic";
import { WebTransportUnavailableError } from "../webtransport/webtransport-listener.ts";
import { takeDatagrams } from "./quic-datagrams.ts";

/** The optional package @matrixai/quic. Rejects with `WebTransportUnavailableError` where it is not there. */
export async function loadQuiche() {
  // The registry has this version's native part for no other machine; an older one would be loaded with it.
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new WebTransportUnavailableError("@matrixai/quic runs on Linux x64 alone");
  }
  try {
    const [quic, { startStop }, { default: Logger, LogLevel }] = await Promise.all([
      import("@matrixai/quic"),
      import("@matrixai/async-init"),
      import("@matrixai/logger"),
    ]);
    adaptConnections(quic.QUICConnection, startStop.running);
    // It would write addresses to stderr otherwise.
    return { ...quic, logger: new Logger("quic", LogLevel.SILENT, []) };
  } catch (cause) {
    const advice = "the optional package @matrixai/quic is not installed, or does not run on this machine";
    throw new WebTransportUnavailableError(advice, { cause });
  }
}

/**
 * Keeps the library from giving streams up that arrive while the handshake ends, as it does by itself; they are taken
 * with the next packet. Datagrams, which it leaves where they are, are taken as well. Doing it twice changes nothing.
 */
function adaptConnections(connections: typeof QUICConnection, running: symbol): void {
  const prototype = connections.prototype as unknown as {
    processStreams(): void;
    [running: symbol]: boolean;
  };
  const processStreams = prototype.processStreams;
  prototype.processStreams = function (this: typeof prototype) {
    if (!this[running]) return;
    processStreams.call(this);
    takeDatagrams(this as unknown as QUICConnection);
  };
}

export interface QuicLimits {
  readonly connectionWindowBytes: number;
  readonly streamWindowBytes: number;
  readonly streamsMax: number;
  readonly idleTimeoutMs: number;
  readonly pingIntervalMs: number;
}

/** What a connection is configured with on either side. */
export const connectionConfig = (limits: QuicLimits) => ({
  maxIdleTimeout: limits.idleTimeoutMs,
  keepAliveIntervalTime: limits.pingIntervalMs,
  initialMaxData: limits.connectionWindowBytes,
  initialMaxStreamDataBidiLocal: limits.streamWindowBytes,
  initialMaxStreamDataBidiRemote: limits.streamWindowBytes,
  initialMaxStreamDataUni: limits.streamWindowBytes,
  initialMaxStreamsBidi: limits.streamsMax,
  initialMaxStreamsUni: limits.streamsMax,
  enableDgram: [true, 1000, 1000] as [boolean, number, number],
  readableChunkSize: 16_384,
});

/** Codes of streams are the numbers they were given as reasons. */
export const streamCodes = {
  reasonToCode: (_type: string, reason?: unknown) => (typeof reason === "number" ? reason : 0),
  codeToReason: (_type: string, code: number) => code,
};

/** The binding wants plain buffers of its own. */
export const exactBuffer = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;
