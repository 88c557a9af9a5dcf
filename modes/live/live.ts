import type { Clock, Entropy } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import type { ValuesOf } from "#core/options.ts";
import type { Knock, LiveAcceptor } from "#wire/live/acceptor.ts";
import { liveError } from "#wire/live/error-code.ts";
import type { Transport } from "#wire/live/transport.ts";
import { type AccessPolicy, authorize } from "./auth/authorize.ts";
import { credentialsOf } from "./auth/credentials.ts";
import type { Grant } from "./grant.ts";
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
  #fetches = 0;

  constructor({ clock, entropy, options, policy, certificateHashes }: LiveSetup) {
    this.clock = clock;
    this.options = options;
    this.relay = new Relay(clock, entropy, limitsOf(options));
    this.certificateHashes = certificateHashes;
    this.#policy = policy;
  }

  /** What a session at this path may do. Rejects with `RelayError`. */
  async admit(knock: Knock): Promise<Grant> {
    if (!this.relay.open)
      throw new RelayError("at_capacity", { text: "No further session is taken", retryAfterSeconds: 5 });
    return this.admitRequest(knock);
  }

  /** The same for a plain request, which takes no session's place. */
  async admitRequest(knock: Knock): Promise<Grant> {
    return authorize(knock.path, credentialsOf(knock), this.clock.now(), this.#policy);
  }

  accept(transport: Transport, grant: Grant): void {
    if (this.relay.open) this.relay.accept(transport, grant);
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
  subscriptionsMax: options.liveSubscriptionsMax,
  watchesMax: options.liveWatchesMax,
  announcementsMax: options.liveAnnouncementsMax,
  sessionsMax: options.liveSessionsMax,
});
