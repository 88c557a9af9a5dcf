import { totalmem } from "node:os";
import { constants, deflateRawSync } from "node:zlib";
import { type Clock, systemEntropy } from "#core/clock.ts";
import { type Certificates, certificateHash } from "#edge/tls/certificates.ts";
import { LiveWebSocket, type LiveWebSocketOptions } from "#edge/websocket/live-websocket.ts";
import type { WebTransportListener } from "#edge/webtransport/webtransport-listener.ts";
import type { AccessPolicy } from "#modes/live/auth/authorize.ts";
import { publicAccessWarning } from "#modes/live/auth/public-access.ts";
import type { Grant } from "#modes/live/grant.ts";
import { Live } from "#modes/live/live.ts";
import { Peers } from "#modes/live/peers.ts";
import { liveRoutes } from "#modes/live/routes.ts";
import { StatsBroadcasts } from "#modes/live/stats-broadcasts.ts";
import type { Routes } from "#wire/http/router.ts";
import { datagramMaxBytes } from "#wire/live/datagram.ts";
import { every } from "./every.ts";
import { liveAccess, textOf } from "./live-access.ts";
import { dialBy } from "./live-dial.ts";
import { measureDrain, measureTraffic } from "./live-metrics.ts";
import { type Config, OptionError } from "./options.ts";
import { openPrivacyPass } from "./privacy-pass.ts";
import type { Logger, Metrics } from "./telemetry.ts";

/** Without a key and without anything public, private tokens alone let somebody in. */
const nobody: AccessPolicy = { keys: undefined, public: undefined };

export interface LiveParts {
  readonly live: Live;
  readonly webSocket: LiveWebSocket<Grant>;
  /** Its HTTP face. */
  readonly routes: readonly Routes[];
  /** Started once the daemon listens. */
  readonly peers: Peers;
  readonly limits: LiveWebSocketOptions;
  /** Set once it listens. */
  webTransport: WebTransportListener | undefined;
}

/**
 * Live with its edge. Undefined where nobody could use it: no key, nothing public, no Privacy Pass. What it opens is
 * closed with `opening`; `database` is undefined where nothing is kept on disk.
 */
export async function openLive(
  config: Config,
  database: string | undefined,
  certificates: Certificates | undefined,
  opening: AsyncDisposableStack,
  clock: Clock,
  log: Logger,
  metrics: Metrics,
  report: (error: unknown) => void,
): Promise<LiveParts | undefined> {
  const access = await liveAccess(config, clock);
  if (!access && !config.privacypassEnabled && !config.privacypassServe) {
    if (config.clusterRoot.length > 0 || config.clusterConnectApi !== undefined)
      throw new OptionError("--cluster-root: needs auth-key or auth-public.");
    return undefined;
  }
  const privacy = opening.use(await openPrivacyPass(config, access?.keys, database, clock, log, report));
  const policy: AccessPolicy = { ...(access ?? nobody), privacyPass: privacy.privacyPass };
  const warning = publicAccessWarning(policy.public);
  if (warning) log.warn(warning);
  // The one that WebTransport is served with first: who asks for one hash alone asks for that.
  const certificateHashes = async () => [
    ...new Set([
      ...(parts.webTransport ? [parts.webTransport.certificateHash] : []),
      ...(certificates?.pairs.map(({ cert }) => certificateHash(cert)) ?? []),
      ...(certificates?.retiredHashes ?? []),
    ]),
  ];
  const live = new Live({
    clock,
    entropy: systemEntropy,
    options: { ...config, liveCacheMaxBytes: bytesOfMemory(config.liveCacheMaxBytes) },
    policy,
    domains: config.authDomain,
    certificateHashes,
  });
  opening.defer(every(config.authRecheckMs, clock, () => void live.recheck().catch(report)));
  const webSocketOptions = webSocketOptionsOf(config);
  const webSocket = new LiveWebSocket(live, webSocketOptions, clock, report);
  if (config.webtransport !== "quiche" && config.clusterRoot.some((url) => /^moq[tl]:/.test(url)))
    throw new OptionError("--cluster-root: moqt:// needs --webtransport quiche.");
  const dialOptions = {
    ...webSocketOptions,
    connectTimeoutMs: config.liveSetupTimeoutMs,
    verify: !config.tlsDisableVerify,
    names: live.names,
  };
  const peers = new Peers({
    relay: live.relay,
    clock,
    entropy: systemEntropy,
    options: config,
    token: await tokenOf(config),
    dial: dialBy(config, dialOptions, clock),
    onTrouble: (what) => log.info({ what }, "a link with another relay of the cluster is down"),
  });
  metrics.gauge("postern_live_cluster_links", "Links with other relays that are up.", () => peers.linked);
  measure(live, metrics);
  measureTraffic(live.relay, metrics);
  measureDrain(live, metrics);
  if (config.statsEnabled) {
    const deflate = (bytes: Uint8Array) => deflateRawSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH });
    const stats = new StatsBroadcasts({ relay: live.relay, clock, options: config, deflate });
    stats.start();
    opening.defer(() => stats.close());
  }
  const routes = [liveRoutes(live), ...privacy.routes];
  const parts: LiveParts = {
    live,
    webSocket,
    peers,
    routes,
    limits: webSocketOptions,
    webTransport: undefined,
  };
  return parts;
}

