import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { dirname, join } from "node:path";
import { type Clock, systemEntropy } from "#core/clock.ts";
import { type TlsFiles, watchCertificateFiles } from "#edge/tls/certificate-files.ts";
import type { Certificates } from "#edge/tls/certificates.ts";
import { openDevelopmentCertificate, type PemStore } from "#edge/tls/development-certificate.ts";
import { type Config, OptionError } from "./options.ts";

/**
 * What the daemon's TLS and QUIC are served with; undefined where there is no TLS. `database` is undefined where nothing
 * is kept on disk.
 */
export async function openCertificates(
  config: Config,
  database: string | undefined,
  clock: Clock,
  report: (error: unknown) => void,
): Promise<Certificates | undefined> {
  const files = tlsFiles(config);
  const hosts = config.tlsGenerate;
  if (hosts.length === 0) return files.length === 0 ? undefined : watchCertificateFiles(files, report);
  if (files.length > 0) throw new OptionError("--tls-generate: there is tls-cert already.");
  for (const host of hosts) {
    if (/^[\d.]+$|:/.test(host) && isIP(host) === 0)
      throw new OptionError(`--tls-generate: ${host} is no IP address.`);
  }
  const store =
    database === undefined ? undefined : fileStore(join(dirname(database), "development-tls.pem"));
  return await openDevelopmentCertificate({ hosts, store, clock, entropy: systemEntropy, failed: report });
}

/** Authorities whose client certificates are trusted, in PEM; undefined where none are. */
export async function readClientRoots({
  serverTlsRoot,
  tlsCert,
  tlsGenerate,
}: Config): Promise<string[] | undefined> {
  if (serverTlsRoot.length === 0) return undefined;
  if (tlsCert.length + tlsGenerate.length === 0)
    throw new OptionError("--server-tls-root: needs tls-cert and tls-key, or tls-generate.");
  try {
    return await Promise.all(serverTlsRoot.map((path) => readFile(path, "utf8")));
  } catch {
    throw new OptionError("--server-tls-root: a file cannot be read.");
  }
}

function tlsFiles({ tlsCert, tlsKey }: Config): TlsFiles[] {
  if (tlsCert.length !== tlsKey.length) {
    const missing = tlsCert.length > tlsKey.length ? "tls-key" : "tls-cert";
    throw new OptionError(`--${missing}: missing; TLS needs both tls-cert and tls-key, as many of each.`);
  }
  return tlsCert.map((cert, at) => ({ cert, key: tlsKey[at]! }));
}

function fileStore(path: string): PemStore {
  return {
    read() {
      try {
        return readFileSync(path, "utf8");
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
        throw error;
      }
    },
    write(pem) {
      const next = `${path}.new`;
      writeFileSync(next, pem, { mode: 0o600 });
      renameSync(next, path);
    },
  };
}
