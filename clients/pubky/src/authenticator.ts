import { clientBackoff, pause, pauseMs } from "../../../core/backoff.ts";
import { type Clock, type Entropy, systemEntropy } from "../../../core/clock.ts";
import { signAuthToken } from "./auth-token.ts";
import { type Bytes, utf8 } from "./bytes.ts";
import {
  type CapabilitiesInput,
  type Capability,
  compareCapabilities,
  formatCapability,
  normalizeCapabilities,
  parseCapabilities,
} from "./capabilities.ts";
import { PubkyError } from "./errors.ts";
import { GRANT_LIFE_MS, randomGrantId, signGrant } from "./grant.ts";
import { increasingMicros } from "./increasing-micros.ts";
import type { PublicKey, Signer } from "./keys.ts";
import { type ChannelLink, parseLink } from "./link.ts";
import { type Fetch, platformFetch, type RelayChannel, relayChannel, type Trouble } from "./relay-channel.ts";
import { SEAL_NONCE_BYTES, seal } from "./sealed-box.ts";
import { wallClock } from "./wall-clock.ts";

/** What a person should be told before approving. */
export type AuthRequestWarning =
  /** Everything, for reading and writing, is asked for. */
  | "asks_for_everything"
  /** A new account is asked for at a homeserver that the link chose. */
  | "new_account"
  /** The relay is reached without TLS: others on the way see that somebody signs in, though not to what. */
  | "relay_without_tls"
  /** Part of what the link asks for was not understood and will not be granted. */
  | "unreadable_capabilities";

/** What an app asks for. Show all of it: nothing in a link proves which app made it. */
export interface AuthRequest {
  readonly kind: ChannelLink["kind"];
  /** Entries in the normal form. Empty: only who the person is. */
  readonly capabilities: readonly string[];
  /** Host and port of the relay: the only thing that a cookie link tells about where it came from. */
  readonly relayHost: string;
  /** Where the app wants the account; attacker-controlled, so show it. */
  readonly homeserver?: PublicKey;
  readonly signupToken?: string;
  /** The app's own claim of who it is, in grant links. */
  readonly clientId?: string;
  /** The key that alone can use the grant. */
  readonly clientKey?: PublicKey;
  readonly warnings: readonly AuthRequestWarning[];
  readonly link: ChannelLink;
  /**
   * Signs, seals and leaves the approval at the relay, again and again with the same bytes until the relay has it.
   * On a link relay this lasts until the app has fetched it.
   *
   * Rejects with PubkyError `capabilities_extra`, `request_needs_signup`, `request_declined`, `relay_refused`,
   * `relay_unreachable`, `delivery_expired`, `flow_cancelled`; and with what `signUp` rejects with.
   */
  approve(options: ApproveOptions): Promise<Delivery>;
  /** Sends nothing, for the protocol has no word for no; the app's request runs out. Approving is over then. */
  decline(): void;
}

export interface ApproveOptions {
  /** The person's key pair, or whoever signs for it. */
  readonly keypair: Signer;
  /** Grants less than was asked. */
  readonly capabilities?: CapabilitiesInput;
  /** Makes the account of a signup link before anything is signed. Demanded by those links. */
  readonly signUp?: (account: { homeserver: PublicKey; signupToken?: string }) => void | Promise<void>;
  /** How long a grant is good for, in milliseconds. Default: two years. */
  readonly grantLifeMs?: number;
  /** No new attempt begins after this long. Default: 30,000; a token is only good for the app's window. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  readonly entropy?: Entropy;
  readonly fetch?: Fetch;
}

export interface Delivery {
  /**
   * Resolves when the app has taken the approval. On a link relay it already has.
   *
   * Apps on the SDK before 0.7 never tell an inbox relay: `delivery_expired` means that nobody said so, not that
   * nobody came.
   *
   * Rejects with PubkyError `delivery_expired`, `relay_refused`, `relay_unreachable`, `flow_cancelled`.
   */
  delivered(options?: { readonly deadlineMs?: number; readonly signal?: AbortSignal }): Promise<void>;
}

const APPROVE_DEADLINE_MS = 30_000;
/** As long as a relay keeps a message. */
const DELIVERED_DEADLINE_MS = 300_000;

/**
 * Reads a link for the person to decide on.
 *
 * @throws PubkyError those of `parseLink`, and `request_not_approvable` for links that go through no relay
 */
export function parseAuthRequest(url: string): AuthRequest {
  const link = parseLink(url);
  if (!("relay" in link)) throw new PubkyError("request_not_approvable");
  const asked = normalizeCapabilities(link.capabilities);
  const relay = new URL(link.relay);
  let declined = false;
  return {
    kind: link.kind,
    capabilities: asked.map(formatCapability),
    relayHost: relay.host,
    ...("homeserver" in link && { homeserver: link.homeserver }),
    ...("signupToken" in link && link.signupToken !== undefined && { signupToken: link.signupToken }),
    ...("clientId" in link && { clientId: link.clientId, clientKey: link.clientKey }),
    warnings: warningsOf(link, asked, relay),
    link,
    async approve(options) {
      if (declined) throw new PubkyError("request_declined");
      return approve(link, asked, options);
    },
    decline() {
      declined = true;
    },
  };
}

