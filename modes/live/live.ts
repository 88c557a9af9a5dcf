import type { Cancel, Clock, Entropy } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import type { ValuesOf } from "#core/options.ts";
import { type Knock, type LiveAcceptor, parseTarget, type TransportKind } from "#wire/live/acceptor.ts";
import { liveError } from "#wire/live/error-code.ts";
import type { Transport } from "#wire/live/transport.ts";
import { namesWithDrafts, type ProtocolName, protocolNames } from "#wire/live/version.ts";
import { type AccessPolicy, authorize } from "./auth/authorize.ts";
import { type Credentials, credentialsOf } from "./auth/credentials.ts";
import { sessionPathOf } from "./auth/session-path.ts";
import { kidOf, tokenId } from "./auth/token.ts";
import type { AdmitAtSetup, Grant, Refusal, ShownAtSetup } from "./grant.ts";
import type { LiveLimits } from "./limits.ts";
import type { liveOptions } from "./options.ts";
import { Relay } from "./relay.ts";

export type LiveOptions = ValuesOf<typeof liveOptions>;

/** What a session was let in by. */
interface Admission {
  readonly path: string;
  readonly credentials: Credentials;
}

/** An event stream over HTTP: it lives by a grant as a session does. */
export interface Feed {
  readonly grant: Grant;
  close(code: number, reason: string): void;
}

export interface LiveSetup {
  clock: Clock;
  entropy: Entropy;
  options: LiveOptions;
  /** Who may do what. */
  policy: AccessPolicy;
  /** Domains below which labels of a host name are parts of the path. */
  domains: readonly string[];
  /** Hashes of the certificates we are known by, the current one first. */
  certificateHashes: () => Promise<readonly string[]>;
}

/** Live as the daemon runs it: the relay's core, who may use it, and the way out. */
export class Live implements LiveAcceptor<Grant> {
  readonly clock: Clock;
  readonly options: LiveOptions;
  readonly relay: Relay;
  /** Versions that are taken, and offered to other relays. */
  readonly names: readonly ProtocolName[];
  readonly certificateHashes: () => Promise<readonly string[]>;
  readonly #policy: AccessPolicy;
  readonly #domains: readonly string[];
  /** What let a session or an event stream in, for as long as it lasts. */
  readonly #admissions = new WeakMap<Grant, Admission>();
  /** Event streams that are open. */
  readonly #feeds = new Set<Feed>();
  readonly #admitAtSetup = new WeakMap<Grant, AdmitAtSetup>();
  #fetches = 0;

  constructor({ clock, entropy, options, policy, domains, certificateHashes }: LiveSetup) {
    this.clock = clock;
    this.options = options;
    this.relay = new Relay(clock, entropy, limitsOf(options), BigInt(options.clusterId));
    this.names = options.liveMoqLiteDraft ? namesWithDrafts : protocolNames;
    this.certificateHashes = certificateHashes;
    this.#policy = policy;
    this.#domains = domains;
  }

