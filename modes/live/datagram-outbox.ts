import type { Clock, Instant } from "#core/clock.ts";
import { type Datagram, datagramMaxBytes, encodeDatagram } from "#wire/live/datagram.ts";
import type { Transport } from "#wire/live/transport.ts";
import type { LiveMetrics } from "./metrics.ts";
import { countDatagram, type Traffic } from "./traffic.ts";

/** How long a datagram waits for room, in ms; then it is lost. */
export const datagramMaxAgeMs = 50;
/** Datagrams of one session that wait; one more and the oldest is lost. */
export const datagramsMax = 64;

/** What the outbox needs to know of a subscription. */
export interface DatagramSubscription {
  readonly id: number;
  /** What it is sent is counted here. */
  readonly traffic: Traffic;
}

interface Waiting {
  readonly subscription: DatagramSubscription;
  readonly datagram: Datagram;
  readonly since: Instant;
}

/** The datagrams that one session has still to be sent, oldest first. What there is no room for in time is lost. */
export class DatagramOutbox {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #metrics: LiveMetrics;
  #waiting: Waiting[] = [];

  constructor(transport: Transport, clock: Clock, metrics: LiveMetrics) {
    this.#transport = transport;
    this.#clock = clock;
    this.#metrics = metrics;
  }

  /** Does nothing where the transport has no datagrams: they never become streams. */
  add(subscription: DatagramSubscription, datagram: Datagram): void {
    if (!this.#transport.datagramMaxBytes) return;
    if (this.#waiting.length >= datagramsMax) this.#lose();
    this.#waiting.push({ subscription, datagram, since: this.#clock.now() });
    this.#transport.wake();
  }

  /** The subscription is over. */
  drop(subscription: DatagramSubscription): void {
    this.#waiting = this.#waiting.filter((waiting) => waiting.subscription !== subscription);
  }

  /** Sends as many as the transport takes. */
  pump(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#clock.now() - next.since > datagramMaxAgeMs) {
        this.#lose();
        continue;
      }
      const { subscription, datagram } = next;
      const body = encodeDatagram(subscription.id, datagram.content);
      const fits = body.length <= Math.min(this.#transport.datagramMaxBytes ?? 0, datagramMaxBytes);
      if (fits && !this.#transport.sendDatagram?.(body)) return;
      this.#waiting.shift();
      if (!fits) continue;
      countDatagram(subscription.traffic, datagram.payloadBytes);
      this.#metrics.groupsOut++;
      this.#metrics.bytesOut += body.length;
    }
  }

  /** The oldest came too late for its subscriber. */
  #lose(): void {
    const { subscription, datagram } = this.#waiting.shift()!;
    countDatagram(subscription.traffic.stale, datagram.payloadBytes);
    this.#metrics.groupsSkipped++;
  }
}
