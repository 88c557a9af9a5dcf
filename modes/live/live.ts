import type { Clock, Entropy } from "#core/clock.ts";
import type { ValuesOf } from "#core/options.ts";
import { type Knock, KnockRefusedError, type LiveAcceptor } from "#wire/live/acceptor.ts";
import { liveError } from "#wire/live/error-code.ts";
import type { Transport } from "#wire/live/transport.ts";
import { Admission } from "./admission.ts";
import type { Grant } from "./grant.ts";
import type { LiveLimits } from "./limits.ts";
import type { liveOptions } from "./options.ts";
import { normalizePath } from "./path.ts";
import { Relay } from "./relay.ts";
import { TokenKey } from "./token.ts";

export type LiveOptions = ValuesOf<typeof liveOptions>;

export interface LiveSetup {
  clock: Clock;
  entropy: Entropy;
  options: LiveOptions;
  /** The text of the file that `auth-key` names. */
  keyText: string | undefined;
  /** Hashes of the certificates we are known by, the current one first. */
  certificateHashes: () => Promise<readonly string[]>;
}

/** Live as the daemon runs it: the relay's core, who may use it, and the way out. */
export class Live implements LiveAcceptor<Grant> {
  readonly clock: Clock;
  readonly options: LiveOptions;
  readonly relay: Relay;
  readonly certificateHashes: () => Promise<readonly string[]>;
  readonly #admission: Admission;
  #fetches = 0;

  private constructor(setup: LiveSetup, key: TokenKey | undefined) {
    const { clock, entropy, options } = setup;
    this.clock = clock;
    this.options = options;
    this.relay = new Relay(clock, entropy, limitsOf(options));
    this.certificateHashes = setup.certificateHashes;
    const publicPrefix = options.authPublic === undefined ? undefined : normalizePath(options.authPublic);
    this.#admission = new Admission({ key, publicPrefix }, clock);
  }

  /** Rejects with `KeyUnusableError`. */
  static async open(setup: LiveSetup): Promise<Live> {
    const key = setup.keyText === undefined ? undefined : await TokenKey.read(setup.keyText);
    return new Live(setup, key);
  }

  /** What a session at this path may do. Rejects with `KnockRefusedError`. */
  async admit(knock: Knock): Promise<Grant> {
    if (!this.relay.open) throw new KnockRefusedError(503, "No further session is taken.");
    return this.#admission.admit(knock);
  }

  /** The same for a plain request, which takes no session's place. */
  async admitRequest(knock: Knock): Promise<Grant> {
    return this.#admission.admit(knock);
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

  /** Takes no further session and asks those there are to go. */
  drain(): void {
    this.relay.drain("");
  }

  /** Ends all sessions. */
  close(): void {
    this.relay.close(liveError.cancel, "the relay is going down");
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