function warningsOf(link: ChannelLink, asked: readonly Capability[], relay: URL): AuthRequestWarning[] {
  const warnings: AuthRequestWarning[] = [];
  if (asked.some(({ scope, actions }) => scope === "/" && actions === "rw"))
    warnings.push("asks_for_everything");
  if ("homeserver" in link) warnings.push("new_account");
  if (relay.protocol !== "https:") warnings.push("relay_without_tls");
  if (link.droppedCapabilities.length > 0) warnings.push("unreadable_capabilities");
  return warnings;
}

async function approve(
  link: ChannelLink,
  asked: readonly Capability[],
  options: ApproveOptions,
): Promise<Delivery> {
  const { clock = wallClock, entropy = systemEntropy, fetch = platformFetch } = options;
  const granted = grantedOf(asked, options.capabilities);
  if ("homeserver" in link) {
    if (!options.signUp) throw new PubkyError("request_needs_signup");
    const { homeserver, signupToken } = link;
    await options.signUp({ homeserver, ...(signupToken !== undefined && { signupToken }) });
  }
  const message = await sign(link, granted, options, clock, entropy);
  const body = seal(link.clientSecret, entropy.bytes(SEAL_NONCE_BYTES), message);
  const channel = relayChannel({ relay: link.relay, clientSecret: link.clientSecret, fetch, clock });
  const patience = { clock, entropy, deadlineMs: options.deadlineMs ?? APPROVE_DEADLINE_MS };

  await persist(patience, options.signal, async (signal) => {
    const put = await channel.put(body, signal);
    if (put.kind === "stored") return "enough";
    // Only a link relay waits here: nobody came, or another approval took this one's place.
    if (channel.binding === "link" && (put.status === 408 || put.status === 404)) {
      throw new PubkyError("delivery_expired", { details: { status: put.status } });
    }
    return put;
  });

  return {
    delivered: (waiting = {}) =>
      channel.binding === "link"
        ? Promise.resolve()
        : awaitDelivery(
            channel,
            { clock, entropy, deadlineMs: waiting.deadlineMs ?? DELIVERED_DEADLINE_MS },
            waiting.signal,
          ),
  };
}

function grantedOf(
  asked: readonly Capability[],
  narrowed: CapabilitiesInput | undefined,
): readonly Capability[] {
  if (narrowed === undefined) return asked;
  const granted = normalizeCapabilities(parseCapabilities(narrowed));
  const { extra } = compareCapabilities(asked, granted);
  if (extra.length > 0) {
    throw new PubkyError("capabilities_extra", { details: { capabilities: extra.map(formatCapability) } });
  }
  return granted;
}

async function sign(
  link: ChannelLink,
  capabilities: readonly Capability[],
  { keypair, grantLifeMs = GRANT_LIFE_MS }: ApproveOptions,
  clock: Clock,
  entropy: Entropy,
): Promise<Bytes> {
  if (!("clientId" in link)) return signAuthToken(keypair, capabilities, increasingMicros(clock, entropy));
  const issuedAt = clock.now();
  const { clientId, clientKey } = link;
  const grantId = randomGrantId(entropy);
  const expiresAt = issuedAt + grantLifeMs;
  return utf8(await signGrant(keypair, { clientId, clientKey, capabilities, grantId, issuedAt, expiresAt }));
}

async function awaitDelivery(
  channel: RelayChannel,
  patience: Patience,
  signal: AbortSignal | undefined,
): Promise<void> {
  await persist(patience, signal, async (attemptSignal) => {
    const awaited = await channel.awaitAcknowledged(attemptSignal);
    if (awaited.kind === "delivered") return "enough";
    if (awaited.kind === "waiting") return "again";
    if (awaited.status === 404) throw new PubkyError("delivery_expired", { details: { status: 404 } });
    return awaited;
  });
}

interface Patience {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly deadlineMs: number;
}

/** An answer of this status may be another one next time. */
const isPassing = (status: number | undefined) =>
  status === undefined || status === 408 || status === 429 || status >= 500;

/** Attempts until one is enough: after trouble that may pass with a pause, after `again` at once. */
async function persist(
  { clock, entropy, deadlineMs }: Patience,
  signal: AbortSignal = new AbortController().signal,
  attempt: (signal: AbortSignal) => Promise<"enough" | "again" | Trouble>,
): Promise<void> {
  const endsAt = clock.now() + deadlineMs;
  let failures = 0;
  for (;;) {
    if (signal.aborted) throw new PubkyError("flow_cancelled", { cause: signal.reason });
    const startedAt = clock.now();
    const answer = await attempt(signal);
    if (answer === "enough") return;
    if (signal.aborted) throw new PubkyError("flow_cancelled", { cause: signal.reason });
    const trouble = answer === "again" ? undefined : answer;
    const details = trouble?.status === undefined ? {} : { status: trouble.status };
    if (trouble && !isPassing(trouble.status)) throw new PubkyError("relay_refused", { details });
    // A relay that says "again" without having waited is not asked in a busy loop.
    const waited = answer === "again" && clock.now() - startedAt >= 1_000;
    failures = waited ? 0 : failures + 1;
    const ms = waited ? 0 : pauseMs(failures, clientBackoff, entropy, trouble?.retryAfterMs);
    if (clock.now() + ms >= endsAt) {
      throw new PubkyError(trouble ? "relay_unreachable" : "delivery_expired", { details });
    }
    await pause(clock, ms, signal);
  }
}
