import { bytes, choice, duration, flag, integer, list, memory, text } from "#core/options.ts";
import { peerUrlPattern } from "./peer-list.ts";
import { tierPattern } from "./tier.ts";

/** What an operator may set for live. Names and defaults are the original relay's where it has them. */
export const liveOptions = {
  liveSessionsMax: integer({
    default: 10_000,
    atLeast: 1,
    doc: "Live sessions at once; one more is answered 503.",
  }),
  liveSubscriptionsMax: integer({
    default: 1000,
    atLeast: 1,
    doc: "Tracks that one session may watch at once.",
  }),
  liveAnnouncementsMax: integer({
    default: 1000,
    atLeast: 1,
    doc: "Broadcasts that one session may announce.",
  }),
  liveTracksMax: integer({
    default: 1000,
    atLeast: 1,
    doc: "Tracks of one broadcast that are subscribed with its publisher at once.",
  }),
  liveWatchesMax: integer({
    default: 100,
    atLeast: 1,
    doc: "Prefixes whose announcements one session may watch at once.",
  }),
  liveFetchesMax: integer({ default: 200, atLeast: 1, doc: "Requests to `/fetch` under way at once." }),
  liveEventStreamsMax: integer({
    default: 200,
    atLeast: 1,
    doc: "Event streams of `/announced` open at once; one more is answered 503.",
  }),
  liveCacheMaxBytes: memory({
    default: 512 * 2 ** 20,
    atLeast: 2 ** 20,
    doc: "Groups kept in memory, all tracks together. The latest group of each track goes last.",
    also: { toml: ["cache.capacity"], flags: ["cache-capacity"], env: ["MOQ_CACHE_CAPACITY"] },
  }),
  liveCacheMs: duration({
    default: "5s",
    atMost: "10m",
    doc: "How long a group is kept that is not its track's latest.",
    also: { toml: ["cache.duration"], flags: ["cache-duration"], env: ["MOQ_CACHE_DURATION"] },
  }),
  liveGroupMaxBytes: bytes({
    default: 32 * 2 ** 20,
    atLeast: 1024,
    doc: "Largest group; a publisher's that grows beyond is given up.",
  }),
  liveBacklogMaxBytes: bytes({
    default: 4 * 2 ** 20,
    atLeast: 64 * 2 ** 10,
    doc: "How far a subscriber may be behind before whole groups are skipped for it, the latest of a track never.",
  }),
  liveBacklogMaxGroups: integer({
    default: 1000,
    atLeast: 1,
    doc: "The same in groups, for each subscription.",
  }),
  liveTrackLingerMs: duration({
    default: "30s",
    atMost: "10m",
    doc: "How long a track stays subscribed with its publisher after its last subscriber left.",
  }),
  liveAnnounceLingerMs: duration({
    default: "5s",
    atMost: "10m",
    doc: "How long a broadcast stays announced after its publisher vanished without a word.",
    also: { toml: ["cluster.linger"], flags: ["cluster-linger"], env: ["MOQ_CLUSTER_LINGER"] },
  }),
  liveSetupTimeoutMs: duration({
    default: "10s",
    atLeast: "100ms",
    atMost: "1m",
    doc: "A session that has not said by then which version it speaks is closed.",
  }),
  liveSubscribeTimeoutMs: duration({
    default: "10s",
    atLeast: "100ms",
    atMost: "5m",
    doc: "How long a publisher may take to answer a subscription.",
  }),
  liveFetchTimeoutMs: duration({
    default: "30s",
    atLeast: "100ms",
    atMost: "10m",
    doc: "How long a request to `/fetch` waits for a group to be whole; then 504.",
  }),
  liveControlMaxBytes: bytes({
    default: 64 * 2 ** 10,
    atLeast: 1024,
    doc: "Largest message on a control stream, and most that waits to be sent on one.",
  }),
  liveMessageMaxBytes: bytes({
    default: 16 * 2 ** 20,
    atLeast: 64 * 2 ** 10,
    doc: "Largest WebSocket message of clients whose framing has no limit of its own.",
  }),
  liveRecordMaxBytes: bytes({
    default: 64 * 2 ** 10,
    atLeast: 16_382,
    doc: "Largest WebSocket message of all other clients; they are told.",
  }),
  liveWindowBytes: bytes({
    default: 16 * 2 ** 20,
    atLeast: 64 * 2 ** 10,
    doc: "What a session may send us before we grant more; an eighth of it on one stream.",
  }),
  liveStreamsMax: integer({
    default: 10_000,
    atLeast: 10,
    doc: "Streams of each kind that a session may have open.",
  }),
  livePingIntervalMs: duration({
    default: "5s",
    atLeast: "100ms",
    atMost: "10m",
    doc: "How often a live connection is pinged. Keep it below the idle timeout of any proxy in front.",
  }),
  liveDrainMs: duration({
    default: "1s",
    atMost: "10m",
    doc: "How long sessions have to leave by themselves when the daemon stops; then they are closed.",
  }),
  liveSilenceMaxMs: duration({
    default: "30s",
    atLeast: "1s",
    atMost: "1h",
    doc: "A live connection that has been silent for so long is dropped.",
  }),
  liveMoqLiteDraft: flag({
    default: false,
    doc: "Take `moq-lite-06-wip`, a draft that may still change, from clients that offer it, and offer it to other relays.",
  }),
  webWs: flag({
    default: true,
    doc: "Serve live over WebSocket on the public listener.",
    also: { env: ["MOQ_WEB_WS"], toml: ["web.ws"] },
  }),
  serverTcpBind: text({
    default: undefined,
    doc: "HOST:PORT on which other relays and local programs open live sessions over plain TCP (qmux): no TLS, so keep it on loopback or a private network.",
    pattern: /^.+:\d{1,5}$/,
    allowed: "HOST:PORT",
    also: {
      flags: ["listen-tcp-bind"],
      env: ["MOQ_SERVER_TCP_BIND", "MOQ_LISTEN_TCP_BIND"],
      toml: ["server.tcp_bind", "server.tcp.bind", "listen.tcp.bind"],
    },
  }),
  serverUnixBind: text({
    default: undefined,
    doc: "Path of a Unix socket for the same. What a relay that died left there is removed.",
    allowed: "a path",
    also: {
      flags: ["listen-unix-bind"],
      env: ["MOQ_SERVER_UNIX_BIND", "MOQ_LISTEN_UNIX_BIND"],
      toml: ["server.unix_bind", "server.unix.bind", "listen.unix.bind"],
    },
  }),
  serverUnixMode: choice({
    default: "600",
    of: ["600", "660", "666"],
    doc: "Permissions of that socket: who may open it. A session there still needs a token or a public path.",
  }),
  webtransport: choice({
    default: "auto",
    of: ["auto", "moq", "quiche", "off"],
    doc: "WebTransport (HTTP/3) on the UDP port of the public listener, with the certificate of `tls-cert` or `tls-generate`. `moq` is the optional package @moq/web-transport, which needs glibc 2.38 or later on Linux and with which clients speak moq-lite-02; `auto` takes it where it loads and there is a certificate. `quiche` is the optional package @matrixai/quic, which knows newer versions and is built on an old QUIC library with known weaknesses against floods: for tests and closed networks.",
  }),
  statsEnabled: flag({
    default: false,
    doc: "Publish what live counts as a broadcast of its own, `{stats-prefix}/node/{stats-node}`, in the original relay's form.",
    also: { env: ["MOQ_STATS_ENABLED"], toml: ["stats.enabled"] },
  }),
  statsPrefix: text({
    default: ".stats",
    doc: "Where the broadcasts of counts are. Whoever may watch there sees the names of all broadcasts.",
    allowed: "a prefix of broadcast names",
    pattern: /[^/]/,
    also: { env: ["MOQ_STATS_PREFIX"], toml: ["stats.prefix"] },
  }),
  statsIntervalMs: duration({
    default: "1s",
    atLeast: "100ms",
    atMost: "1h",
    doc: "How often the counts are published.",
    also: { env: ["MOQ_STATS_INTERVAL"], toml: ["stats.interval"] },
  }),
  statsNode: text({
    default: undefined,
    doc: "Tells the relays of a cluster apart in the names of these broadcasts; may have several parts.",
    allowed: "a name",
    also: { env: ["MOQ_STATS_NODE"], toml: ["stats.node"] },
  }),
  statsDepth: integer({
    default: 0,
    atMost: 32,
    doc: "How many leading parts of a broadcast's name get a broadcast of counts of their own, `{stats-prefix}/{parts}/node/{stats-node}`; 0 makes one for all.",
    also: { env: ["MOQ_STATS_DEPTH"], toml: ["stats.depth"] },
  }),
  statsLingerMs: duration({
    default: "5m",
    atMost: "1d",
    doc: "How long such a broadcast stays announced after its last traffic.",
    also: { env: ["MOQ_STATS_LINGER"], toml: ["stats.linger"] },
  }),
  clusterTier: text({
    default: undefined,
    doc: "Label under which the traffic of links with other relays is counted.",
    pattern: tierPattern,
    allowed: "letters, digits, _ . - and / between them",
    also: { env: ["MOQ_CLUSTER_TIER"], toml: ["cluster.tier"] },
  }),
  clusterRoot: list({
    default: [],
    doc: "Relays to connect with, as URLs (`?jwt=` for a token of its own, `?cost=N` for the price of the link: routes that cost less win, 1 is usual): broadcasts on either are seen on both. `tcp://HOST:PORT` and `unix:///PATH` speak qmux without TLS; `moqt://HOST:PORT` speaks QUIC, by way of @matrixai/quic, and needs `webtransport` set to `quiche`.",
    pattern: peerUrlPattern,
    allowed: "URLs joined by commas",
    also: {
      flags: ["cluster-connect"],
      env: ["MOQ_CLUSTER_ROOT", "MOQ_CLUSTER_CONNECT"],
      toml: ["cluster.root", "cluster.connect"],
    },
  }),
  websocketDelayMs: duration({
    default: "200ms",
    atMost: "1m",
    doc: "How long a connection with another relay by WebTransport may take before WebSocket is tried beside it; the first to be there is taken. WebTransport is tried for `http` and `https` URLs where `webtransport` is `auto` or `moq` and its library loads.",
    also: {
      flags: ["client-websocket-delay"],
      env: ["MOQ_CLIENT_WEBSOCKET_DELAY"],
      toml: ["client.websocket.delay"],
    },
  }),
  tlsDisableVerify: flag({
    default: false,
    doc: "Take any certificate that other relays show. For development.",
    also: {
      flags: ["client-tls-disable-verify", "connect-tls-insecure"],
      env: ["MOQ_CLIENT_TLS_DISABLE_VERIFY", "MOQ_CONNECT_TLS_INSECURE"],
      toml: ["client.tls.disable_verify"],
    },
  }),
  clusterConnectApi: text({
    default: undefined,
    doc: "URL or file of a JSON array of further relays to connect with: URLs, or objects with `url`, `cost` and `token`. Looked at every 30 s, a URL no sooner than its `Cache-Control` says; a list that cannot be had or read changes nothing. It is asked with `?node=` and the value of `cluster-node`.",
    allowed: "a URL or a file name",
    also: { env: ["MOQ_CLUSTER_CONNECT_API"], toml: ["cluster.connect_api"] },
  }),
  clusterMesh: flag({
    default: true,
    doc: "Connect with the relays that others of the cluster tell of, and tell them of `cluster-node`. Without it, only those named here are connected with.",
    also: { env: ["MOQ_CLUSTER_MESH"], toml: ["cluster.mesh"] },
  }),
  clusterId: integer({
    default: 0,
    atMost: Number.MAX_SAFE_INTEGER,
    doc: "Number that stands for this relay in the way of a broadcast; no two of a cluster have the same. 0: another one by chance at each start.",
    also: { env: ["MOQ_CLUSTER_ID"], toml: ["cluster.id"] },
  }),
  clusterNode: text({
    default: undefined,
    doc: "URL at which the other relays of the cluster reach this one. It is told to them, and they connect with each other directly.",
    pattern: /^(https?|wss?):\/\/\S+$/,
    allowed: "a URL",
    also: {
      flags: ["cluster-advertise"],
      env: ["MOQ_CLUSTER_NODE", "MOQ_CLUSTER_ADVERTISE"],
      toml: ["cluster.node", "cluster.advertise"],
    },
  }),
  clusterToken: text({
    default: undefined,
    doc: "File with the token shown to the other relays (`cluster: true` in its claims).",
    allowed: "a file name",
    also: { env: ["MOQ_CLUSTER_TOKEN"], toml: ["cluster.token"] },
  }),
  clusterRetryMaxMs: duration({
    default: "10s",
    atLeast: "100ms",
    atMost: "1h",
    doc: "Longest wait before a relay of the cluster that cannot be reached is tried again; the first is a tenth of it.",
  }),
  clusterNodesMax: integer({
    default: 100,
    atLeast: 1,
    doc: "Relays to connect with at most, those learned of from others included.",
  }),
};
