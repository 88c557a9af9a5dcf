import { Counter, type Metric, type Registry } from "prom-client";

/** Seconds: from a request that is answered at once to one that waited as long as `/link` allows. */
const durationBuckets: readonly number[] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 30, 120, 600];

const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

interface Durations {
  /** How many were within each bucket's bound and above the one before; the last is for what took longer. */
  readonly counts: number[];
  sum: number;
}

/**
 * Requests answered and how long they took. Counted in plain numbers, because this runs for every request, and handed to
 * the registry only when somebody asks for the metrics.
 */
export class AnswerMetrics {
  readonly #requests = new Map<string, { labels: Record<string, string | number>; count: number }>();
  readonly #durations = new Map<string, Durations>();

  count(route: string, method: string, status: number, seconds: number): void {
    const known = methods.has(method) ? method : "other";
    const key = `${route} ${known} ${status}`;
    const row = this.#requests.get(key);
    if (row) row.count++;
    else this.#requests.set(key, { labels: { route, method: known, status }, count: 1 });

    let durations = this.#durations.get(route);
    if (!durations) {
      durations = { counts: Array<number>(durationBuckets.length + 1).fill(0), sum: 0 };
      this.#durations.set(route, durations);
    }
    let bucket = 0;
    while (bucket < durationBuckets.length && seconds > durationBuckets[bucket]!) bucket++;
    durations.counts[bucket]!++;
    durations.sum += seconds;
  }

  register(registry: Registry): void {
    const requests = this.#requests;
    const durations = this.#durations;
    new Counter({
      name: "postern_http_requests_total",
      help: "Requests answered, by route, method and status.",
      labelNames: ["route", "method", "status"],
      registers: [registry],
      collect() {
        this.reset();
        for (const { labels, count } of requests.values()) this.inc(labels, count);
      },
    });
    // The library's histogram only takes single observations; the counts are here already.
    const histogram: Scraped = {
      name: histogramName,
      help: "From a request's headers to its answer, waiting included.",
      type: "histogram",
      aggregator: "sum",
      get: async () => ({ ...histogram, values: [...durations].flatMap(histogramRows) }),
    };
    registry.registerMetric(histogram as unknown as Metric);
  }
}

const histogramName = "postern_http_request_duration_seconds";

/** What the registry asks of a metric when it is scraped. */
interface Scraped {
  readonly name: string;
  readonly help: string;
  readonly type: "histogram";
  readonly aggregator: "sum";
  get(): Promise<unknown>;
}

type Row = { labels: Record<string, string | number>; metricName: string; value: number };

function histogramRows([route, { counts, sum }]: [string, Durations]): Row[] {
  let within = 0;
  const rows = counts.map((count, at): Row => {
    within += count;
    return {
      labels: { le: durationBuckets[at] ?? "+Inf", route },
      metricName: `${histogramName}_bucket`,
      value: within,
    };
  });
  rows.push({ labels: { route }, metricName: `${histogramName}_sum`, value: sum });
  rows.push({ labels: { route }, metricName: `${histogramName}_count`, value: within });
  return rows;
}
