import { arch, cpus, totalmem } from "node:os";

/** One line of the table: what every round measured. */
export interface Figure {
  readonly what: string;
  readonly unit: string;
  /** Which direction is good; `none` for what only helps to judge the run, and stays out of the table. */
  readonly better: "higher" | "lower" | "none";
  readonly postern: readonly number[];
  /** Undefined where the original is not installed. */
  readonly original: readonly number[] | undefined;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Markdown, medians only. The ratio is above 1 where Postern is better. */
export function table(figures: readonly Figure[]): string {
  const judged = figures.filter(({ better }) => better !== "none");
  const rows = judged.map(({ what, unit, better, postern, original }) => {
    const own = median(postern);
    const theirs = original && median(original);
    const ratio = theirs === undefined ? "" : `${number(better === "higher" ? own / theirs : theirs / own)}x`;
    return `| ${what} | ${number(own)} ${unit} | ${theirs === undefined ? "" : `${number(theirs)} ${unit}`} | ${ratio} |`;
  });
  return `| | Postern | original | better by |\n|---|---|---|---|\n${rows.join("\n")}\n`;
}

function number(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** What the figures were measured on. */
export function machine(): string {
  const [cpu] = cpus();
  const gib = Math.round(totalmem() / 2 ** 30);
  return `${cpu?.model.trim()}, ${cpus().length} cores, ${gib} GiB, ${process.platform} ${arch()}, Node ${process.version}`;
}
