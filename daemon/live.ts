import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, systemEntropy } from "#core/clock.ts";
import { watchTlsFiles } from "#edge/http/tls-files.ts";
import { dialStreamSocket } from "#edge/stream-socket/dial.ts";
import { listenStreamSocket, type StreamSocketAddress } from "#edge/stream-socket/stream-socket-listener.ts";
import { type DialOptions, dialWebSocket } from "#edge/websocket/dial.ts";
import { LiveWebSocket, type LiveWebSocketOptions } from "#edge/websocket/live-websocket.ts";
import {
  listenWebTransport,
  WebTransportUnavailableError,
} from "#edge/webtransport/webtransport-listener.ts";
import type { AccessPolicy } from "#modes/live/auth/authorize.ts";
import { KeyError, parseKeyFile, verifyingKey } from "#modes/live/auth/key.ts";
import { firstOf, type KeySource, keyFolder, oneKey } from "#modes/live/auth/key-source.ts";
import { publicAccess, publicAccessWarning } from "#modes/live/auth/public-access.ts";
import { certificateHash } from "#modes/live/certificate.ts";
import type { Grant } from "#modes/live/grant.ts";
import { Live } from "#modes/live/live.ts";
import { type Dial, Peers } from "#modes/live/peers.ts";
import { liveRoutes } from "#modes/live/routes.ts";
import type { Routes } from "#wire/http/router.ts";
import { hostAndPort, isLoopback } from "./address.ts";
import { every } from "./every.ts";
import { type Config, OptionError } from "./options.ts";
import { openPrivacyPass } from "./privacy-pass.ts";
import { revokedTokens } from "./revoked-tokens.ts";
import type { Logger, Metrics } from "./telemetry.ts";

export interface LiveParts {
  readonly live: Live;
  readonly webSocket: LiveWebSocket<Grant>;
  /** Its HTTP face. */
  readonly routes: readonly Routes[];
  /** Started once the daemon listens. */
  readonly peers: Peers;
}

/**
 * Live with its edge. Undefined where nobody could use it: no key, nothing public, no Privacy Pass. What it opens is
 * closed with `opening`; `database` is undefined where nothing is kept on disk.
 */
export async function openLive(
  config: Config,
  database: string | undefined,
  opening: AsyncDisposableStack,
  clock: Clock,
  log: Logger,
  metrics: Metrics,
  report: (error: unknown) => void,
): Promise<LiveParts | undefined> {
  const [keys, open] = [await keysOf(config), publicAccess(config)];
  if (!keys && !open && !config.privacypassEnabled && !config.privacypassServe) {
    if (config.clusterRoot.length > 0)
      throw new OptionError("--cluster-root: needs auth-key or auth-public.");
    return undefined;
  }
  const privacy = opening.use(await openPrivacyPass(config, keys, database, clock, log, report));
  const revoked = config.authRevoked === undefined ? undefined : revokedTokens(config.authRevoked);
  const policy: AccessPolicy = { keys, revoked, public: open, privacyPass: privacy.privacyPass };
  const warning = publicAccessWarning(policy.public);
  if (warning) log.warn(warning);
  const certificateHashes = async () => {
    if (config.tlsCert === undefined) return [];
    const hash = await certificateHash(await readFile(config.tlsCert, "utf8"));
    return hash === undefined ? [] : [hash];
  };
  const live = new Live({ clock, entropy: systemEntropy, options: config, policy, certificateHashes });
  opening.defer(every(config.authRecheckMs, clock, () => void live.recheck().catch(report)));
  const webSocketOptions = webSocketOptionsOf(config);
  const webSocket = new LiveWebSocket(live, webSocketOptions, clock, report);
  const dialOptions = { ...webSocketOptions, connectTimeoutMs: config.liveSetupTimeoutMs };
  const peers = new Peers({
    relay: live.relay,
    clock,
    entropy: systemEntropy,
    options: config,
    token: await tokenOf(config),
    dial: dialBy(dialOptions, clock),
    onTrouble: (what) => log.info({ what }, "a link with another relay of the cluster is down"),
  });
  metrics.gauge("postern_live_cluster_links", "Links with other relays that are up.", () => peers.linked);
  measure(live, metrics);
  return { live, webSocket, peers, routes: [liveRoutes(live), ...privacy.routes] };
}

/** The scheme of the URL says how. */
const dialBy =
  (options: DialOptions, clock: Clock): Dial =>
  (url, open) =>
    url.protocol === "tcp:" || url.protocol === "unix:"
      ? dialStreamSocket(url, options, clock, open)
      : dialWebSocket(url, options, clock, open);

