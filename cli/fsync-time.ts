import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Finding } from "./relay-checks.ts";

const rounds = 50;
const pageBytes = 4096;

/**
 * How long the disk under `path` takes to keep a page for good: the least that accepting a message costs, shared by all
 * that are accepted meanwhile.
 */
export function checkFsync(path: string): Finding {
  const folder = mkdtempSync(join(statSync(path).isDirectory() ? path : dirname(path), ".postern-doctor-"));
  const times: number[] = [];
  try {
    const file = openSync(join(folder, "page"), "w");
    const page = new Uint8Array(pageBytes);
    for (let at = 0; at < rounds; at++) {
      const begin = performance.now();
      writeSync(file, page);
      fdatasyncSync(file);
      times.push(performance.now() - begin);
    }
    closeSync(file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  times.sort((a, b) => a - b);
  const medianMs = Math.round(times[rounds / 2]! * 1000) / 1000;
  const worstMs = Math.round(times.at(-1)! * 1000) / 1000;
  const figures = { medianMs, worstMs };
  const seen = `${medianMs} ms to write ${pageBytes} bytes for good, ${worstMs} ms at worst`;
  if (medianMs < 0.02)
    return {
      check: "disk",
      outcome: "warning",
      message: `${seen}: too fast to be true; a power cut may lose messages.`,
      figures,
    };
  if (medianMs > 30)
    return {
      check: "disk",
      outcome: "warning",
      message: `${seen}: slow; put --persist-db on a faster disk.`,
      figures,
    };
  return { check: "disk", outcome: "ok", message: `${seen}.`, figures };
}
