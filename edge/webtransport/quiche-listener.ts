import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { Clock } from "#core/clock.ts";
import type { LiveAcceptor } from "#wire/live/acceptor.ts";
import { protocolNames } from "#wire/live/version.ts";
import { acceptQuic } from "../quic/accept.ts";
import { protocolOf } from "../quic/quic-native.ts";
import { connectionConfig, exactBuffer, loadQuiche, streamCodes } from "../quic/quiche-library.ts";
import { certificateHash } from "../tls/certificates.ts";
import { closeGraceMs, H3Connection, h3NoError } from "./h3-connection.ts";
import {
  answerConnect,
  type WebTransportListener,
  type WebTransportOptions,
} from "./webtransport-listener.ts";

/**
 * Listens by way of @matrixai/quic, with an HTTP/3 layer of our own. Rejects with `WebTransportUnavailableError` where
 * the optional package is not there, with the system's error where the address cannot be had.
 */
export async function listenQuiche<Admission>(
  acceptor: LiveAcceptor<Admission>,
  options: WebTransportOptions,
  clock: Clock,
  report: (error: unknown) => void,
): Promise<WebTransportListener> {
  const { withoutHttp } = options;
  const { names = protocolNames } = acceptor;
  const quic = await loadQuiche();
  const secret = randomBytes(32);
  const sign = (data: ArrayBuffer) => createHmac("sha256", secret).update(new Uint8Array(data)).digest();
  const connections = new Set<Promise<void>>();
  const listen = async (host: string) => {
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
        key: options.certificate.key,
        cert: options.certificate.cert,
        verifyPeer: false,
        applicationProtos: ["h3", ...(withoutHttp ? names.map(({ name }) => name) : [])],
        ...connectionConfig(options),
      },
      ...streamCodes,
      logger: quic.logger,
    });
    server.addEventListener(quic.events.EventQUICServerConnection.name, (event) => {
      const connection = (event as InstanceType<typeof quic.events.EventQUICServerConnection>).detail;
      const protocol = protocolOf(connection);
      const served =
        withoutHttp && protocol !== "h3"
          ? acceptQuic(connection, protocol, acceptor, withoutHttp, clock, report)
          : new H3Connection(connection, clock, (request) => answerConnect(acceptor, request, report));
      connection.addEventListener(quic.events.EventQUICConnectionStream.name, (opened) => {
        served.onStream((opened as InstanceType<typeof quic.events.EventQUICConnectionStream>).detail);
      });
      const closed = connection.closedP.then(() => {
        connections.delete(closed);
        served.lost();
      });
      connections.add(closed);
      if (served instanceof H3Connection) served.start();
    });
    await server.start({ host, port: options.port });
    return server;
  };
  const [first, ...others] = options.hosts;
  const servers = [await listen(first)];
  for (const outcome of await Promise.allSettled(others.map(listen))) {
    if (outcome.status === "fulfilled") servers.push(outcome.value);
  }
  let hash = certificateHash(options.certificate.cert);
  return {
    port: options.port,
    get certificateHash() {
      return hash;
    },
    connections: () => connections.size,
    renew(certificate) {
      for (const server of servers) server.updateConfig({ ...certificate });
      hash = certificateHash(certificate.cert);
    },
    async close() {
      // Sessions that were just closed have their reason still to read.
      const late = Promise.withResolvers<void>();
      const cancel = clock.after(2 * closeGraceMs, late.resolve);
      await Promise.race([Promise.all(connections), late.promise]);
      cancel();
      const stop = { isApp: true, errorCode: h3NoError, force: true } as const;
      await Promise.all(servers.map((server) => server.stop(stop)));
    },
  };
}
