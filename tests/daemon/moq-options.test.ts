import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { flagName } from "#core/options.ts";
import { foreignOptions } from "#daemon/foreign-options.ts";
import { allOptions, collectOptions, OptionError, type OptionKey } from "#daemon/options.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";

/** An option of ours, or what becomes of one that is none here. */
type Outcome = OptionKey | "passed over" | "refused" | "harmless";

/**
 * Every option of moq-relay as its files, command line and environment name it, with a value for it, and
 * what comes of it.
 */
const table = `
auth.key                        auth-key                      MOQ_AUTH_KEY                      key.jwk              authKey
auth.key_dir                    auth-key-dir                  MOQ_AUTH_KEY_DIR                  keys                 authKeyDir
auth.api                        auth-api                      MOQ_AUTH_API                      https://a.example/   authApi
auth.domain                     auth-domain                   MOQ_AUTH_DOMAIN                   cdn.example          authDomain
auth.mtls_tier                  auth-mtls-tier                MOQ_AUTH_MTLS_TIER                region/a             authMtlsTier
auth.public                     auth-public                   MOQ_AUTH_PUBLIC                   anon                 authPublic
auth.public.subscribe           auth-public-subscribe         MOQ_AUTH_PUBLIC_SUBSCRIBE         anon                 authPublicSubscribe
auth.public.publish             auth-public-publish           MOQ_AUTH_PUBLIC_PUBLISH           anon                 authPublicPublish
auth.public.api                 auth-public-api               MOQ_AUTH_PUBLIC_API               https://a.example/   authPublicApi
auth.tls.root                   auth-tls-root                 MOQ_AUTH_TLS_ROOT                 ca.pem               refused
auth.tls.cert                   auth-tls-cert                 MOQ_AUTH_TLS_CERT                 c.pem                refused
auth.tls.key                    auth-tls-key                  MOQ_AUTH_TLS_KEY                  k.pem                refused
auth.tls.disable_verify         auth-tls-disable-verify       MOQ_AUTH_TLS_DISABLE_VERIFY       true                 refused
auth.url                        auth-url                      MOQ_AUTH_URL                      https://a.example/   refused
cache.capacity                  cache-capacity                MOQ_CACHE_CAPACITY                75%                  liveCacheMaxBytes
cache.headroom                  cache-headroom                MOQ_CACHE_HEADROOM                2GiB                 passed over
cache.duration                  cache-duration                MOQ_CACHE_DURATION                5s                   liveCacheMs
client.backend                  client-backend                MOQ_CLIENT_BACKEND                quinn                passed over
client.bind                     client-bind                   MOQ_CLIENT_BIND                   [::]:0               passed over
client.connect                  client-connect                MOQ_CLIENT_CONNECT                https://a.example/   refused
client.connect_timeout          client-connect-timeout        MOQ_CLIENT_CONNECT_TIMEOUT        30s                  passed over
client.failover_delay           client-failover-delay         MOQ_CLIENT_FAILOVER_DELAY         250ms                passed over
client.resolution_delay         client-resolution-delay       MOQ_CLIENT_RESOLUTION_DELAY       50ms                 passed over
client.quic.congestion_control  client-quic-congestion-control MOQ_CLIENT_QUIC_CONGESTION_CONTROL loss               passed over
client.quic.gso                 client-quic-gso               MOQ_CLIENT_QUIC_GSO               true                 passed over
client.quic.idle_timeout        client-quic-idle-timeout      MOQ_CLIENT_QUIC_IDLE_TIMEOUT      30s                  passed over
client.quic.keep_alive          client-quic-keep-alive        MOQ_CLIENT_QUIC_KEEP_ALIVE        5s                   passed over
client.quic.max_streams         client-quic-max-streams       MOQ_CLIENT_QUIC_MAX_STREAMS       1024                 passed over
client.quic.mtu_discovery       client-quic-mtu-discovery     MOQ_CLIENT_QUIC_MTU_DISCOVERY     true                 passed over
client.quic.qlog                client-quic-qlog              MOQ_CLIENT_QUIC_QLOG              logs                 passed over
client.tls.cert                 client-tls-cert               MOQ_CLIENT_TLS_CERT               c.pem                refused
client.tls.key                  client-tls-key                MOQ_CLIENT_TLS_KEY                k.pem                refused
client.tls.root                 tls-root                      MOQ_CLIENT_TLS_ROOT               ca.pem               refused
client.tls.system_roots         tls-system-roots              MOQ_CLIENT_TLS_SYSTEM_ROOTS       false                refused
client.tls.fingerprint          client-tls-fingerprint        MOQ_CLIENT_TLS_FINGERPRINT        ab                   refused
client.tls.host_name            client-tls-host-name          MOQ_CLIENT_TLS_HOST_NAME          a.example            refused
client.tls.disable_verify       tls-disable-verify            MOQ_CLIENT_TLS_DISABLE_VERIFY     true                 tlsDisableVerify
client.tls.disable_verify       client-tls-disable-verify     MOQ_CLIENT_TLS_DISABLE_VERIFY     true                 tlsDisableVerify
client.version                  client-version                MOQ_CLIENT_VERSION                moq-lite-04          passed over
client.websocket.delay          websocket-delay               MOQ_CLIENT_WEBSOCKET_DELAY        200ms                websocketDelayMs
client.websocket.enabled        websocket-enabled             MOQ_CLIENT_WEBSOCKET_ENABLED      true                 harmless
cluster.connect                 cluster-connect               MOQ_CLUSTER_CONNECT               https://a.example/   clusterRoot
cluster.connect_api             cluster-connect-api           MOQ_CLUSTER_CONNECT_API           https://a.example/   clusterConnectApi
cluster.root                    cluster-root                  MOQ_CLUSTER_ROOT                  https://a.example/   clusterRoot
cluster.node                    cluster-node                  MOQ_CLUSTER_NODE                  https://a.example/   clusterNode
cluster.advertise               cluster-advertise             MOQ_CLUSTER_ADVERTISE             https://a.example/   clusterNode
cluster.token                   cluster-token                 MOQ_CLUSTER_TOKEN                 token.jwt            clusterToken
cluster.prefix                  cluster-prefix                MOQ_CLUSTER_PREFIX                elsewhere            refused
cluster.prefix                  cluster-prefix                MOQ_CLUSTER_PREFIX                internal/origins     harmless
cluster.id                      cluster-id                    MOQ_CLUSTER_ID                    7                    clusterId
cluster.linger                  cluster-linger                MOQ_CLUSTER_LINGER                5s                   liveAnnounceLingerMs
cluster.max_hops                cluster-max-hops              MOQ_CLUSTER_MAX_HOPS              16                   passed over
cluster.mesh                    cluster-mesh                  MOQ_CLUSTER_MESH                  true                 clusterMesh
cluster.tier                    cluster-tier                  MOQ_CLUSTER_TIER                  peers                clusterTier
internal.listen                 internal-listen               MOQ_INTERNAL_LISTEN               127.0.0.1:9101       opsListen
iroh.enabled                    iroh-enabled                  MOQ_IROH_ENABLED                  true                 refused
iroh.enabled                    iroh-enabled                  MOQ_IROH_ENABLED                  false                harmless
iroh.secret                     iroh-secret                   MOQ_IROH_SECRET                   x                    passed over
iroh.bind_v4                    iroh-bind-v4                  MOQ_IROH_BIND_V4                  0.0.0.0:0            passed over
iroh.bind_v6                    iroh-bind-v6                  MOQ_IROH_BIND_V6                  [::]:0               passed over
iroh.disable_relay              iroh-disable-relay            MOQ_IROH_DISABLE_RELAY            true                 passed over
log.level                       log-level                     MOQ_LOG_LEVEL                     info                 logLevel
privacypass.enabled             pp-enabled                    MOQ_PP_ENABLED                    true                 privacypassEnabled
privacypass.issuer              pp-issuer                     MOQ_PP_ISSUER                     issuer.example       privacypassIssuer
privacypass.issuer_key          pp-issuer-key                 MOQ_PP_ISSUER_KEY                 key.pem              privacypassIssuerKey
server.backend                  server-backend                MOQ_SERVER_BACKEND                quinn                passed over
server.bind                     server-bind                   MOQ_SERVER_BIND                   127.0.0.1:4443       listen
server.listen                   listen                        MOQ_LISTEN                        127.0.0.1:4443       listen
server.tls.cert                 tls-cert                      MOQ_SERVER_TLS_CERT               c.pem                tlsCert
server.tls.key                  tls-key                       MOQ_SERVER_TLS_KEY                k.pem                tlsKey
server.tls.generate             tls-generate                  MOQ_SERVER_TLS_GENERATE           localhost            tlsGenerate
server.preferred_v4             server-preferred-v4           MOQ_SERVER_PREFERRED_V4           192.0.2.1:443        passed over
server.preferred_v6             server-preferred-v6           MOQ_SERVER_PREFERRED_V6           [::1]:443            passed over
server.quic_lb_id               server-quic-lb-id             MOQ_SERVER_QUIC_LB_ID             ab12                 passed over
server.quic_lb_nonce            server-quic-lb-nonce          MOQ_SERVER_QUIC_LB_NONCE          4                    passed over
server.quic.congestion_control  server-quic-congestion-control MOQ_SERVER_QUIC_CONGESTION_CONTROL delay              passed over
server.quic.gso                 server-quic-gso               MOQ_SERVER_QUIC_GSO               false                passed over
server.quic.idle_timeout        server-quic-idle-timeout      MOQ_SERVER_QUIC_IDLE_TIMEOUT      30s                  passed over
server.quic.keep_alive          server-quic-keep-alive        MOQ_SERVER_QUIC_KEEP_ALIVE        5s                   passed over
server.quic.max_streams         server-quic-max-streams       MOQ_SERVER_QUIC_MAX_STREAMS       10000                passed over
server.quic.mtu_discovery       server-quic-mtu-discovery     MOQ_SERVER_QUIC_MTU_DISCOVERY     true                 passed over
server.quic.qlog                server-quic-qlog              MOQ_SERVER_QUIC_QLOG              logs                 passed over
server.tls.root                 server-tls-root               MOQ_SERVER_TLS_ROOT               ca.pem               serverTlsRoot
server.unix.allow.uid           server-unix-allow-uid         MOQ_SERVER_UNIX_ALLOW_UID         1000                 refused
server.unix.allow.gid           server-unix-allow-gid         MOQ_SERVER_UNIX_ALLOW_GID         1000                 refused
server.unix.allow.pid           server-unix-allow-pid         MOQ_SERVER_UNIX_ALLOW_PID         1                    refused
server.version                  server-version                MOQ_SERVER_VERSION                moq-lite-05          passed over
stats.enabled                   stats-enabled                 MOQ_STATS_ENABLED                 true                 statsEnabled
stats.prefix                    stats-prefix                  MOQ_STATS_PREFIX                  .counts              statsPrefix
stats.interval                  stats-interval                MOQ_STATS_INTERVAL                5                    statsIntervalMs
stats.node                      stats-node                    MOQ_STATS_NODE                    fra/1                statsNode
stats.depth                     stats-depth                   MOQ_STATS_DEPTH                   1                    statsDepth
stats.linger                    stats-linger                  MOQ_STATS_LINGER                  1m                   statsLingerMs
web.http.listen                 web-http-listen               MOQ_WEB_HTTP_LISTEN               127.0.0.1:4443       webHttpListen
web.https.listen                web-https-listen              MOQ_WEB_HTTPS_LISTEN              127.0.0.1:4444       webHttpsListen
web.https.cert                  web-https-cert                MOQ_WEB_HTTPS_CERT                c.pem                refused
web.https.key                   web-https-key                 MOQ_WEB_HTTPS_KEY                 k.pem                refused
web.https.root                  web-https-root                MOQ_WEB_HTTPS_ROOT                ca.pem               serverTlsRoot
web.ws                          web-ws                        MOQ_WEB_WS                        false                webWs
`;

