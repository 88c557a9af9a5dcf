import { Gateway } from "#edge/ohttp/gateway.ts";
import { jsonGatewayRoutes } from "#edge/ohttp/json-gateway.ts";
import { KeyRing, memorySeeds, type SeedStore } from "#edge/ohttp/key-ring.ts";
import { SpentCapsulesInMemory } from "#edge/ohttp/spent-capsules.ts";
import { standardGatewayRoutes } from "#edge/ohttp/standard-gateway.ts";
import { Mailbox, type MailboxConfig } from "#modes/mailbox/mailbox.ts";
import { parseInner, performInner } from "#modes/mailbox/oblivious.ts";
import { mailboxOptions } from "#modes/mailbox/options.ts";
import { mailboxRoutes } from "#modes/mailbox/routes.ts";
import type { MailboxStore } from "#store/contract/mailbox-store.ts";
import { openMemoryMailboxStore } from "#store/memory/mailbox-store.ts";
import { type RelayRequest, readBody, targetOf } from "#wire/http/request.ts";
import type { Fetch } from "./mailbox-api.ts";
import { type SimClock, simClock, simEntropy } from "./sim-clock.ts";

export interface InProcess {
  readonly clock: SimClock;
  readonly mailbox: Mailbox;
  readonly store: MailboxStore;
  readonly gateway: Gateway;
  readonly seeds: SeedStore;
  readonly fetch: Fetch;
  /** As `fetch`, from a client at a public address. */
  from(source: string): Fetch;
}

export interface InProcessSetup {
  readonly config?: Partial<MailboxConfig>;
  readonly clock?: SimClock;
  /** What an earlier run left behind. */
  readonly store?: MailboxStore;
  readonly seeds?: SeedStore;
  readonly seed?: number;
  readonly replayMemory?: number;
}

export function mailboxDefaults(config: Partial<MailboxConfig> = {}): MailboxConfig {
  const entries = Object.entries(mailboxOptions).map(([key, spec]) => [key, spec.default]);
  return { ...(Object.fromEntries(entries) as MailboxConfig), ...config };
}

/** The mailbox with both gateways, without a socket, on a clock that the test moves. */
export async function mailboxInProcess(setup: InProcessSetup = {}): Promise<InProcess> {
  const { clock = simClock(), seeds = memorySeeds() } = setup;
  const config = mailboxDefaults(setup.config);
  const entropy = simEntropy(setup.seed ?? 1);
  const store =
    setup.store ??
    openMemoryMailboxStore({
      maxBlobsPerMailbox: config.maxMailboxBlobs,
      maxBytesPerMailbox: config.maxMailboxSizeBytes,
      maxStorageBytes: config.maxStorageBytes,
      blobTtlMs: config.blobTtlMs,
    });
  const mailbox = await Mailbox.open(config, store, clock, entropy);
  const keys = new KeyRing({ clock, entropy, windowMs: 86_400_000, seeds });
  const gateway = new Gateway({
    keys,
    entropy,
    ohttpMaxOpening: 8,
    spent: new SpentCapsulesInMemory(setup.replayMemory ?? 1000),
    report(error) {
      throw error;
    },
  });
  const api = {
    parse: parseInner,
    perform: (inner: ReturnType<typeof parseInner>, signal: AbortSignal) =>
      performInner(inner, mailbox, signal),
    messageMaxBytes: config.maxMessageSizeBytes,
  };
  const parts = [jsonGatewayRoutes(gateway, api, entropy), mailboxRoutes(mailbox)];
  const handler = async (request: RelayRequest): Promise<Response> => {
    for (const routes of parts) {
      const match = routes(request);
      if (match) return match.respond();
    }
    return new Response(null, { status: 404 });
  };
  parts.unshift(standardGatewayRoutes(gateway, handler, 1_000_000));
  const from =
    (source: string | undefined): Fetch =>
    (path, init) => {
      const request = new Request(`http://relay.test${path}`, init);
      const edge = {
        target: targetOf(request),
        source,
        readBody: (maxBytes: number) => readBody(request, maxBytes),
      };
      return handler({
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: request.body,
        signal: request.signal,
        edge,
      });
    };
  return { clock, mailbox, store, gateway, seeds, fetch: from(undefined), from };
}
