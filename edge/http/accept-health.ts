/** `connection`: one that was lost before we had it; `exhausted`: the system had nothing left to accept it with. */
export type AcceptFailure = "connection" | "exhausted" | "unknown";

const classes: Readonly<Record<string, AcceptFailure>> = {
  ECONNABORTED: "connection",
  ECONNRESET: "connection",
  EPERM: "connection",
  EPROTO: "connection",
  EMFILE: "exhausted",
  ENFILE: "exhausted",
  ENOBUFS: "exhausted",
  ENOMEM: "exhausted",
};

/** How a listening socket fares at accepting connections. */
export class AcceptHealth {
  /** `web`, `internal`: the listener's name in metrics. */
  readonly listener: string;
  readonly failures: Record<AcceptFailure, number> = { connection: 0, exhausted: 0, unknown: 0 };
  readonly #now: () => number;
  #stalledAt: number | undefined;

  /** `now` in milliseconds. */
  constructor(listener: string, now: () => number) {
    this.listener = listener;
    this.#now = now;
  }

  /** How long no connection could be accepted; 0 while they can. */
  get stalledMs(): number {
    return this.#stalledAt === undefined ? 0 : this.#now() - this.#stalledAt;
  }

  accepted(): void {
    this.#stalledAt = undefined;
  }

  failed(error: NodeJS.ErrnoException): void {
    const failure = classes[error.code ?? ""] ?? "unknown";
    this.failures[failure]++;
    if (failure === "exhausted") this.#stalledAt ??= this.#now();
  }
}
