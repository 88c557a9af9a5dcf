import { resolve } from "node:path";
import { systemClock } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import { AcceptHealth } from "#edge/http/accept-health.ts";
import { ClientAddresses } from "#edge/http/client-address.ts";
import { withCors } from "#edge/http/cors.ts";
import { type Listener, listen } from "#edge/http/listener.ts";
import type { ListenAt, WebSocketUpgrades } from "#edge/http/listener-setup.ts";
import { type Gate, rateLimitGate } from "#edge/http/rate-limit.ts";
import { isMailboxPath } from "#modes/mailbox/routes.ts";
import { Rendezvous } from "#modes/rendezvous/rendezvous.ts";
import { rendezvousRoutes } from "#modes/rendezvous/routes.ts";
import { openMemoryRendezvousStore } from "#store/memory/rendezvous-store.ts";
import { openSqliteRendezvousStore } from "#store/sqlite/rendezvous-store.ts";
import type { Handler, RelayRequest } from "#wire/http/request.ts";
import { emptyReply, type Match, type Routes } from "#wire/http/router.ts";
import { buildInfo } from "./build-info.ts";
import { openCertificates, readClientRoots } from "./certificates.ts";
import { composeMailbox, type MailboxParts } from "./compose-mailbox.ts";
import { hostAndPort, publicAddresses } from "./listen-addresses.ts";
import { type LiveParts, openLive } from "./live.ts";
import { startPeers } from "./live-dial.ts";
import { measureAccepts } from "./live-metrics.ts";
import { liveOps } from "./live-ops.ts";
import { listenLiveSockets } from "./live-sockets.ts";
import { listenLiveWebTransport } from "./live-webtransport.ts";
import { openApiRoutes } from "./openapi.ts";
import { opsHandler } from "./ops.ts";
import type { Config } from "./options.ts";
import { pageParts } from "./page.ts";
import { type Logger, Metrics } from "./telemetry.ts";

/** Expired entries are already unreadable; sweeping only gives their room back. */
const sweepEveryMs = 15_000;

export interface Daemon {
  /** Where clients reach it. */
  readonly url: string;
  /** Where the operations listener is; undefined when it is off. */
  readonly opsUrl: string | undefined;
  /** Reads certificates again. */
  reload(): void;
  /** Answers what is under way, closes the store. At `shutdownTimeoutMs` it cuts what is left. */
  close(): Promise<void>;
}

/** The whole daemon on one screen: options -> store -> modes -> edges. */
export async function compose(config: Config, log: Logger, env: NodeJS.ProcessEnv = {}): Promise<Daemon> {
  const clock = systemClock();
  const metrics = new Metrics();
  const report = (error: unknown) => {
    metrics.failed();
    log.error({ err: describe(error) }, "something failed on our side");
  };
  let ready = false;

  await using starting = new AsyncDisposableStack();
  const database = databasePath(config, env);
  const inMemory = config.persistDb === "memory";
  const kept = inMemory ? undefined : database;
  const certificates = await openCertificates(config, kept, clock, report);
  if (certificates) starting.use(certificates);
  const store = starting.use(
    inMemory ? openMemoryRendezvousStore(config) : await openSqliteRendezvousStore(database, config, clock),
  );
  const rendezvous = new Rendezvous(config, store, clock, report);
  const stopSweeping = rendezvous.every(sweepEveryMs, () => void rendezvous.sweep().catch(report));
  starting.defer(stopSweeping);

  metrics.gauge(
    "postern_rendezvous_entries",
    "Messages kept, acknowledged ones included.",
    () => store.usage().entries,
  );
  metrics.gauge("postern_rendezvous_bytes", "Bytes of messages kept.", () => store.usage().bytes);
  metrics.gauge("postern_rendezvous_waiters", "Requests that wait.", () => rendezvous.waiters);

  const routes: Routes[] = [];
  const everything = router(routes, metrics, log);
  const mailbox = await composeMailbox({
    config,
    databasePath: database,
    clock,
    metrics,
    log,
    report,
    handler: everything,
    opened: starting,
  });
  const live = await openLive(config, kept, certificates, starting, clock, log, metrics, report);
  const page = pageParts(config, live !== undefined);
  routes.push(...mailbox.routes, ...page, rendezvousRoutes(rendezvous), openApiRoutes());
  routes.push(...(live?.routes ?? []));

  const policy = config.corsAllowAll ? ["mirror"] : config.cors;
  const handler = withCors(policy, router(routes, metrics, log, rateLimitGate(config, clock)));
  const shared = { limits: config, addresses: new ClientAddresses(config.trustedProxies), report };
  const accepts: AcceptHealth[] = [];
  const acceptsOf = (name: string) => {
    const health = new AcceptHealth(name, () => clock.now());
    accepts.push(health);
    return health;
  };
  const clientRoots = await readClientRoots(config);
  const listeners: Listener[] = [];
  for (const { at, tls } of publicAddresses(config, env)) {
    const listener = await listen({
      ...shared,
      at,
      handler,
      health: acceptsOf(listeners.length === 0 ? "web" : `web-${listeners.length + 1}`),
      upgrades: upgradesOf(config, mailbox, live),
      ...(tls ? { tls: certificates!, ...(clientRoots && { clientRoots }) } : {}),
    });
    starting.defer(() => listener.close(0));
    listeners.push(listener);
  }
  const { url, at } = listeners[0]!;
  for (const further of listeners.slice(1)) log.info({ url: further.url }, "further public listener");
  if (live) await listenLiveSockets(live, config, { clock, log, metrics, report }, starting);
  if (live) startPeers(live.peers, config, starting, clock, log);
  if (live) {
    await listenLiveWebTransport(live, config, at, certificates, { clock, log, metrics, report }, starting);
  }
  const sum = (count: (listener: Listener) => number) => () =>
    listeners.reduce((total, listener) => total + count(listener), 0);
  const connections = sum((listener) => listener.connections());
  metrics.gauge("postern_connections", "Connections open on the public listeners.", connections);
  metrics.gauge("relay_connections_active", "Connections open on the public listeners.", connections);
  metrics.counter(
    "relay_connections_total",
    "Connections accepted.",
    sum((listener) => listener.accepted()),
  );
  metrics.counter(
    "relay_connection_errors_total",
    "Connections refused for want of room.",
    sum((listener) => listener.dropped()),
  );
  const ops = await listenForOps(config, (at) =>
    listen({
      ...shared,
      at,
      health: acceptsOf("internal"),
      handler: opsHandler({
        metrics,
        build: buildInfo(),
        isReady: () => ready,
        token: config.metricsToken,
        publicKey: mailbox.identity?.publicKey,
        live: live && liveOps(live, () => (ready = false)),
      }),
    }),
  );
  measureAccepts(accepts, metrics);
  if (ops) log.info({ url: ops.url }, "operations listener");

  ready = true;
  const running = starting.move();
  return {
    url,
    opsUrl: ops?.url,
    reload: () => certificates?.reload(),
    async close() {
      ready = false;
      rendezvous.drain();
      mailbox.drain();
      live?.peers.close();
      const drained = live?.live.drain();
      await Promise.all(listeners.map((listener) => listener.close(config.shutdownTimeoutMs)));
      await drained;
      await ops?.close(0);
      await running.disposeAsync();
    },
  };
}

