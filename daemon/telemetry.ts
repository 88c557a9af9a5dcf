import { type DestinationStream, type Logger, pino } from "pino";
import pretty from "pino-pretty";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Config } from "./options.ts";

export type { Logger };

/**
 * Log lines go to stderr: stdout belongs to the ready line. No line ever holds an id, an address, a key or a payload;
 * an error is told by its kind and the failure behind it, which are about our machine.
 */
export function createLogger(
  config: Pick<Config, "verbose" | "quiet" | "logFormat">,
  terminal: boolean,
): Logger {
  const levels = ["warn", "info", "debug", "trace"] as const;
  const level = config.quiet ? "error" : levels[Math.min(config.verbose, levels.length - 1)]!;
  const asText = config.logFormat === "text" || (config.logFormat === "auto" && terminal);
  const destination: DestinationStream = asText
    ? pretty({ destination: 2, sync: true, ignore: "pid,hostname", colorize: terminal })
    : pino.destination({ dest: 2, sync: true });
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
}

/** Seconds: from a request that is answered at once to one that waited as long as `/link` allows. */
const durationBuckets = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 30, 120, 600];

/** What the daemon counts. Labels are routes, methods and statuses; nothing of a request's own. */
export class Metrics {
  readonly registry = new Registry();
  readonly #requests = new Counter({
    name: "postern_http_requests_total",
    help: "Requests answered, by route, method and status.",
    labelNames: ["route", "method", "status"] as const,
    registers: [this.registry],
  });
  readonly #durations = new Histogram({
    name: "postern_http_request_duration_seconds",
    help: "From a request's headers to its answer, waiting included.",
    labelNames: ["route"] as const,
    buckets: durationBuckets,
    registers: [this.registry],
  });
  readonly #errors = new Counter({
    name: "postern_internal_errors_total",
    help: "Failures on the relay's side.",
    registers: [this.registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  /** One answered request. An unusual method counts as `other`, so that a remote cannot make up labels. */
  answered(route: string, method: string, status: number, seconds: number): void {
    const known = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$/.test(method) ? method : "other";
    this.#requests.inc({ route, method: known, status });
    this.#durations.observe({ route }, seconds);
  }

  failed(): void {
    this.#errors.inc();
  }

  /** A value that is read when somebody asks for the metrics. */
  gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.set(read());
      },
    });
  }
}
