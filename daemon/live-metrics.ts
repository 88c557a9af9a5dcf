import { Counter, Gauge } from "prom-client";
import type { AcceptHealth } from "#edge/http/accept-health.ts";
import type { Live } from "#modes/live/live.ts";
import type { Relay } from "#modes/live/relay.ts";
import type { Presence, Traffic } from "#modes/live/traffic.ts";
import type { Metrics } from "./telemetry.ts";

/** The original relay's names and help, by the count they show. Labels: `tier`, `role`. */
const trafficCounters: readonly [name: string, help: string, read: (traffic: Traffic) => number][] = [
  ["bytes", "Payload bytes of groups.", ({ bytes }) => bytes],
  ["frames", "Frames.", ({ frames }) => frames],
  ["groups", "Groups.", ({ groups }) => groups],
  ["datagrams", "Groups of one frame that went as datagrams; they are among the groups.", (t) => t.datagrams],
  ["stale_bytes", "Payload bytes that a subscriber was too slow for.", ({ stale }) => stale.bytes],
  ["stale_frames", "Frames that a subscriber was too slow for.", ({ stale }) => stale.frames],
  ["stale_groups", "Groups that a subscriber was too slow for.", ({ stale }) => stale.groups],
  ["stale_datagrams", "Datagrams that a subscriber was too slow for.", ({ stale }) => stale.datagrams],
  ["fetches", "Groups asked for one by one.", ({ fetches }) => fetches],
  ["announces_started", "Announcements of broadcasts.", ({ announcesStarted }) => announcesStarted],
  ["announces_ended", "Ends of announced broadcasts.", ({ announcesEnded }) => announcesEnded],
  ["subscriptions_opened", "Subscriptions to tracks begun.", (t) => t.subscriptionsStarted],
  ["subscriptions_closed", "Subscriptions to tracks ended.", (t) => t.subscriptionsEnded],
  ["viewers_opened", "Sessions that began to watch a broadcast.", (t) => t.broadcastsStarted],
  ["viewers_closed", "Sessions that ceased to watch a broadcast.", (t) => t.broadcastsEnded],
];

const sessionCounters: readonly [name: string, help: string, read: (presence: Presence) => number][] = [
  ["sessions_opened", "Live sessions begun.", ({ sessionsStarted }) => sessionsStarted],
  ["sessions_closed", "Live sessions ended.", ({ sessionsEnded }) => sessionsEnded],
];

/** What went through live, under the original relay's names; `publisher` is what leaves the relay. */
export function measureTraffic({ traffic }: Relay, { registry }: Metrics): void {
  const registers = [registry];
  for (const [name, help, read] of trafficCounters) {
    new Counter({
      name: `moq_relay_${name}_total`,
      help,
      labelNames: ["tier", "role"],
      registers,
      collect() {
        this.reset();
        for (const [tier, roles] of traffic.totals()) {
          this.inc({ tier, role: "publisher" }, read(roles.publisher));
          this.inc({ tier, role: "subscriber" }, read(roles.subscriber));
        }
      },
    });
  }
  for (const [name, help, read] of sessionCounters) {
    new Counter({
      name: `moq_relay_${name}_total`,
      help,
      labelNames: ["tier"],
      registers,
      collect() {
        this.reset();
        for (const [tier, { presence }] of traffic.totals()) this.inc({ tier }, read(presence));
      },
    });
  }
}

/** How many sessions a drain still waits for; 0 when none is under way. */
export function measureDrain(live: Live, { registry }: Metrics): void {
  new Gauge({
    name: "moq_relay_draining_sessions",
    help: "Live sessions that were asked to go and have not gone yet.",
    registers: [registry],
    collect() {
      this.set(live.relay.draining ? live.relay.sessionCount : 0);
    },
  });
}

/** How the daemon's listeners fare at accepting connections. */
export function measureAccepts(listeners: readonly AcceptHealth[], { registry }: Metrics): void {
  const registers = [registry];
  new Counter({
    name: "moq_relay_accept_failures_total",
    help: "Connections that could not be accepted.",
    labelNames: ["listener", "class"],
    registers,
    collect() {
      this.reset();
      for (const { listener, failures } of listeners)
        for (const [kind, count] of Object.entries(failures)) this.inc({ listener, class: kind }, count);
    },
  });
  new Gauge({
    name: "moq_relay_accept_stalled_seconds",
    help: "How long a listener has been unable to accept a connection; 0 while it can.",
    labelNames: ["listener"],
    registers,
    collect() {
      for (const { listener, stalledMs } of listeners) this.set({ listener }, stalledMs / 1000);
    },
  });
}