/**
 * Tries each part of the daemon in turn; counts and times what was answered, under the route's name alone. The gate, if
 * there is one, stands before every part.
 */
function router(parts: readonly Routes[], metrics: Metrics, log: Logger, gate?: Gate): Handler {
  const find = (request: RelayRequest): Match => {
    for (const routes of parts) {
      const match = routes(request);
      if (match) return match;
    }
    return { route: "none", respond: async () => emptyReply(404) };
  };
  return async (request) => {
    const begin = performance.now();
    metrics.began();
    const match = find(request);
    let status = 500;
    let response: Response;
    let seconds: number;
    try {
      response = await (gate ? gate(request, match.respond) : match.respond());
      status = response.status;
    } finally {
      seconds = (performance.now() - begin) / 1000;
      metrics.answered(match.route, request.method, status, seconds);
    }
    if (log.isLevelEnabled("debug")) {
      const { route } = match;
      log.debug({ route, method: request.method, status, seconds }, "answered");
    }
    return response;
  };
}

/** Other relays first, then live, which has every path but the mailbox's. */
function upgradesOf(
  config: Config,
  { upgrades: peers }: MailboxParts,
  live: LiveParts | undefined,
): WebSocketUpgrades {
  const isLive = (target: string) =>
    live !== undefined && config.webWs && !(config.mailbox && isMailboxPath(target.split("?", 1)[0]!));
  return {
    owns: (target) => peers?.owns(target) || isLive(target),
    take(request, socket, head) {
      if (peers?.owns(request.url!)) peers.take(request, socket, head);
      else void live?.webSocket.upgrade(request, socket, head);
    },
  };
}

/** A service manager's state directory, else where the daemon was started. */
function databasePath(config: Config, env: NodeJS.ProcessEnv): string {
  return resolve(env.STATE_DIRECTORY ?? ".", config.persistDb!);
}

async function listenForOps(
  { opsListen }: Config,
  open: (at: ListenAt) => Promise<Listener>,
): Promise<Listener | undefined> {
  if (opsListen === "off") return undefined;
  if (opsListen !== "auto") {
    return open(hostAndPort(opsListen!));
  }
  const host = "127.0.0.1";
  return open({ host, port: 8081 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "EADDRINUSE") return open({ host, port: 0 });
    throw error;
  });
}

/** What a log may know of a failure: our own code and the failure behind it, never a request's content. */
function describe(error: unknown): Record<string, unknown> {
  if (error instanceof RelayError)
    return { code: error.code, cause: error.cause instanceof Error ? error.cause.message : undefined };
  return error instanceof Error
    ? { name: error.name, message: error.message, stack: error.stack }
    : { name: "unknown" };
}
