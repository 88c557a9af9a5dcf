import type { Transport } from "./transport.ts";

/** What a client says when it knocks, before there is a connection. */
export interface Knock {
  /** Path of the URL, percent-decoded by nobody. */
  path: string;
  query: URLSearchParams;
  /** The `Authorization` header. */
  authorization: string | undefined;
}

/** The way in was refused; `status` is what an HTTP client is told. */
export class KnockRefusedError extends Error {
  override readonly name = "KnockRefusedError";
  readonly status: 400 | 401 | 403 | 502 | 503;

  constructor(status: KnockRefusedError["status"], message: string) {
    super(message);
    this.status = status;
  }
}

/** What a listening edge needs of live: `admit` before the handshake is answered, then `accept`. */
export interface LiveAcceptor<Admission> {
  /** Rejects with `KnockRefusedError`. */
  admit(knock: Knock): Promise<Admission>;
  accept(transport: Transport, admission: Admission): void;
}