/** The listeners without HTTP: TCP and Unix sockets, where they are asked for. Closed with `opening`. */
export async function listenLiveSockets(
  { live }: LiveParts,
  config: Config,
  opening: AsyncDisposableStack,
  clock: Clock,
  log: Logger,
  metrics: Metrics,
  report: (error: unknown) => void,
): Promise<void> {
  const addresses: StreamSocketAddress[] = [];
  if (config.serverTcpBind !== undefined) {
    const at = hostAndPort(config.serverTcpBind);
    if (!isLoopback(at.host)) {
      log.warn(
        "--server-tcp-bind is open to others: sessions and their tokens cross the network in the clear.",
      );
    }
    addresses.push(at);
  }
  if (config.serverUnixBind !== undefined) {
    addresses.push({ path: config.serverUnixBind, mode: Number.parseInt(config.serverUnixMode, 8) });
  }
  const options = {
    ...webSocketOptionsOf(config),
    setupTimeoutMs: config.liveSetupTimeoutMs,
    heldMaxBytes: config.liveControlMaxBytes,
    connectionsMax: config.liveSessionsMax,
  };
  for (const at of addresses) {
    const name = "path" in at ? "unix" : "tcp";
    const listener = await listenStreamSocket(live, at, options, clock, report).catch((error: Error) => {
      throw new OptionError(`--server-${name}-bind: ${error.message}.`);
    });
    opening.defer(() => listener.close());
    log.info({ transport: name, ...(listener.port > 0 ? { port: listener.port } : {}) }, "live listener");
    const help = `Connections open on the listener for live over ${name === "tcp" ? "TCP" : "a Unix socket"}.`;
    metrics.gauge(`postern_live_${name}_connections`, help, () => listener.connections());
  }
}

/** WebTransport beside the public listener, at the same port; undefined where it is off. */
export async function listenLiveWebTransport(
  { live }: LiveParts,
  config: Config,
  at: { host: string; port: number },
  clock: Clock,
  log: Logger,
  metrics: Metrics,
  report: (error: unknown) => void,
): Promise<{ close(): Promise<void> } | undefined> {
  if (config.webtransport === "off") return undefined;
  if (config.tlsCert === undefined || config.tlsKey === undefined) {
    throw new OptionError("--webtransport: needs tls-cert and tls-key.");
  }
  log.warn(
    "WebTransport runs on an old QUIC library with known weaknesses. Keep it away from the open internet.",
  );
  const [cert, key] = await Promise.all([readFile(config.tlsCert, "utf8"), readFile(config.tlsKey, "utf8")]);
  const { connectionWindowBytes, streamWindowBytes, streamsMax, idleTimeoutMs, pingIntervalMs } =
    webSocketOptionsOf(config);
  const limits = { connectionWindowBytes, streamWindowBytes, streamsMax, idleTimeoutMs, pingIntervalMs };
  try {
    const listener = await listenWebTransport(live, { ...at, cert, key, ...limits }, clock, report);
    const files = { cert: config.tlsCert, key: config.tlsKey };
    const unwatch = watchTlsFiles(files, (pair) => listener.renew(pair), report);
    metrics.gauge("postern_live_webtransport_connections", "QUIC connections.", () => listener.connections());
    return {
      async close() {
        unwatch();
        await listener.close();
      },
    };
  } catch (error) {
    if (error instanceof WebTransportUnavailableError)
      throw new OptionError(`--webtransport: ${error.message}.`);
    throw error;
  }
}

async function keysOf({ authKey, authKeyDir }: Config): Promise<KeySource | undefined> {
  const sources: KeySource[] = [];
  if (authKeyDir !== undefined) sources.push(keyFolder((name) => textOf(join(authKeyDir, name))));
  if (authKey !== undefined) {
    const text = await textOf(authKey);
    if (text === undefined) throw new OptionError("--auth-key: the file cannot be read.");
    try {
      sources.push(oneKey(await verifyingKey(parseKeyFile(text))));
    } catch (error) {
      if (error instanceof KeyError) throw new OptionError(`--auth-key: ${error.message}.`);
      throw error;
    }
  }
  return sources.length === 0 ? undefined : firstOf(...sources);
}

async function tokenOf({ clusterToken }: Config): Promise<string | undefined> {
  if (clusterToken === undefined) return undefined;
  const text = await textOf(clusterToken);
  if (text === undefined) throw new OptionError("--cluster-token: the file cannot be read.");
  return text.trim();
}

const textOf = (path: string): Promise<string | undefined> => readFile(path, "utf8").catch(() => undefined);

const webSocketOptionsOf = (config: Config): LiveWebSocketOptions => ({
  connectionWindowBytes: config.liveWindowBytes,
  streamWindowBytes: config.liveWindowBytes / 8,
  streamsMax: config.liveStreamsMax,
  recordMaxBytes: config.liveRecordMaxBytes,
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
