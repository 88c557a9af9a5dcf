import type { Traffic, TrafficCounts } from "./traffic.ts";

/** What one session is sent, counted under its tier. */
export class SessionTraffic {
  readonly #counts: TrafficCounts;
  readonly #tier: () => string;
  /** How many subscriptions the session has to each broadcast. */
  readonly #watched = new Map<string, number>();

  /** A session may learn its tier after it began. */
  constructor(counts: TrafficCounts, tier: () => string) {
    this.#counts = counts;
    this.#tier = tier;
  }

  /** A subscription begins; what it is sent is counted in the answer. Each is `unsubscribed` once. */
  subscribed(path: string): Traffic {
    const traffic = this.#of(path);
    traffic.subscriptionsStarted++;
    const before = this.#watched.get(path) ?? 0;
    if (before === 0) traffic.broadcastsStarted++;
    this.#watched.set(path, before + 1);
    return traffic;
  }

  unsubscribed(path: string): void {
    const traffic = this.#of(path);
    traffic.subscriptionsEnded++;
    const left = this.#watched.get(path)! - 1;
    if (left > 0) this.#watched.set(path, left);
    else {
      this.#watched.delete(path);
      traffic.broadcastsEnded++;
    }
    this.#counts.ended(path, this.#tier());
  }

  /** A group is asked for by itself. */
  fetched(path: string): Traffic {
    const traffic = this.#of(path);
    traffic.fetches++;
    return traffic;
  }

  /** What `fetched` began is over. */
  fetchEnded(path: string): void {
    this.#counts.ended(path, this.#tier());
  }

  announced(path: string): void {
    this.#counts.announced(path, this.#tier(), "publisher");
  }

  unannounced(path: string): void {
    this.#counts.unannounced(path, this.#tier(), "publisher");
  }

  #of(path: string): Traffic {
    return this.#counts.of(path, this.#tier(), "publisher");
  }
}
