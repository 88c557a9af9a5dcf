import { type Clock, systemEntropy } from "#core/clock.ts";
import { federationPath, PeerAcceptor } from "#edge/federation/peer-acceptor.ts";
import { PeerDialler } from "#edge/federation/peer-dialler.ts";
import type { WebSocketUpgrades } from "#edge/http/listener-setup.ts";
import { Federation } from "#modes/mailbox/federation/federation.ts";
import type { Hints } from "#modes/mailbox/federation/hints.ts";
import type { RelayIdentity } from "#modes/mailbox/federation/relay-identity.ts";
import type { Mailbox } from "#modes/mailbox/mailbox.ts";
import type { MailboxStore } from "#store/contract/mailbox-store.ts";
import { type Config, OptionError } from "./options.ts";
import type { Logger, Metrics } from "./telemetry.ts";

/** What a WebSocket message of the original may have beyond the largest message. */
const frameSpareBytes = 256;
/** How long other relays may take to say goodbye. */
const goodbyeMs = 1000;

export interface FederationParts {
  readonly upgrades: WebSocketUpgrades;
  /** Tells every relay that this one goes away, and ends the connections. */
  drain(): void;
}

export interface FederationComposition {
  readonly config: Config;
  readonly store: MailboxStore;
  readonly mailbox: Mailbox;
  readonly hints: Hints;
  readonly identity: RelayIdentity;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly report: (error: unknown) => void;
  readonly opened: AsyncDisposableStack;
}

/** Federation with both its edges: calls that come, and calls that are made. */
export function composeFederation(of: FederationComposition): FederationParts {
  const { config, clock, metrics, log, opened, mailbox, hints } = of;
  if (config.federationOffloadThreshold >= config.federationOffloadRefuse) {
    log.warn(
      "federation-offload-threshold is not below federation-offload-refuse: equal relays find no peer to help",
    );
  }
  const announce = (name: string) => mailbox.announce(name);
  const federation = new Federation({ ...of, entropy: systemEntropy, announce });
  const messageMaxBytes = config.maxMessageSizeBytes + frameSpareBytes;
  const acceptor = new PeerAcceptor(messageMaxBytes, (link) => federation.accept(link), clock);
  const diallers = config.federationPeers.map((url) => {
    if (!URL.canParse(url)) throw new OptionError("--federation-peers: one of them is not a URL.");
    return new PeerDialler({
      url,
      allowPrivate: config.federationAllowPrivate,
      messageMaxBytes,
      clock,
      entropy: systemEntropy,
      open: (link) => federation.dialled(url, link),
      onTrouble: (what) => log.warn(what),
    });
  });
  opened.defer(federation.offloadRegularly());
  const drain = () => {
    federation.drain();
    acceptor.close(goodbyeMs);
    for (const dialler of diallers) dialler.close(goodbyeMs);
  };
  opened.defer(drain);
  for (const dialler of diallers) dialler.start();
  federationMetrics(federation, hints, diallers, metrics);
  return {
    upgrades: {
      owns: (target) => target === federationPath,
      take: (...upgrade) => acceptor.take(...upgrade),
    },
    drain,
  };
}

function federationMetrics(
  federation: Federation,
  hints: Hints,
  diallers: readonly PeerDialler[],
  metrics: Metrics,
): void {
  const { counts } = federation;
  const sum = (of: (dialler: PeerDialler) => number) =>
    diallers.reduce((total, dialler) => total + of(dialler), 0);
  for (const [name, help, read] of [
    ["peer_connections_total", "Calls to peers.", () => sum(({ calls }) => calls)],
    [
      "peer_connection_errors_total",
      "Calls to peers that failed.",
      () => sum(({ failedCalls }) => failedCalls),
    ],
    ["offloads_sent_total", "Messages that peers accepted.", () => counts.sent],
    ["offloads_received_total", "Messages taken from other relays.", () => counts.received],
    ["offloads_rejected_total", "Messages of other relays that were not taken.", () => counts.rejected],
    ["hints_stored_total", "Hints stored.", () => hints.stored],
    ["hints_expired_total", "Mailboxes whose hints expired.", () => hints.expired],
    ["drain_notices_total", "Relays that said that they go away.", () => counts.drainNotices],
    ["rate_limited_total", "Messages of other relays beyond their rate.", () => counts.rateLimited],
  ] as const) {
    metrics.counter(`relay_federation_${name}`, help, read);
  }
  metrics.counter(
    "postern_federation_too_large_total",
    "Messages that fit no frame and so stay.",
    () => counts.tooLarge,
  );
  metrics.gauge("relay_federation_peers_connected", "Relays that called us.", () => federation.inbound);
  metrics.gauge(
    "postern_federation_peers_reached",
    "Peers that we called and that greeted back.",
    () => federation.outbound,
  );
  metrics.gauge("relay_federation_hints_active", "Mailboxes with hints.", () => hints.held);
}
