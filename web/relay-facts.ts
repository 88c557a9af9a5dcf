/** `GET /relay.json`: what this relay does and its limits in effect, as the page and other programs read it. */
export interface RelayFacts {
  readonly name: string;
  readonly version: string;
  readonly modes: {
    readonly rendezvous: boolean;
    readonly mailbox: boolean;
    readonly live: boolean;
    readonly ohttp: boolean;
  };
  /** For one client address; null: no limit. */
  readonly requestsPerMinute: number | null;
  readonly rendezvous: {
    readonly maxBodyBytes: number;
    /** How long a message is kept, in milliseconds. */
    readonly keptMs: number;
    /** How long a read of an empty inbox is held. */
    readonly inboxWaitMs: number;
    readonly linkWaitMs: number;
    /** A message is on disk before it is answered. */
    readonly durable: boolean;
  };
  /** Null where the mode is off. */
  readonly mailbox: {
    readonly maxMessageBytes: number;
    readonly keptMs: number;
    readonly waitMs: number;
  } | null;
  /** Null where the mode is off. */
  readonly live: {
    /** Prefixes below which anybody may publish, and watch, without a token; `""` is everything. */
    readonly publicPublish: readonly string[];
    readonly publicWatch: readonly string[];
    readonly webTransport: boolean;
  } | null;
}
