import { readFileSync, watch } from "node:fs";
import { dirname } from "node:path";

export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  /** Authorities whose client certificates are trusted; none: clients are not asked for one. */
  readonly clientRoots?: readonly string[];
}

/** What the files hold, in the words of `tls.createSecureContext`. */
export interface TlsMaterial {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca?: Buffer[];
}

export function readTlsFiles({ cert, key, clientRoots = [] }: TlsFiles): TlsMaterial {
  const ca = clientRoots.length === 0 ? {} : { ca: clientRoots.map((path) => readFileSync(path)) };
  return { cert: readFileSync(cert), key: readFileSync(key), ...ca };
}

/**
 * Calls `changed` with the new pair whenever one of the files was replaced. A pair that cannot be read yet (a renewal
 * writes one file after the other) is reported to `failed` and the old pair stays.
 */
export function watchTlsFiles(
  files: TlsFiles,
  changed: (material: TlsMaterial) => void,
  failed: (error: unknown) => void,
): () => void {
  let timer: NodeJS.Timeout | undefined;
  const reload = () => {
    try {
      changed(readTlsFiles(files));
    } catch (error) {
      failed(error);
    }
  };
  // Folders, not files: renewals replace files, and a watched file that was replaced is watched no more.
  const watchers = [
    ...new Set([files.cert, files.key, ...(files.clientRoots ?? [])].map((file) => dirname(file))),
  ].map((folder) =>
    watch(folder, () => {
      clearTimeout(timer);
      timer = setTimeout(reload, 100);
    }),
  );
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}
