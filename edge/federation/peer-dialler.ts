import { WebSocket } from "ws";
import { pauseMs } from "#core/backoff.ts";
import type { Cancel, Clock, Entropy } from "#core/clock.ts";
import type { PeerLink, PeerSession } from "#wire/federation/peer-link.ts";
import { federationPath } from "./peer-acceptor.ts";
import { PeerAddressError, peerAddress } from "./peer-address.ts";
import { endSocket, servePeer } from "./peer-socket.ts";

const backoff = { firstPauseMs: 1000, longestPauseMs: 60_000, retryAfterMaxMs: 0 };
const connectTimeoutMs = 10_000;

export interface PeerDiallerSetup {
  /** As the operator wrote it; `/federation` is behind it. */
  readonly url: string;
  readonly allowPrivate: readonly string[];
  readonly messageMaxBytes: number;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly open: (link: PeerLink) => PeerSession;
  /** Hears of the first call of a row that failed, without the peer's name. */
  readonly onTrouble: (what: string) => void;
}

/** Keeps one peer on the line: calls it again when the connection ends, after longer and longer pauses. */
export class PeerDialler {
  readonly #setup: PeerDiallerSetup;
  readonly #url: URL;
  #socket: WebSocket | undefined;
  #cancel: Cancel = () => {};
  #failures = 0;
  #calls = 0;
  #failedCalls = 0;
  #closed = false;

  constructor(setup: PeerDiallerSetup) {
    this.#setup = setup;
    const base = new URL(setup.url);
    // Exactly this path: the original refuses one with two slashes.
    base.pathname = base.pathname.replace(/\/+$/, "") + federationPath;
    this.#url = base;
  }

  get calls(): number {
    return this.#calls;
  }

  get failedCalls(): number {
    return this.#failedCalls;
  }

  start(): void {
    void this.#call();
  }

  close(graceMs: number): void {
    this.#closed = true;
    this.#cancel();
    if (this.#socket) endSocket(this.#socket, graceMs, this.#setup.clock);
  }

  async #call(): Promise<void> {
    const { allowPrivate, messageMaxBytes, clock, open, onTrouble } = this.#setup;
    this.#calls++;
    let at: Awaited<ReturnType<typeof peerAddress>>;
    try {
      at = await peerAddress(this.#url, allowPrivate);
    } catch (error) {
      if (!(error instanceof PeerAddressError)) throw error;
      if (this.#failures === 0) onTrouble(`a peer is not called: ${error.message}`);
      return this.#failed();
    }
    if (this.#closed) return;
    const socket = new WebSocket(this.#url, {
      maxPayload: messageMaxBytes,
      perMessageDeflate: false,
      handshakeTimeout: connectTimeoutMs,
      followRedirects: false,
      // The address that was looked at is the one that is called.
      lookup: (_host, options, found) =>
        options.all ? found(null, [at]) : found(null, at.address, at.family),
    });
    this.#socket = socket;
    let session: PeerSession | undefined;
    socket.on("open", () =>
      servePeer(
        socket,
        (link) => {
          session = open(link);
          return session;
        },
        clock,
      ),
    );
    // Closing follows.
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#socket = undefined;
      const wasEstablished = session?.isEstablished === true;
      if (wasEstablished) this.#failures = 0;
      else if (this.#failures === 0 && !this.#closed) onTrouble("a peer does not answer");
      this.#failed(wasEstablished);
    });
  }

  #failed(wasEstablished = false): void {
    if (this.#closed) return;
    this.#failures++;
    if (!wasEstablished) this.#failedCalls++;
    const ms = pauseMs(this.#failures, backoff, this.#setup.entropy);
    this.#cancel = this.#setup.clock.after(ms, () => void this.#call());
  }
}
