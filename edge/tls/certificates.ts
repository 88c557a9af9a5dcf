import { createHash, X509Certificate } from "node:crypto";
import type { Cancel } from "#core/clock.ts";

/** A chain of certificates, the server's own first, and the key of that one; PEM. */
export interface CertificatePair {
  readonly cert: string;
  readonly key: string;
}

/** What TLS and QUIC are served with. It may change while they are. */
export interface Certificates extends Disposable {
  /** The first is for clients that name no host, or one that none of them is for. */
  readonly pairs: readonly CertificatePair[];
  /** Hashes of certificates that were served before and that a client may still go by. */
  readonly retiredHashes: readonly string[];
  /** Looks at once whether there is something new. */
  reload(): void;
  /** Calls `changed` after each change of `pairs`. */
  onChange(changed: () => void): Cancel;
}

/** SHA-256 over the DER of the first certificate in a PEM text, in lower-case hex: what a browser is told to trust. */
export function certificateHash(pem: string): string {
  return createHash("sha256").update(new X509Certificate(pem).raw).digest("hex");
}

/** The pair whose certificate is for `host`, a DNS name as a client sends it; else the first. */
export function chooseByHost(pairs: readonly CertificatePair[], host: string): number {
  const found = pairs.findIndex(({ cert }) => new X509Certificate(cert).checkHost(host) !== undefined);
  return Math.max(0, found);
}
