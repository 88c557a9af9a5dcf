import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { Clock } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import type { LiveAcceptor } from "#wire/live/acceptor.ts";
import { liteNames } from "#wire/live/version.ts";
import { type ConnectAnswer, type ConnectRequest, H3Connection } from "./h3-connection.ts";

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
  renew(pair: { cert: string; key: string }): void;
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
  });
  let connections = 0;
  server.addEventListener(quic.events.EventQUICServerConnection.name, (event) => {
    const connection = (event as InstanceType<typeof quic.events.EventQUICServerConnection>).detail;
    const h3 = new H3Connection(connection, clock, (request) => answer(acceptor, request, report));
    connections++;
    connection.addEventListener(quic.events.EventQUICConnectionStream.name, (opened) => {
      h3.onStream((opened as InstanceType<typeof quic.events.EventQUICConnectionStream>).detail);
    });
    void connection.closedP.then(() => {
      connections--;
      h3.lost();
    });
    h3.start();
  });
  await server.start({ host: options.host, port: options.port });
  return {
    port: server.port,
    connections: () => connections,
    renew: (pair) => server.updateConfig(pair),
    close: () => server.stop({ isApp: true, errorCode: 0x100, force: true }),
  };
}

async function load() {
  try {
    return await import("@matrixai/quic");
  } catch (cause) {
    const advice = "the optional package @matrixai/quic is not installed or does not run on this machine";
    throw new WebTransportUnavailableError(`WebTransport is not available: ${advice}`, { cause });
  }
}

/** The binding wants plain buffers of its own. */
const exactBuffer = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;

/** Chooses the version the client and we both name first in our order; without one, SETUP decides. */
async function answer<Admission>(
  acceptor: LiveAcceptor<Admission>,
  { path, protocols }: ConnectRequest,
  report: (error: unknown) => void,
): Promise<ConnectAnswer> {
  const chosen = liteNames.find(({ name }) => protocols.includes(name));
  const url = new URL(path, "https://relay.invalid");
  try {
    const admission = await acceptor.admit({
      path: url.pathname,
      query: url.searchParams,
      authorization: undefined,
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
