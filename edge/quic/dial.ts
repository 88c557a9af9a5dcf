import type { Clock } from "#core/clock.ts";
import { type ProtocolName, protocolNames } from "#wire/live/version.ts";
import { protocolOf } from "./quic-native.ts";
import { QuicSession } from "./quic-session.ts";
import { connectionConfig, loadQuiche, type QuicLimits, streamCodes } from "./quiche-library.ts";

export interface QuicDialOptions extends QuicLimits {
  /** Who may have signed the other side's certificate, in PEM. */
  ca: readonly string[];
  /** The versions to offer, what we like best first; all that are final where it is left out. */
  names?: readonly ProtocolName[] | undefined;
  /** How long the handshake may take. */
  connectTimeoutMs: number;
}

/**
 * Opens a session of live with another relay at `moqt://HOST:PORT/PATH?QUERY`: QUIC without HTTP/3. Rejects if there is
 * none to be had, and where its certificate is signed by nobody in `ca`. The library checks names alone: an address as HOST is
 * trusted in no certificate.
 *
 * `open` is given the transport once the handshake is done, and sets its handler.
 */
export async function dialQuic(
  url: URL,
  options: QuicDialOptions,
  clock: Clock,
  open: (transport: QuicSession) => void,
): Promise<void> {
  const { names = protocolNames } = options;
  const quic = await loadQuiche();
  const dialled = quic.QUICClient.createQUICClient({
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: Number(url.port || 443),
    serverName: url.hostname,
    crypto: {
      ops: { randomBytes: async (data) => void crypto.getRandomValues(new Uint8Array(data)) },
    },
    config: {
      ca: [...options.ca],
      verifyPeer: true,
      applicationProtos: names.map(({ name }) => name),
      ...connectionConfig(options),
    },
    ...streamCodes,
    logger: quic.logger,
  });
  const cancel = clock.after(options.connectTimeoutMs, () => dialled.cancel(new Error("no answer in time")));
  const client = await dialled.finally(cancel);
  const { connection } = client;
  const version = names.find(({ name }) => name === protocolOf(connection))?.version;
  const session = new QuicSession(connection, version, "client", `${url.pathname || "/"}${url.search}`);
  connection.addEventListener(quic.events.EventQUICConnectionStream.name, (opened) => {
    session.onStream((opened as InstanceType<typeof quic.events.EventQUICConnectionStream>).detail);
  });
  void connection.closedP.then(() => {
    session.lost();
    return client.destroy({ force: true });
  });
  open(session);
}
