import { readFileSync, watch } from "node:fs";
import { dirname } from "node:path";

export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

export function readTlsFiles(files: TlsFiles): { cert: Buffer; key: Buffer } {
  return { cert: readFileSync(files.cert), key: readFileSync(files.key) };
}

/**
 * Calls `changed` with the new pair whenever one of the files was replaced. A pair that cannot be read yet (a renewal
 * writes one file after the other) is reported to `failed` and the old pair stays.
 */
export function watchTlsFiles(
  files: TlsFiles,
  changed: (pair: { cert: Buffer; key: Buffer }) => void,
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
  const watchers = [...new Set([dirname(files.cert), dirname(files.key)])].map((folder) =>
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
