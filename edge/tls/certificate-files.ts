import { readFileSync, watch } from "node:fs";
import { dirname } from "node:path";
import { createSecureContext } from "node:tls";
import type { CertificatePair, Certificates } from "./certificates.ts";
import { Listeners } from "./listeners.ts";

/** Names of a certificate's file and its key's. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

/**
 * Certificates that somebody else renews in files. They are read again when they change; throws where they cannot be
 * read now. Later, what cannot be read or does not fit together (a renewal writes one file after the other) is reported
 * to `failed`, and the old pairs stay.
 */
export function watchCertificateFiles(
  files: readonly TlsFiles[],
  failed: (error: unknown) => void,
): Certificates {
  let pairs = files.map(readPair);
  const listeners = new Listeners();
  let timer: NodeJS.Timeout | undefined;
  const reload = () => {
    let read: CertificatePair[];
    try {
      read = files.map(readPair);
    } catch (error) {
      failed(error);
      return;
    }
    // Other files of the folder change too.
    if (read.every(({ cert, key }, at) => cert === pairs[at]!.cert && key === pairs[at]!.key)) return;
    pairs = read;
    listeners.call();
  };
  // Folders, not files: renewals replace files, and a watched file that was replaced is watched no more.
  const folders = new Set(files.flatMap(({ cert, key }) => [dirname(cert), dirname(key)]));
  const watchers = [...folders].map((folder) =>
    watch(folder, () => {
      clearTimeout(timer);
      timer = setTimeout(reload, 100);
    }),
  );
  return {
    get pairs() {
      return pairs;
    },
    retiredHashes: [],
    reload,
    onChange: (changed) => listeners.add(changed),
    [Symbol.dispose]() {
      clearTimeout(timer);
      for (const watcher of watchers) watcher.close();
    },
  };
}

function readPair({ cert, key }: TlsFiles): CertificatePair {
  const pair = { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
  // Throws for what is no certificate, no key, or not its key.
  createSecureContext(pair);
  return pair;
}
