import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import { type CertificatePair, type Certificates, chooseByHost } from "./certificates.ts";

/** Answers TLS clients that name a host (Server Name Indication) with the certificate that is for it. */
export function secureContexts(
  certificates: Certificates,
  more: SecureContextOptions = {},
): (host: string, answer: (error: Error | null, context?: SecureContext) => void) => void {
  const contexts = new WeakMap<CertificatePair, SecureContext>();
  return (host, answer) => {
    const { pairs } = certificates;
    const at = pairs.length === 1 ? 0 : chooseByHost(pairs, host);
    // The first is the server's own already.
    if (at === 0) return answer(null);
    const pair = pairs[at]!;
    let context = contexts.get(pair);
    if (context === undefined) {
      context = createSecureContext({ ...pair, ...more });
      contexts.set(pair, context);
    }
    answer(null, context);
  };
}
