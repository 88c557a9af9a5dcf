import type { Cancel, Clock, Instant } from "#core/clock.ts";
import type { ControlOutput } from "#wire/live/control-stream.ts";
import { LiveProtocolError, liveError } from "#wire/live/error-code.ts";
import type {
  BidiStream,
  ReceiveStream,
  SendStream,
  SessionEnd,
  Transport,
  TransportHandler,
} from "#wire/live/transport.ts";
import { type IetfDraft, isIetf, type LiteVersion, type LiveVersion } from "#wire/live/version.ts";
import type { Dialect } from "./dialect.ts";
import type { AdmitAtSetup, Grant, ShownAtSetup } from "./grant.ts";
import { IetfDialect } from "./ietf/ietf-dialect.ts";
import type { LiveLimits } from "./limits.ts";
import { LiteDialect } from "./lite-dialect.ts";
import type { LiveMetrics } from "./metrics.ts";
import type { Origin } from "./origin.ts";
import type { SessionContext } from "./session-context.ts";
import { SessionTraffic } from "./session-traffic.ts";
import { type IetfSetup, SetupExchange } from "./setup-exchange.ts";
import type { TrackSource } from "./track.ts";
import type { TrafficCounts } from "./traffic.ts";

/** What a session needs of its relay. */
export interface SessionHome {
  readonly origin: Origin;
  readonly originId: bigint;
  readonly limits: LiveLimits;
  readonly clock: Clock;
  readonly metrics: LiveMetrics;
  readonly traffic: TrafficCounts;
  /** It is known what the session may do. */
  onSessionAdmitted(session: Session): void;
  onSessionEnd(session: Session, end: SessionEnd): void;
}

/**
 * One session on either end of a connection, from the agreement on what is spoken to its end.
 *
 * A relay is publisher and subscriber at once: it asks the remote what it publishes, wherever its grant lets it, and
 * answers what the remote asks of it. How, is its dialect's: moq-lite 01 to 05, or a draft of moq-transport.
 */
export class Session implements SessionContext, TransportHandler {
  /** Names the session to an operator, and means nothing else. */
  readonly id: string;
  readonly transport: Transport;
  readonly traffic: SessionTraffic;
  readonly openedAt: Instant;
  #grant: Grant;
  #admitted = false;
  readonly #admitAtSetup: AdmitAtSetup | undefined;
  #admitting = false;
  readonly #home: SessionHome;
  #setup: SetupExchange | undefined;
  #dialect: Dialect | undefined;
  readonly #controls = new Set<ControlOutput>();
  /** Streams to open once the remote allows more. */
  #bidiOpenings: ((stream: BidiStream) => void)[] = [];
  #uniOpenings: ((stream: SendStream) => void)[] = [];
  #cancels: Cancel[] = [];
  #onOver: () => void = () => {};
  #onReady: () => void = () => {};
  #over = false;

  /** With `admitAtSetup`, the grant is what it says once the remote has sent its SETUP. */
  constructor(
    home: SessionHome,
    id: string,
    transport: Transport,
    grant: Grant,
    admitAtSetup?: AdmitAtSetup,
  ) {
    this.#home = home;
    this.id = id;
    this.openedAt = home.clock.now();
    this.traffic = new SessionTraffic(home.traffic, () => this.#grant.tier ?? "");
    this.transport = transport;
    this.#grant = grant;
    this.#admitAtSetup = admitAtSetup;
    transport.handler = this;
  }

  get grant(): Grant {
    return this.#grant;
  }

  get origin(): Origin {
    return this.#home.origin;
  }

  get originId(): bigint {
    return this.#home.originId;
  }

  get limits(): LiveLimits {
    return this.#home.limits;
  }

  get clock(): Clock {
    return this.#home.clock;
  }

  get metrics(): LiveMetrics {
    return this.#home.metrics;
  }

  get controlMaxBytes(): number {
    return this.limits.controlMaxBytes;
  }

  /** The version, once it is known. */
  get knownVersion(): LiveVersion | undefined {
    return this.#dialect?.version;
  }

  /** The remote as a source of tracks, once the version is known. */
  get source(): TrackSource | undefined {
    return this.#dialect?.source;
  }

  /** Bytes of shared groups that the remote has still to get. */
  get backlogBytes(): number {
    return this.#dialect?.backlogBytes ?? 0;
  }

  start(): void {
    this.#endAtExpiry();
    if (this.#admitAtSetup === undefined) this.#tellAdmitted();
    const { version } = this.transport;
    if (version !== undefined && !isIetf(version)) {
      this.#begin(new LiteDialect(this, version));
      return;
    }
    this.#cancels.push(
      this.clock.after(this.limits.setupTimeoutMs, () => {
        if (this.#dialect === undefined) this.close(liveError.timeout, "no setup in time");
      }),
    );
    this.#setup = new SetupExchange(this, version, {
      lite: (agreed, shown, reply) => this.#admit(shown, reply, () => this.#beginLite(agreed)),
      ietf: (draft, setup, reply) => this.#admit(setup.shown, reply, () => this.#beginIetf(draft, setup)),
    });
    this.#setup.start();
  }

