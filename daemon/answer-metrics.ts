import { Counter, type Registry } from "prom-client";
import { Durations } from "#core/durations.ts";
import { registerHistogram } from "./histogram.ts";

/** Seconds: from a request that is answered at once to one that waited as long as `/link` allows. */
const durationBounds: readonly number[] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 30, 120, 600];

const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

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
      durations = new Durations(durationBounds);
      this.#durations.set(route, durations);
    }
    durations.observe(seconds);
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
    registerHistogram(
      registry,
      "postern_http_request_duration_seconds",
      "From a request's headers to its answer, waiting included.",
      () => [...durations].map(([route, each]) => [{ route }, each]),
    );
  }
}
