import { RelayError } from "#core/errors.ts";
import { type LiveAcceptor, parseTarget } from "#wire/live/acceptor.ts";
import type { SetupGateLimits } from "#wire/live/setup-gate.ts";
import type { Transport } from "#wire/live/transport.ts";
import { protocolNames, setupOf } from "#wire/live/version.ts";
import type { CertificatePair } from "../tls/certificates.ts";

export interface WebTransportOptions {
  /** Addresses; the first must be had, of the others those that can. */
  hosts: readonly [string, ...(readonly string[])];
  port: number;
  certificate: CertificatePair;
  connectionWindowBytes: number;
  streamWindowBytes: number;
  streamsMax: number;
  idleTimeoutMs: number;
  pingIntervalMs: number;
  /** Serve moq without HTTP/3 at the same port, where the library can; `undefined`: do not. */
  withoutHttp?: SetupGateLimits | undefined;
}

/** Listens for WebTransport over HTTP/3, whatever library it stands on. */
export interface WebTransportListener {
  readonly port: number;
  /** Hash of the certificate that new clients meet. */
  readonly certificateHash: string;
  connections(): number;
  /** Takes the certificate for new connections, at once or as soon as the library lets it. */
  renew(certificate: CertificatePair): void;
  /** Gives sessions that were just closed the time to read why. */
  close(): Promise<void>;
}

/** The QUIC library is not installed, or not for this machine. */
export class WebTransportUnavailableError extends Error {
  override readonly name = "WebTransportUnavailableError";
}

/** What a client asks for with its CONNECT. */
export interface ConnectRequest {
  path: string;
  authority: string | undefined;
  /** Names of the versions it offers (`WT-Available-Protocols`). */
  protocols: readonly string[];
}

/** How it is answered: with a session, or a status. */
export type ConnectAnswer =
  | {
      protocol: string | undefined;
      version: Transport["version"];
      open(session: Transport): void;
    }
  | { status: number };

/** Chooses the version the client and we both name first in our order; without one, SETUP decides. */
export async function answerConnect<Admission>(
  acceptor: LiveAcceptor<Admission>,
  { path, authority, protocols }: ConnectRequest,
  report: (error: unknown) => void,
): Promise<ConnectAnswer> {
  const { names = protocolNames } = acceptor;
  const chosen = names.find(({ name }) => protocols.includes(name));
  try {
    const admission = await acceptor.admit({
      ...parseTarget(path),
      authorization: undefined,
      host: authority,
      transport: "quic",
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
