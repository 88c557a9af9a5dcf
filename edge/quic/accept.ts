import type { QUICConnection } from "@matrixai/quic";
import type { Clock } from "#core/clock.ts";
import type { LiveAcceptor } from "#wire/live/acceptor.ts";
import { SetupGate, type SetupGateLimits } from "#wire/live/setup-gate.ts";
import { protocolNames } from "#wire/live/version.ts";
import { QuicSession } from "./quic-session.ts";

/**
 * Serves a connection whose handshake named moq itself (ALPN) and not HTTP/3: one session, which says in its SETUP where
 * it wants to. `report` hears what went wrong on our side.
 */
export function acceptQuic<Admission>(
  quic: QUICConnection,
  protocol: string,
  acceptor: LiveAcceptor<Admission>,
  limits: SetupGateLimits,
  clock: Clock,
  report: (error: unknown) => void,
): QuicSession {
  const { names = protocolNames } = acceptor;
  const version = names.find(({ name }) => name === protocol)?.version;
  const session = new QuicSession(quic, version, "server");
  new SetupGate(session, acceptor, "quic", limits, clock, report).start();
  return session;
}
