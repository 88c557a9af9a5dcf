import type { QUICConnection } from "@matrixai/quic";
import { WebTransportUnavailableError } from "../webtransport/webtransport-listener.ts";

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
    holdEarlyStreams(quic.QUICConnection, startStop.running);
    // It would write addresses to stderr otherwise.
    return { ...quic, logger: new Logger("quic", LogLevel.SILENT, []) };
  } catch (cause) {
    const advice = "the optional package @matrixai/quic is not installed, or does not run on this machine";
    throw new WebTransportUnavailableError(advice, { cause });
  }
}

/**
 * Keeps the library from giving streams up that arrive while the handshake ends, as it does by itself; they are taken
 * with the next packet. Doing it twice changes nothing.
 */
function holdEarlyStreams(connections: typeof QUICConnection, running: symbol): void {
  const prototype = connections.prototype as unknown as {
    processStreams(): void;
    [running: symbol]: boolean;
  };
  const processStreams = prototype.processStreams;
  prototype.processStreams = function (this: typeof prototype) {
    if (this[running]) processStreams.call(this);
  };
}

/** The binding wants plain buffers of its own. */
export const exactBuffer = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;
