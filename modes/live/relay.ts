import { hexOf } from "#core/bytes.ts";
import type { Clock, Entropy } from "#core/clock.ts";
import type { SessionEnd, Transport } from "#wire/live/transport.ts";
import { GroupCache } from "./cache.ts";
import type { AdmitAtSetup, Grant } from "./grant.ts";
import type { LiveLimits } from "./limits.ts";
import { type LiveMetrics, newLiveMetrics } from "./metrics.ts";
import { Origin } from "./origin.ts";
import { Session, type SessionHome } from "./session.ts";
import { TrafficCounts } from "./traffic.ts";

/** The core of live: all sessions meet here. Opens nothing and knows no transport. */
export class Relay implements SessionHome {
  readonly clock: Clock;
  readonly limits: LiveLimits;
  readonly metrics: LiveMetrics = newLiveMetrics();
  /** What went through, by broadcast. */
  readonly traffic = new TrafficCounts();
  readonly cache: GroupCache;
  readonly origin: Origin;
  /** Random, below 2^53 and never 0: older clients read it as a number. */
  readonly originId: bigint;
  readonly #entropy: Entropy;
  readonly #sessions = new Set<Session>();
  #draining = false;
  #onEmpty: () => void = () => {};

  /** `originId`: the one it is to have; 0n: any. */
  constructor(clock: Clock, entropy: Entropy, limits: LiveLimits, originId = 0n) {
    this.clock = clock;
    this.limits = limits;
    this.cache = new GroupCache(limits.cacheMaxBytes);
    this.origin = new Origin(limits, clock, this.cache, this.traffic);
    this.#entropy = entropy;
    const bytes = entropy.bytes(6);
    this.originId = originId || bytes.reduce((id, byte) => (id << 8n) | BigInt(byte), 0n) | 1n;
  }

  get sessions(): Iterable<Session> {
    return this.#sessions;
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** Whether the open sessions were asked to go. */
  get draining(): boolean {
    return this.#draining;
  }

  /** Whether another session may begin. */
  get open(): boolean {
    return !this.#draining && this.#sessions.size < this.limits.sessionsMax;
  }

  accept(transport: Transport, grant: Grant, admitAtSetup?: AdmitAtSetup): Session {
    // Random: an id tells nothing of who came before, and cannot be guessed.
    const id = hexOf(this.#entropy.bytes(8));
    const session = new Session(this, id, transport, grant, admitAtSetup);
    this.#sessions.add(session);
    this.metrics.sessionsOpened++;
    session.start();
    return session;
  }

  /** Begins no further session and asks the open ones to go; `uri` may say where to. */
  drain(uri: string): void {
    this.#draining = true;
    for (const session of this.#sessions) session.goaway(uri);
  }

  /** Calls back once there is no session. */
  whenEmpty(then: () => void): void {
    if (this.#sessions.size === 0) then();
    else this.#onEmpty = then;
  }

  /** Ends all sessions. */
  close(code: number, reason: string): void {
    this.#draining = true;
    for (const session of [...this.#sessions]) session.close(code, reason);
  }

  onSessionAdmitted({ grant }: Session): void {
    this.traffic.sessionStarted(grant.root, grant.tier ?? "");
  }

  onSessionEnd(session: Session, _end: SessionEnd): void {
    this.#sessions.delete(session);
    this.metrics.sessionsClosed++;
    if (session.admitted) this.traffic.sessionEnded(session.grant.root, session.grant.tier ?? "");
    if (this.#sessions.size === 0) this.#onEmpty();
  }
}