/** Of what the process may use, where it is told of a bound. */
function bytesOfMemory(sizeOrShare: number): number {
  const available = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
  return sizeOrShare <= 1 ? Math.floor(sizeOrShare * available) : sizeOrShare;
}

async function tokenOf({ clusterToken }: Config): Promise<string | undefined> {
  if (clusterToken === undefined) return undefined;
  const text = await textOf(clusterToken);
  if (text === undefined) throw new OptionError("--cluster-token: the file cannot be read.");
  return text.trim();
}

const webSocketOptionsOf = (config: Config): LiveWebSocketOptions => ({
  connectionWindowBytes: config.liveWindowBytes,
  streamWindowBytes: config.liveWindowBytes / 8,
  streamsMax: config.liveStreamsMax,
  recordMaxBytes: config.liveRecordMaxBytes,
  datagramMaxBytes,
  idleTimeoutMs: config.liveSilenceMaxMs,
  messageMaxBytes: config.liveMessageMaxBytes,
  pingIntervalMs: config.livePingIntervalMs,
  silenceMaxMs: config.liveSilenceMaxMs,
});

function measure({ relay }: Live, metrics: Metrics): void {
  const { metrics: counts } = relay;
  metrics.gauge("postern_live_sessions", "Live sessions.", () => relay.sessionCount);
  metrics.gauge("postern_live_broadcasts", "Live broadcasts announced.", () => relay.origin.broadcastCount);
  metrics.gauge("postern_live_cache_bytes", "Bytes of groups kept.", () => relay.cache.bytes);
  for (const [name, help, read] of [
    ["sessions", "Live sessions begun.", () => counts.sessionsOpened],
    ["subscriptions", "Subscriptions of live sessions.", () => counts.subscriptionsOpened],
    [
      "upstream_subscriptions",
      "Subscriptions of the relay with publishers.",
      () => counts.upstreamSubscriptions,
    ],
    ["received_bytes", "Bytes of groups that came from publishers.", () => counts.bytesIn],
    ["sent_bytes", "Bytes of groups that went to subscribers.", () => counts.bytesOut],
    ["received_groups", "Groups that came from publishers.", () => counts.groupsIn],
    ["sent_groups", "Groups handed to subscribers.", () => counts.groupsOut],
    ["skipped_groups", "Groups that a slow subscriber did not get.", () => counts.groupsSkipped],
    ["fetches", "Groups fetched one by one.", () => counts.fetches],
  ] as const) {
    metrics.counter(`postern_live_${name}_total`, help, read);
  }
}
