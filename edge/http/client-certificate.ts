import { TLSSocket } from "node:tls";
import type { ClientCertificate } from "#wire/live/acceptor.ts";

/** The certificate a client showed, if the listener trusts who signed it (`server-tls-root`). */
export function clientCertificateOf(socket: unknown): ClientCertificate | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const { valid_to } = socket.getPeerCertificate();
  return valid_to === undefined ? undefined : { expiresAt: Date.parse(valid_to) };
}
