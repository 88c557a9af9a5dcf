import type { Cancel } from "#core/clock.ts";
import type { PeerLink, PeerSession } from "#wire/federation/peer-link.ts";
import { Limiter } from "../limiter.ts";
import { FederationContext, type FederationCounts, type FederationSetup } from "./context.ts";
import { InboundSession } from "./inbound-session.ts";
import { Offloader } from "./offloader.ts";
import { OutboundSession } from "./outbound-session.ts";

/**
 * Mailbox relays that help each other out: one that gets full gives its oldest messages to peers and tells their owners
 * where they went (mailbox protocol, "Federation"). Messages flow from who called to who was called.
 */
export class Federation {
  readonly #context: FederationContext;
  readonly #limiter: Limiter;
  readonly #offloader: Offloader;
  readonly #inbound = new Set<InboundSession>();
  readonly #outbound = new Set<OutboundSession>();

  constructor(setup: FederationSetup) {
    this.#context = new FederationContext(setup);
    this.#limiter = new Limiter(setup.config.federationRateLimit, setup.clock);
    this.#offloader = new Offloader(this.#context, setup.hints, () => this.#outbound);
  }

  get counts(): Readonly<FederationCounts> {
    return this.#context.counts;
  }

  /** Relays that called us and are connected. */
  get inbound(): number {
    return this.#inbound.size;
  }

  /** Relays that we called and that greeted back. */
  get outbound(): number {
    return [...this.#outbound].filter(({ isEstablished }) => isEstablished).length;
  }

  /** A relay called. Undefined where as many are connected as may be. */
  accept(link: PeerLink): PeerSession | undefined {
    if (this.#inbound.size >= this.#context.config.federationMaxLinks) return undefined;
    const session: InboundSession = new InboundSession(this.#context, link, this.#limiter, () =>
      this.#inbound.delete(session),
    );
    this.#inbound.add(session);
    return session;
  }

  /** A peer answered our call. */
  dialled(url: string, link: PeerLink): PeerSession {
    const session: OutboundSession = new OutboundSession(this.#context, url, link, () =>
      this.#outbound.delete(session),
    );
    this.#outbound.add(session);
    return session;
  }

  /** Looks after what is too much, now and again, until the returned function is called. */
  offloadRegularly(): Cancel {
    const { clock, config, report } = this.#context;
    let cancel: Cancel;
    const arm = () => {
      cancel = clock.after(config.federationCapacityIntervalMs, () => {
        arm();
        this.offload().catch(report);
      });
    };
    arm();
    return () => cancel();
  }

  async offload(): Promise<void> {
    await this.#offloader.run();
  }

  /** Tells every relay that this one goes away. */
  drain(): void {
    const seconds = Math.floor(this.#context.config.federationDrainTimeoutMs / 1000);
    const notice = { type: "DrainNotice", drain_timeout_secs: seconds } as const;
    for (const session of [...this.#inbound, ...this.#outbound]) {
      if (session.isEstablished) session.tell(notice);
    }
  }
}