interface Row {
  readonly toml: string;
  readonly flag: string;
  readonly variable: string;
  readonly value: string;
  readonly outcome: Outcome;
}

const rows = table
  .trim()
  .split("\n")
  .map((line): Row => {
    const [toml, flag, variable, value, ...outcome] = line.split(/\s+/) as [
      string,
      string,
      string,
      string,
      string,
    ];
    return { toml, flag, variable, value, outcome: outcome.join(" ") as Outcome };
  });

/** What comes of giving an option in one of the three ways. */
function comeOf(row: Row, collect: () => ReturnType<typeof collectOptions>): Outcome {
  let collected: ReturnType<typeof collectOptions>;
  try {
    collected = collect();
  } catch (error) {
    assert.ok(error instanceof OptionError, String(error));
    assert.doesNotMatch(error.message, /no such/);
    return "refused";
  }
  const { origins, notices } = collected;
  const set = (Object.keys(origins) as OptionKey[]).filter(
    (key) => origins[key] !== "default" && key !== "config",
  );
  assert.ok(set.length + notices.length <= 1, `${row.flag}: ${set} ${notices}`);
  return set[0] ?? (notices.length > 0 ? "passed over" : "harmless");
}

describe("options of moq-relay", () => {
  for (const row of rows) {
    const { toml, flag, variable, value, outcome } = row;
    test(`${toml} = ${value}: ${outcome}, in a file, on the command line and in a variable`, () => {
      using folder = temporaryFolder();
      const file = folder.file("relay.toml");
      const [table = "", ...key] = toml.split(".");
      const literal = /^(true|false|\d+)$/.test(value) ? value : JSON.stringify(value);
      writeFileSync(file, `[${table}]\n${key.join(".")} = ${literal}\n`);
      assert.equal(
        comeOf(row, () => collectOptions([file], {})),
        outcome,
      );
      assert.equal(
        comeOf(row, () => collectOptions([`--${flag}=${value}`], {})),
        outcome,
      );
      assert.equal(
        comeOf(row, () => collectOptions([], { [variable]: value })),
        outcome,
      );
    });
  }

  test("that are none here are all in this list, and none of them is an option too", () => {
    const ours = Object.entries(allOptions).flatMap(([key, spec]) => [
      flagName(key),
      ...(spec.also?.flags ?? []),
    ]);
    const listed = new Set(rows.map(({ variable }) => variable));
    for (const [key, { also }] of Object.entries(foreignOptions)) {
      for (const flag of [flagName(key), ...also!.flags!])
        assert.ok(!ours.includes(flag), `${flag} is an option now: take it out of daemon/foreign-options.ts`);
      const variable = also!.env![0]!;
      // Those of the mailbox relay are tried in daemon/options.test.ts.
      if (variable.startsWith("MOQ_")) assert.ok(listed.has(variable), `${variable} is tried`);
    }
  });

  test("say what to do instead", () => {
    const { notices } = collectOptions(["--cache-headroom", "2GiB"], { MOQ_CLIENT_BIND: "[::]:0" });
    assert.deepEqual(notices, [
      "MOQ_CLIENT_BIND: dials go out from whatever address the system chooses.",
      "--cache-headroom: cache-capacity is a hard bound; set it low enough, such as 50%.",
    ]);
    assert.throws(
      () => collectOptions(["--tls-root", "ca.pem"], {}),
      /--tls-root: "ca\.pem" is not possible; .*NODE_EXTRA_CA_CERTS\.$/,
    );
  });
});
