import { readFile, stat } from "node:fs/promises";

/**
 * The ids in a file, one a line; empty lines and lines that begin with # are skipped. The file is read again when it has
 * changed, and an absent one is empty. Rejects, letting nobody in, when it is there and cannot be read.
 */
export function revokedTokens(path: string): () => Promise<ReadonlySet<string>> {
  let known: ReadonlySet<string> = new Set();
  let stamp = "";
  return async () => {
    const now = await stampOf(path);
    if (now !== stamp) {
      known = now === "absent" ? new Set() : idsOf(await readFile(path, "utf8"));
      stamp = now;
    }
    return known;
  };
}

async function stampOf(path: string): Promise<string> {
  try {
    const { mtimeNs, size, ino } = await stat(path, { bigint: true });
    return `${mtimeNs} ${size} ${ino}`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "absent";
    throw error;
  }
}

function idsOf(text: string): Set<string> {
  const lines = text.split("\n").map((line) => line.trim());
  return new Set(lines.filter((line) => line !== "" && !line.startsWith("#")));
}
