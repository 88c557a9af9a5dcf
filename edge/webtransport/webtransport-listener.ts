import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { QUICConnection } from "@matrixai/quic";
import type { Clock } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import type { LiveAcceptor } from "#wire/live/acceptor.ts";
import { protocolNames, setupOf } from "#wire/live/version.ts";
import {
  type ConnectAnswer,
  type ConnectRequest,
  closeGraceMs,
  H3Connection,
  h3NoError,
} from "./h3-connection.ts";

export interface WebTransportOptions {
  host: string;
  port: number;
  /** PEM of the certificate chain and its key. */
  cert: string;
  key: string;
  connectionWindowBytes: number;
  streamWindowBytes: number;
  streamsMax: number;
  idleTimeoutMs: number;
  pingIntervalMs: number;
}

export interface WebTransportListener {
  readonly port: number;
  connections(): number;
  /** Takes the certificate for new connections. */
  renew(pair: { cert: Uint8Array; key: Uint8Array }): void;
  close(): Promise<void>;
}

/** The QUIC library is not installed, or not for this machine. */
export class WebTransportUnavailableError extends Error {
  override readonly name = "WebTransportUnavailableError";
}

/**
 * Listens for WebTransport over HTTP/3. Rejects with `WebTransportUnavailableError` where the optional package is not
 * there, with the system's error where the address cannot be had.
 */
export async function listenWebTransport<Admission>(
  acceptor: LiveAcceptor<Admission>,
  options: WebTransportOptions,
  clock: Clock,
  report: (error: unknown) => void,
): Promise<WebTransportListener> {
  const quic = await load();
  const secret = randomBytes(32);
  const sign = (data: ArrayBuffer) => createHmac("sha256", secret).update(new Uint8Array(data)).digest();
  const server = new quic.QUICServer({
    crypto: {
      key: exactBuffer(secret),
      ops: {
        sign: async (_key, data) => exactBuffer(sign(data)),
        verify: async (_key, data, signature) => {
          const expected = sign(data);
          return (
            signature.byteLength === expected.length && timingSafeEqual(expected, new Uint8Array(signature))
          );
        },
      },
    },
    config: {
      key: options.key,
      cert: options.cert,
      verifyPeer: false,
      applicationProtos: ["h3"],
      maxIdleTimeout: options.idleTimeoutMs,
      keepAliveIntervalTime: options.pingIntervalMs,
      initialMaxData: options.connectionWindowBytes,
      initialMaxStreamDataBidiLocal: options.streamWindowBytes,
      initialMaxStreamDataBidiRemote: options.streamWindowBytes,
      initialMaxStreamDataUni: options.streamWindowBytes,
      initialMaxStreamsBidi: options.streamsMax,
      initialMaxStreamsUni: options.streamsMax,
      enableDgram: [true, 1000, 1000],
      readableChunkSize: 16_384,
    },
    reasonToCode: (_type, reason) => (typeof reason === "number" ? reason : 0),
    codeToReason: (_type, code) => code,
    logger: quic.logger,
  });
  const connections = new Set<Promise<void>>();
  server.addEventListener(quic.events.EventQUICServerConnection.name, (event) => {
    const connection = (event as InstanceType<typeof quic.events.EventQUICServerConnection>).detail;
    const h3 = new H3Connection(connection, clock, (request) => answer(acceptor, request, report));
    connection.addEventListener(quic.events.EventQUICConnectionStream.name, (opened) => {
      h3.onStream((opened as InstanceType<typeof quic.events.EventQUICConnectionStream>).detail);
    });
    const closed = connection.closedP.then(() => {
      connections.delete(closed);
      h3.lost();
    });
    connections.add(closed);
    h3.start();
  });
  await server.start({ host: options.host, port: options.port });
  return {
    port: server.port,
    connections: () => connections.size,
    renew: (pair) => server.updateConfig(pair),
    async close() {
      // Sessions that were just closed have their reason still to read.
      const late = Promise.withResolvers<void>();
      const cancel = clock.after(2 * closeGraceMs, late.resolve);
      await Promise.race([Promise.all(connections), late.promise]);
      cancel();
      await server.stop({ isApp: true, errorCode: h3NoError, force: true });
    },
  };
}

async function load() {
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
const exactBuffer = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;

/** Chooses the version the client and we both name first in our order; without one, SETUP decides. */
async function answer<Admission>(
  acceptor: LiveAcceptor<Admission>,
  { path, protocols }: ConnectRequest,
  report: (error: unknown) => void,
): Promise<ConnectAnswer> {
  const chosen = protocolNames.find(({ name }) => protocols.includes(name));
  const url = new URL(path, "https://relay.invalid");
  try {
    const admission = await acceptor.admit({
      path: url.pathname,
      query: url.searchParams,
      authorization: undefined,
      ...(chosen && setupOf(chosen.version)),
    });
    return {
      protocol: chosen?.name,
      version: chosen?.version,
      open: (session) => acceptor.accept(session, admission),
    };
  } catch (error) {
    if (error instanceof RelayError) return { status: error.status };
    report(error);
    return { status: 500 };
  }
}
