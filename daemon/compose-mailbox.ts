import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { type Clock, systemEntropy } from "#core/clock.ts";
import type { WebSocketUpgrades } from "#edge/http/listener-setup.ts";
import { Gateway } from "#edge/ohttp/gateway.ts";
import { type InnerApi, jsonGatewayRoutes } from "#edge/ohttp/json-gateway.ts";
import { KeyRing, type SeedStore } from "#edge/ohttp/key-ring.ts";
import { ohttpRelayRoutes } from "#edge/ohttp/relay.ts";
import {
  type SpentCapsules,
  SpentCapsulesInMemory,
  SpentCapsulesOnDisk,
} from "#edge/ohttp/spent-capsules.ts";
import { standardGatewayRoutes } from "#edge/ohttp/standard-gateway.ts";
import { Hints } from "#modes/mailbox/federation/hints.ts";
import type { RelayIdentity } from "#modes/mailbox/federation/relay-identity.ts";
import { Mailbox } from "#modes/mailbox/mailbox.ts";
import { parseInner, performInner } from "#modes/mailbox/oblivious.ts";
import { mailboxRoutes, probeRoutes, webSocketRefusalRoutes } from "#modes/mailbox/routes.ts";
import { versionPolicyOf } from "#modes/mailbox/version-policy.ts";
import type { MailboxStore } from "#store/contract/mailbox-store.ts";
import { openMemoryMailboxStore } from "#store/memory/mailbox-store.ts";
import { openSqliteMailboxStore } from "#store/sqlite/mailbox-store.ts";
import type { Handler } from "#wire/http/request.ts";
import type { Routes } from "#wire/http/router.ts";
import { composeFederation } from "./compose-federation.ts";
import { openIdentity } from "./identity-files.ts";
import { mailboxMetrics } from "./mailbox-metrics.ts";
import { type Config, OptionError } from "./options.ts";
import type { Logger, Metrics } from "./telemetry.ts";

export interface MailboxParts {
  readonly routes: readonly Routes[];
  /** Who this relay is towards others; undefined without the mailbox. */
  readonly identity?: RelayIdentity | undefined;
  /** Who takes the calls of other relays; undefined without federation. */
  readonly upgrades?: WebSocketUpgrades | undefined;
  /** Answers whoever waits, before the listener closes. */
  drain(): void;
}

export interface MailboxSetup {
  readonly config: Config;
  /** The rendezvous database; `mailbox.db` lies beside it unless there is a data directory. */
  readonly databasePath: string;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly report: (error: unknown) => void;
  /** All that the daemon serves: what the standard OHTTP gateway opens the door to. */
  readonly handler: Handler;
  /** Closes, in reverse order, what is opened here. */
  readonly opened: AsyncDisposableStack;
}

/** Mailbox and OHTTP: one store, the mode, both gateways, and the OHTTP relay where a target is set. */
export async function composeMailbox(setup: MailboxSetup): Promise<MailboxParts> {
  const { config, clock, metrics, log, report, handler, opened } = setup;
  if (!config.mailbox && !config.ohttp) {
    return { routes: relayRoutes(config, clock, undefined, report), drain() {} };
  }
  const store = opened.use(await openStore(setup));
  const keys = new KeyRing({
    clock,
    entropy: systemEntropy,
    windowMs: config.ohttpKeyWindowSecs * 1000 || config.ohttpKeyWindowMs,
    seeds: seedsIn(store, clock),
    carriedOver: carriedOverSeed(config.ohttpKeyFile),
  });
  const gateway = config.ohttp
    ? new Gateway({ ...config, keys, entropy: systemEntropy, spent: openSpentCapsules(setup), report })
    : undefined;

  const routes: Routes[] = relayRoutes(config, clock, gateway, report);
  const identity = config.mailbox ? openIdentity(config, folderOf(setup)) : undefined;
  const hints = identity && config.federation ? new Hints(store, clock, identity) : undefined;
  const mailbox = config.mailbox ? await Mailbox.open(config, store, clock, systemEntropy, hints) : undefined;
  if (mailbox) {
    if (versionPolicyOf(config).contradictory) {
      log.warn("version-warn is below version-min: no client version is refused");
    }
    opened.defer(mailbox.sweepRegularly(report));
    routes.push(
      webSocketRefusalRoutes,
      probeRoutes,
      jsonGatewayRoutes(gateway, innerApiOf(mailbox), systemEntropy),
      mailboxRoutes(mailbox),
    );
    mailboxMetrics(mailbox, store, metrics);
  }
  if (gateway) {
    routes.push(standardGatewayRoutes(gateway, handler, 2 * config.maxMessageSizeBytes));
    metrics.counter("postern_ohttp_opened_total", "OHTTP requests opened.", () => gateway.opened);
    metrics.counter("postern_ohttp_refused_total", "OHTTP requests not opened.", () => gateway.refused);
  }
  const federation =
    mailbox && hints && identity
      ? composeFederation({ ...setup, store, mailbox, hints, identity })
      : undefined;
  return {
    routes,
    identity,
    upgrades: federation?.upgrades,
    drain() {
      mailbox?.drain();
      federation?.drain();
    },
  };
}