  /** Calls back once, when both sides know which version they speak. */
  whenReady(then: () => void): void {
    if (this.#dialect !== undefined) then();
    else this.#onReady = then;
  }

  /** Calls back when the session is over; there is one to be called. */
  whenOver(then: () => void): void {
    this.#onOver = then;
  }

  /** Whether it is decided what it may do. */
  get admitted(): boolean {
    return this.#admitted;
  }

  #tellAdmitted(): void {
    this.#admitted = true;
    this.#home.onSessionAdmitted(this);
  }

  #endAtExpiry(): void {
    const { expiresAt } = this.#grant;
    if (expiresAt === undefined) return;
    this.#cancels.push(
      this.clock.after(expiresAt - this.clock.now(), () =>
        this.close(liveError.unauthorized, "the token has expired"),
      ),
    );
  }

  close(code: number, reason: string): void {
    this.fail(new LiveProtocolError(reason, code));
  }

  /** Asks the remote to go elsewhere, where its version can be asked; `uri` may be empty. */
  goaway(uri: string): void {
    this.#dialect?.goaway(uri);
  }

  // SessionContext

  openBidi(opened: (stream: BidiStream) => void): Cancel {
    if (this.#over) return () => {};
    this.#bidiOpenings.push(opened);
    this.transport.wake();
    return () => {
      this.#bidiOpenings = this.#bidiOpenings.filter((waiting) => waiting !== opened);
    };
  }

  openUni(opened: (stream: SendStream) => void): void {
    if (this.#over) return;
    this.#uniOpenings.push(opened);
    this.transport.wake();
  }

  wakeControl(output: ControlOutput): void {
    if (this.#over) return;
    this.#controls.add(output);
    this.transport.wake();
  }

  fail(error: LiveProtocolError): void {
    const speaker = this.#dialect ?? this.#setup;
    this.transport.close(speaker?.closeCodeOf(error) ?? error.code, error.message);
  }

  // TransportHandler

  onPump(): void {
    while (this.#uniOpenings.length > 0) {
      const stream = this.transport.openUni();
      if (stream === undefined) break;
      this.#uniOpenings.shift()!(stream);
    }
    while (this.#bidiOpenings.length > 0) {
      const stream = this.transport.openBidi();
      if (stream === undefined) break;
      this.#bidiOpenings.shift()!(stream);
    }
    for (const output of this.#controls) if (output.pump()) this.#controls.delete(output);
    this.#dialect?.pump();
  }

  onUni(stream: ReceiveStream): void {
    (this.#dialect ?? this.#setup)!.onUni(stream);
  }

  onBidi(bidi: BidiStream): void {
    (this.#dialect ?? this.#setup)!.onBidi(bidi);
  }

  onEnd(end: SessionEnd): void {
    if (this.#over) return;
    this.#over = true;
    for (const cancel of this.#cancels) cancel();
    this.#bidiOpenings = [];
    this.#uniOpenings = [];
    this.#controls.clear();
    this.#dialect?.close(end.clean);
    this.#home.onSessionEnd(this, end);
    this.#onOver();
  }

  // Beginning

  /** Nothing of the remote is looked at until it is decided whether it may come in. */
  #admit(shown: ShownAtSetup, reply: () => void, begin: () => void): void {
    if (this.#admitAtSetup === undefined) {
      reply();
      begin();
      return;
    }
    if (this.#admitting) throw new LiveProtocolError("a second setup");
    this.#admitting = true;
    void this.#admitAtSetup(shown).then((outcome) => {
      if (this.#over) return;
      if ("code" in outcome) return this.close(outcome.code, outcome.reason);
      this.#grant = outcome;
      this.#endAtExpiry();
      this.#tellAdmitted();
      reply();
      begin();
    });
  }

  #beginLite(version: LiteVersion): void {
    this.#begin(new LiteDialect(this, version));
  }

  #beginIetf(draft: IetfDraft, setup: IetfSetup): void {
    this.#begin(new IetfDialect(this, draft, setup));
    this.#setup!.release(this);
  }

  #begin(dialect: Dialect): void {
    this.#dialect = dialect;
    dialect.start();
    this.#onReady();
  }
}
