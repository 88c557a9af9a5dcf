import type { Mailbox } from "#modes/mailbox/mailbox.ts";
import type { MailboxStore } from "#store/contract/mailbox-store.ts";
import type { Metrics } from "./telemetry.ts";

/** The original's names, true here, and what else an operator wants to know. */
export function mailboxMetrics(mailbox: Mailbox, store: MailboxStore, metrics: Metrics): void {
  const { traffic } = mailbox;
  for (const [name, help, read] of [
    [
      "relay_messages_received_total",
      "Requests to the mailbox API, plain and oblivious.",
      () => traffic.received,
    ],
    ["relay_messages_sent_total", "Those answered with what was asked for.", () => traffic.sent],
    ["relay_messages_rejected_total", "Those refused.", () => traffic.rejected],
    ["relay_blobs_created_total", "Messages stored.", () => mailbox.counts().created],
    ["relay_blobs_delivered_total", "Messages handed out.", () => mailbox.counts().delivered],
    ["relay_blobs_expired_total", "Messages that expired.", () => mailbox.counts().expired],
    ["relay_rate_limited_total", "Requests refused by a limit.", () => mailbox.counts().rateLimited],
    ["relay_recovery_vouchers_total", "Recovery proofs stored.", () => mailbox.counts().proofs],
  ] as const) {
    metrics.counter(name, help, read);
  }
  for (const [name, help, read] of [
    ["relay_blobs_stored", "Messages that wait in mailboxes.", () => store.usage().blobs],
    ["relay_recovery_proofs_active", "Recovery proofs held.", () => mailbox.proofsHeld],
    ["postern_mailbox_bytes", "Bytes of mailboxes and records kept.", () => store.usage().bytes],
    ["postern_mailbox_waiters", "Fetches that wait.", () => mailbox.waiters],
    ["postern_exchange_offers", "Exchange offers open.", () => mailbox.openOffers],
  ] as const) {
    metrics.gauge(name, help, read);
  }
  metrics.histogram(
    "relay_message_duration_seconds",
    "From a request to the mailbox API to its answer, waiting included.",
    traffic.durations,
  );
}
