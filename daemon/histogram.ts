import type { Metric, Registry } from "prom-client";
import type { Durations } from "#core/durations.ts";

type Labels = Record<string, string | number>;
type Row = { labels: Labels; metricName: string; value: number };

/** What the registry asks of a metric when it is scraped. */
interface Scraped {
  readonly name: string;
  readonly help: string;
  readonly type: "histogram";
  readonly aggregator: "sum";
  get(): Promise<unknown>;
}

/** A histogram whose counts are kept elsewhere: the library's own only takes single observations. */
export function registerHistogram(
  registry: Registry,
  name: string,
  help: string,
  read: () => Iterable<readonly [Labels, Durations]>,
): void {
  const histogram: Scraped = {
    name,
    help,
    type: "histogram",
    aggregator: "sum",
    get: async () => ({
      ...histogram,
      values: [...read()].flatMap(([labels, durations]) => rowsOf(name, labels, durations)),
    }),
  };
  registry.registerMetric(histogram as unknown as Metric);
}

function rowsOf(name: string, labels: Labels, { bounds, counts, sum }: Durations): Row[] {
  let within = 0;
  const rows = counts.map((count, at): Row => {
    within += count;
    return {
      labels: { le: bounds[at] ?? "+Inf", ...labels },
      metricName: `${name}_bucket`,
      value: within,
    };
  });
  rows.push({ labels, metricName: `${name}_sum`, value: sum });
  rows.push({ labels, metricName: `${name}_count`, value: within });
  return rows;
}
