import { readFileSync } from "node:fs";
import { type DestinationStream, type Logger, pino } from "pino";
import pretty from "pino-pretty";
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { Durations } from "#core/durations.ts";
import { AnswerMetrics } from "./answer-metrics.ts";
import { registerHistogram } from "./histogram.ts";
import type { Config } from "./options.ts";

export type { Logger };

/**
 * Log lines go to stderr: stdout belongs to the ready line. No line ever holds an id, an address, a key or a payload;
 * an error is told by its kind and the failure behind it, which are about our machine.
 */
export function createLogger(
  config: Pick<Config, "verbose" | "quiet" | "logLevel" | "logFormat">,
  terminal: boolean,
): Logger {
  const levels = ["warn", "info", "debug", "trace"] as const;
  const counted = config.quiet ? "error" : levels[Math.min(config.verbose, levels.length - 1)]!;
  const level = config.logLevel?.toLowerCase() ?? counted;
  const asText = config.logFormat === "text" || (config.logFormat === "auto" && terminal);
  const destination: DestinationStream = asText
    ? pretty({ destination: 2, sync: true, ignore: "pid,hostname", colorize: terminal })
    : pino.destination({ dest: 2, sync: true });
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
}

/** The level that `RUST_LOG` names for everything: `warn,moq_net=trace` is `warn`. Undefined where it names none. */
export function rustLogLevel({ RUST_LOG = "" }: NodeJS.ProcessEnv): string | undefined {
  return RUST_LOG.toLowerCase()
    .split(",")
    .map((part) => part.trim())
    .find((part) => /^(error|warn|info|debug|trace)$/.test(part));
}

/** What the daemon counts. Labels are routes, methods and statuses; nothing of a request's own. */
export class Metrics {
  readonly registry = new Registry();
  readonly #answers = new AnswerMetrics();
  #failures = 0;
  #underWay = 0;

  constructor() {
    collectDefaultMetrics({ register: this.registry });
    this.#answers.register(this.registry);
    const failures = () => this.#failures;
    this.counter("postern_internal_errors_total", "Failures on the relay's side.", failures);
    // Operators of the original mailbox relay know these names.
    this.counter("relay_panics_total", "Failures on the relay's side.", failures);
    this.gauge("relay_tokio_alive_tasks", "Requests under way.", () => this.#underWay);
    if (threadCount() === undefined) return;
    for (const name of ["relay_tokio_workers", "process_threads"]) {
      this.gauge(name, "Threads of the process.", () => threadCount() ?? 0);
    }
  }

  /** A request came; `answered` follows. */
  began(): void {
    this.#underWay++;
  }

  /** One answered request. An unusual method counts as `other`, so that a remote cannot make up labels. */
  answered(route: string, method: string, status: number, seconds: number): void {
    this.#underWay--;
    this.#answers.count(route, method, status, seconds);
  }

  failed(): void {
    this.#failures++;
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

  /** Durations kept elsewhere, told when somebody asks for the metrics. */
  histogram(name: string, help: string, durations: Durations): void {
    registerHistogram(this.registry, name, help, () => [[{}, durations]]);
  }

  /** A count since the start, kept elsewhere, that is read when somebody asks for the metrics. */
  counter(name: string, help: string, read: () => number): void {
    new Counter({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  }
}

/** As Linux tells it; undefined elsewhere. */
function threadCount(): number | undefined {
  try {
    return Number(/^Threads:\s*(\d+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
  } catch {
    return undefined;
  }
}