/** Before the mailbox's own: without a gateway of ours its OHTTP paths are the relay's. */
function relayRoutes(
  config: Config,
  clock: Clock,
  gateway: Gateway | undefined,
  report: (error: unknown) => void,
): Routes[] {
  const target = config.ohttpRelayTarget;
  if (target === undefined) return [];
  const setup = {
    target,
    maxBytes: config.ohttpRelayMaxBytes,
    maxPassing: config.ohttpRelayMaxPassing,
    timeoutMs: config.ohttpRelayTimeoutMs,
    clock,
    ownKeys: async () => (await gateway?.publicKeys()) ?? [],
    fetch: globalThis.fetch,
    report,
  };
  return [ohttpRelayRoutes(setup, gateway === undefined), probeRoutes];
}

/** Where the mailbox mode keeps its files; undefined where it keeps none. */
function folderOf({ config, databasePath }: MailboxSetup): string | undefined {
  if (config.persistDb === "memory" || config.mailboxStorage === "memory") return undefined;
  return config.dataDir === undefined ? dirname(databasePath) : resolve(config.dataDir);
}

/** In memory where the keys are too: what was sealed to them cannot be opened after a restart. */
function openSpentCapsules(setup: MailboxSetup): SpentCapsules {
  const { config, clock, report, opened } = setup;
  const folder = folderOf(setup);
  if (folder === undefined) return new SpentCapsulesInMemory(config.ohttpReplayMemory);
  const path = join(folder, "ohttp-spent");
  return opened.use(new SpentCapsulesOnDisk(path, config.ohttpReplayMemory, clock, report));
}

async function openStore(setup: MailboxSetup): Promise<MailboxStore> {
  const { config } = setup;
  const limits = {
    maxBlobsPerMailbox: config.maxMailboxBlobs,
    maxBytesPerMailbox: config.maxMailboxSizeBytes,
    maxStorageBytes: config.maxStorageBytes,
    blobTtlMs: config.blobTtlMs,
  };
  const folder = folderOf(setup);
  if (folder === undefined) return openMemoryMailboxStore(limits);
  return openSqliteMailboxStore(
    {
      path: join(folder, "mailbox.db"),
      findById: config.ackMatch === "id",
      recentMax: config.mailboxRecentMax,
    },
    limits,
  );
}

/** Seeds are settings of the store, which overwrites what it deletes. */
function seedsIn(store: MailboxStore, clock: Clock): SeedStore {
  const prefix = "ohttp seed ";
  return {
    windows: () =>
      store
        .listRecords("setting", clock.now())
        .filter(({ key }) => key.startsWith(prefix))
        .map(({ key }) => Number(key.slice(prefix.length))),
    get: (window) => store.getRecord("setting", `${prefix}${window}`, clock.now())?.value,
    async put(window, seed) {
      await store.putRecord(
        "setting",
        `${prefix}${window}`,
        { value: seed, expiresAt: undefined },
        clock.now(),
      );
    },
    async remove(window) {
      await store.removeRecord("setting", `${prefix}${window}`, clock.now());
    },
  };
}

/** Another relay's key; a file that is not there yet holds none. */
function carriedOverSeed(path: string | undefined): Uint8Array | undefined {
  if (path === undefined) return undefined;
  let seed: Uint8Array;
  try {
    seed = readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  if (seed.byteLength !== 32) throw new OptionError("--ohttp-key-file: the file must hold 32 bytes.");
  return seed;
}

function innerApiOf(mailbox: Mailbox): InnerApi<ReturnType<typeof parseInner>> {
  return {
    parse: parseInner,
    perform: (inner, signal) => performInner(inner, mailbox, signal),
    messageMaxBytes: mailbox.config.maxMessageSizeBytes,
  };
}
