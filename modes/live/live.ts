import type { Clock, Entropy } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import type { ValuesOf } from "#core/options.ts";
import { type Knock, type LiveAcceptor, parseTarget } from "#wire/live/acceptor.ts";
import { liveError } from "#wire/live/error-code.ts";
import type { Transport } from "#wire/live/transport.ts";
import { type AccessPolicy, authorize, parseSessionPath } from "./auth/authorize.ts";
import { credentialsOf } from "./auth/credentials.ts";
import type { AdmitAtSetup, Grant, Refusal, ShownAtSetup } from "./grant.ts";
import type { LiveLimits } from "./limits.ts";
import type { liveOptions } from "./options.ts";
import { Relay } from "./relay.ts";

export type LiveOptions = ValuesOf<typeof liveOptions>;

export interface LiveSetup {
  clock: Clock;
  entropy: Entropy;
  options: LiveOptions;
  /** Who may do what. */
  policy: AccessPolicy;
  /** Hashes of the certificates we are known by, the current one first. */
  certificateHashes: () => Promise<readonly string[]>;
}

/** Live as the daemon runs it: the relay's core, who may use it, and the way out. */
export class Live implements LiveAcceptor<Grant> {
  readonly clock: Clock;
  readonly options: LiveOptions;
  readonly relay: Relay;
  readonly certificateHashes: () => Promise<readonly string[]>;
  readonly #policy: AccessPolicy;
  /** What let a session in, for as long as it lasts. */
  readonly #tokens = new WeakMap<Grant, string>();
  readonly #admitAtSetup = new WeakMap<Grant, AdmitAtSetup>();
  #fetches = 0;

  constructor({ clock, entropy, options, policy, certificateHashes }: LiveSetup) {
    this.clock = clock;
    this.options = options;
    this.relay = new Relay(clock, entropy, limitsOf(options), BigInt(options.clusterId));
    this.certificateHashes = certificateHashes;
    this.#policy = policy;
  }

  /** What a session at this path may do. Rejects with `RelayError`. */
  async admit(knock: Knock): Promise<Grant> {
    if (!this.relay.open)
      throw new RelayError("at_capacity", { text: "No further session is taken", retryAfterSeconds: 5 });
    if (knock.targetInSetup) return this.#admitOnceItSaysWhere(knock);
    if (!knock.beginsWithSetup || !bringsNothing(knock)) return this.admitRequest(knock);
    const { keys, privacyPass } = this.#policy;
    const path = parseSessionPath(knock.path);
    const open = await this.admitRequest(knock).catch((error: unknown) => {
      const waits = privacyPass !== undefined || (knock.showsTokenInSetup && keys !== undefined);
      if (!waits || !(error instanceof RelayError) || error.code !== "unauthorized") throw error;
      return undefined;
    });
    if (open && !knock.showsTokenInSetup) return open;
    // Not refused yet: a private token may be in the SETUP, or a JWT, and the challenge is given there.
    const waiting: Grant = open ?? { root: path, put: [], get: [], cluster: false, expiresAt: undefined };
    this.#admitAtSetup.set(waiting, (shown) => this.#admitBySetup(path, open, shown));
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
  async #admitBySetup(path: string, open: Grant | undefined, shown: ShownAtSetup): Promise<Grant | Refusal> {
    const jwt = shown.jwts[0];
    if (jwt === undefined) {
      if (open) return open;
      const { privacyPass } = this.#policy;
      return privacyPass ? privacyPass.atSetup(path, this.clock)(shown) : noToken;
    }
    try {
      const grant = await authorize(path, { jwt, privateTokens: [] }, this.clock.now(), this.#policy);
      this.#tokens.set(grant, jwt);
      return grant;
    } catch (error) {
      if (error instanceof RelayError) return { code: liveError.unauthorized, reason: error.message };
      return { code: liveError.transport, reason: "internal error" };
    }
  }

  /** The same for a plain request, which takes no session's place. */
  async admitRequest(knock: Knock): Promise<Grant> {
    const credentials = credentialsOf(knock);
    const grant = await authorize(knock.path, credentials, this.clock.now(), this.#policy);
    if (credentials.jwt) this.#tokens.set(grant, credentials.jwt);
    return grant;
  }

  /** Ends the sessions whose token would not let them in any more: revoked, or its key gone. */
  async recheck(): Promise<void> {
    const outcomes = new Map<string, Promise<boolean>>();
    for (const session of [...this.relay.sessions]) {
      const jwt = this.#tokens.get(session.grant);
      if (jwt === undefined) continue;
      const key = `${session.grant.root} ${jwt}`;
      let good = outcomes.get(key);
      if (!good) {
        good = this.#isGood(session.grant.root, jwt);
        outcomes.set(key, good);
      }
      if (!(await good)) session.close(liveError.unauthorized, "the token is no longer accepted");
    }
  }

  async #isGood(path: string, jwt: string): Promise<boolean> {
    try {
      await authorize(path, { jwt, privateTokens: [] }, this.clock.now(), this.#policy);
      return true;
    } catch (error) {
      if (error instanceof RelayError && error.code === "unauthorized") return false;
      throw error;
    }
  }

  accept(transport: Transport, grant: Grant): void {
    if (this.relay.open) this.relay.accept(transport, grant, this.#admitAtSetup.get(grant));
    else refuseLate(transport);
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

  /** Takes no further session, asks those there are to go, and closes those that stay longer than `liveDrainMs`. */
  async drain(): Promise<void> {
    const { relay, clock, options } = this;
    relay.drain("");
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