  /** What a session at this path may do. Rejects with `RelayError`. */
  async admit(knock: Knock): Promise<Grant> {
    if (!this.relay.open)
      throw new RelayError("at_capacity", { text: "No further session is taken", retryAfterSeconds: 5 });
    if (knock.targetInSetup) return this.#admitOnceItSaysWhere(knock);
    if (!knock.beginsWithSetup || !bringsNothing(knock)) return this.admitRequest(knock);
    const { keys, service, privacyPass } = this.#policy;
    const path = sessionPathOf(knock, this.#domains);
    const open = await this.admitRequest(knock).catch((error: unknown) => {
      const takesJwt = knock.showsTokenInSetup && (keys !== undefined || service !== undefined);
      const waits = privacyPass !== undefined || takesJwt;
      if (!waits || !(error instanceof RelayError) || error.code !== "unauthorized") throw error;
      return undefined;
    });
    if (open && !knock.showsTokenInSetup) return open;
    // Not refused yet: a private token may be in the SETUP, or a JWT, and the challenge is given there.
    const waiting: Grant = open ?? { root: path, put: [], get: [], cluster: false, expiresAt: undefined };
    this.#admitAtSetup.set(waiting, (shown) => this.#admitBySetup(path, open, knock, shown));
    return waiting;
  }

  /** A client whose connection named no URL says path and token in its SETUP. */
  #admitOnceItSaysWhere(knock: Knock): Grant {
    const waiting: Grant = { root: "", put: [], get: [], cluster: false, expiresAt: undefined };
    this.#admitAtSetup.set(waiting, async (shown) => {
      try {
        const target = parseTarget(shown.path ?? "/");
        const grant = await this.admit({ ...knock, ...target, targetInSetup: false });
        return (await this.#admitAtSetup.get(grant)?.(shown)) ?? grant;
      } catch (error) {
        if (error instanceof RelayError) return { code: liveError.unauthorized, reason: error.message };
        return { code: liveError.transport, reason: "internal error" };
      }
    });
    return waiting;
  }

  /** `open`: what may be done without showing anything, if anything may. */
  async #admitBySetup(
    path: string,
    open: Grant | undefined,
    knock: Knock,
    shown: ShownAtSetup,
  ): Promise<Grant | Refusal> {
    const jwt = shown.jwts[0];
    if (jwt === undefined) {
      if (open) return open;
      const { privacyPass } = this.#policy;
      return privacyPass ? privacyPass.atSetup(path, this.clock)(shown) : noToken;
    }
    try {
      const credentials = { ...credentialsOf(knock), jwt, privateTokens: [] };
      return await this.#authorize(path, credentials);
    } catch (error) {
      if (error instanceof RelayError) return { code: liveError.unauthorized, reason: error.message };
      return { code: liveError.transport, reason: "internal error" };
    }
  }

  /** The same for a plain request, which takes no session's place. */
  async admitRequest(knock: Knock): Promise<Grant> {
    const path = sessionPathOf(knock, this.#domains);
    const credentials = credentialsOf(knock);
    return this.#authorize(path, credentials);
  }

  async #authorize(path: string, credentials: Credentials): Promise<Grant> {
    const grant = await authorize(path, credentials, this.clock.now(), this.#policy);
    this.#admissions.set(grant, { path, credentials });
    return grant;
  }

  /**
   * Ends the sessions and event streams whose token would not let them in any more: revoked, or its key gone. Those that
   * nobody can decide about now stay, and are asked about next time. Resolves to how many were ended.
   */
  async recheck(): Promise<number> {
    const outcomes = new Map<string, Promise<boolean>>();
    let ended = 0;
    for (const one of [...this.relay.sessions, ...this.#feeds]) {
      const admission = this.#admissions.get(one.grant);
      if (!admission?.credentials.jwt) continue;
      const key = `${admission.path} ${admission.credentials.jwt}`;
      let good = outcomes.get(key);
      if (!good) {
        good = this.#isGood(admission);
        outcomes.set(key, good);
      }
      if (await good) continue;
      one.close(liveError.unauthorized, "the token is no longer accepted");
      ended++;
    }
    return ended;
  }

  async #isGood({ path, credentials }: Admission): Promise<boolean> {
    try {
      // Private tokens were spent when the session began: its JWT alone is asked about.
      await authorize(path, { ...credentials, privateTokens: [] }, this.clock.now(), this.#policy);
      return true;
    } catch (error) {
      if (!(error instanceof RelayError)) throw error;
      return error.code !== "unauthorized";
    }
  }

  /** The ids of a session's token and of its key, as far as it has them: an operator ends sessions by them. */
  tokenOf(grant: Grant): { readonly id: string; readonly kid: string | undefined } | undefined {
    const jwt = this.#admissions.get(grant)?.credentials.jwt;
    return jwt === undefined ? undefined : { id: tokenId(jwt), kid: kidOf(jwt) };
  }

  /** How a session came; undefined for one that we opened. */
  transportOf(grant: Grant): TransportKind | undefined {
    return this.#admissions.get(grant)?.credentials.transport;
  }

  accept(transport: Transport, grant: Grant): void {
    if (this.relay.open) this.relay.accept(transport, grant, this.#admitAtSetup.get(grant));
    else refuseLate(transport);
  }

  /**
   * Takes a place for an event stream, which is ended when its token expires or is no longer accepted, and when the relay
   * drains. Answers what gives the place back; undefined where none is free.
   */
  openFeed(feed: Feed): Cancel | undefined {
    if (this.relay.draining || this.#feeds.size >= this.options.liveEventStreamsMax) return undefined;
    this.#feeds.add(feed);
    const { expiresAt } = feed.grant;
    const cancelExpiry =
      expiresAt === undefined
        ? () => {}
        : this.clock.after(expiresAt - this.clock.now(), () =>
            feed.close(liveError.unauthorized, "the token has expired"),
          );
    return () => {
      cancelExpiry();
      this.#feeds.delete(feed);
    };
  }

  get feedCount(): number {
    return this.#feeds.size;
  }

  /** Runs `fetch` unless too many run already. */
  async fetchUnderway<T>(fetch: () => Promise<T>): Promise<T | "busy"> {
    if (this.#fetches >= this.options.liveFetchesMax) return "busy";
    this.#fetches++;
    try {
      return await fetch();
    } finally {
      this.#fetches--;
    }
  }

  /** Takes no further session, asks those there are to go (to `uri`, if given), and closes those that stay longer than `liveDrainMs`. */
  async drain(uri = ""): Promise<void> {
    const { relay, clock, options } = this;
    relay.drain(uri);
    for (const feed of [...this.#feeds]) feed.close(liveError.cancel, "the relay is going down");
    await new Promise<void>((resolve) => {
      const cancel = clock.after(options.liveDrainMs, resolve);
      relay.whenEmpty(() => {
        cancel();
        resolve();
      });
    });
    relay.close(liveError.cancel, "the relay is going down");
  }
}

const noToken: Refusal = { code: liveError.unauthorized, reason: "This path needs a token" };

function bringsNothing(knock: Knock): boolean {
  const { jwt, privateTokens } = credentialsOf(knock);
  return !jwt && privateTokens.length === 0;
}

/** There was room when it knocked, and is none now. */
function refuseLate(transport: Transport): void {
  transport.handler = { onUni() {}, onBidi() {}, onPump() {}, onEnd() {} };
  transport.close(liveError.bounds, "no further session is taken");
}

const limitsOf = (options: LiveOptions): LiveLimits => ({
  groupMaxBytes: options.liveGroupMaxBytes,
  cacheMaxBytes: options.liveCacheMaxBytes,
  cacheMaxMs: options.liveCacheMs,
  backlogMaxBytes: options.liveBacklogMaxBytes,
  backlogMaxGroups: options.liveBacklogMaxGroups,
  trackIdleLingerMs: options.liveTrackLingerMs,
  announceLingerMs: options.liveAnnounceLingerMs,
  setupTimeoutMs: options.liveSetupTimeoutMs,
  subscribeTimeoutMs: options.liveSubscribeTimeoutMs,
  controlMaxBytes: options.liveControlMaxBytes,
  tracksMax: options.liveTracksMax,
  subscriptionsMax: options.liveSubscriptionsMax,
  watchesMax: options.liveWatchesMax,
  announcementsMax: options.liveAnnouncementsMax,
  sessionsMax: options.liveSessionsMax,
});
