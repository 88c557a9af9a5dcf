import { type BackoffLimits, clientBackoff, pause, pauseMs } from "../../../../core/backoff.ts";
import { type Cancel, type Clock, type Entropy, systemClock, systemEntropy } from "../../../../core/clock.ts";
import { liveError } from "../../../../wire/live/error-code.ts";
import { normalizePath } from "../../../../wire/live/path.ts";
import type { SessionEnd } from "../../../../wire/live/transport.ts";
import { PosternError } from "../errors.ts";
import { type Fetch, platformFetch } from "../inbox-http.ts";
import type { Secret } from "../sealing.ts";
import { type Announced, OwnAnnounced } from "./announced.ts";
import { type Broadcast, OwnBroadcast } from "./broadcast.ts";
import { Connection, type ConnectionHome } from "./connection.ts";
import { type DialOptions, dial, type LiveTransport, parseHash } from "./dial.ts";
import { FrameSealer } from "./frame-sealing.ts";
import { LIVE_LIMITS, type LiveLimits } from "./limits.ts";
import { announcedUrl, parseLiveUrl } from "./live-url.ts";
import {
  OwnSubscription,
  type SubscriberHome,
  type Subscription,
  type SubscriptionOptions,
} from "./subscription.ts";
import type { WebSocketConstructor } from "./websocket-transport.ts";
import type { WebTransportConstructor } from "./webtransport-transport.ts";

export interface LiveOptions {
  /** A JSON Web Token that lets the session in; sent as `?jwt=`. */
  readonly token?: string;
  /** `auto`, unless given: WebTransport where it works, otherwise a WebSocket. */
  readonly transport?: LiveTransport | "auto";
  /** SHA-256 hashes, 64 hexadecimal digits each, of certificates to trust over WebTransport. */
  readonly certificateHashes?: readonly string[];
  /**
   * Connects again whenever the connection goes away, with growing pauses, and goes on with all that is published and
   * subscribed. Off unless given: then the first loss ends the session.
   */
  readonly reconnect?: boolean;
  /** Ends the session, or the attempt to connect. */
  readonly signal?: AbortSignal;
  /** The connection is there, the first or another. */
  readonly onConnect?: (connection: LiveConnection) => void;
  /** The connection went away, or could not be had again; it is tried again after `pauseMs`. */
  readonly onTrouble?: (trouble: LiveTrouble) => void;
  /** The relay asks us to leave, for `uri` where it names one. With `reconnect` that is done already. */
  readonly onGoaway?: (uri: string) => void;
  readonly limits?: Partial<LiveLimits & BackoffLimits>;
  readonly clock?: Clock;
  readonly entropy?: Entropy;
  readonly fetch?: Fetch;
  /** The platform's unless given. */
  readonly WebSocket?: WebSocketConstructor;
  readonly WebTransport?: WebTransportConstructor;
}

/** What a session runs over. */
export interface LiveConnection {
  readonly transport: LiveTransport;
  /** Of moq-lite. */
  readonly version: number;
}

export interface LiveTrouble {
  /** The HTTP status with which the relay refused; absent when there was no answer, or a connection that ended. */
  readonly status?: number;
  readonly pauseMs: number;
}

/** Why a session ended. */
export interface LiveEnd {
  /** Of moq-lite; 0: nothing is wrong. */
  readonly code: number;
  readonly reason: string;
}

export interface PublishOptions {
  /** Seals every frame, for subscribers who have the same secret; the relay sees ciphertext. */
  readonly secret?: Secret;
}

export interface SubscribeOptions extends SubscriptionOptions {
  /** Opens what was sealed with it. */
  readonly secret?: Secret;
  /** First and last group; the latest, and without end, unless given. */
  readonly startGroup?: number;
  readonly endGroup?: number;
  /**
   * Waits until the broadcast is there, and again whenever it went away. Otherwise a track that is not there rejects,
   * and the end of the track ends the loop.
   */
  readonly follow?: boolean;
  /** Ends the subscription. */
  readonly signal?: AbortSignal;
}

/** Statuses with which a relay refuses for good. */
const refusals = [401, 403];

/**
 * A session with the live mode of a relay: `https://relay.example/room`. All names are relative to the URL's path.
 *
 * Rejects with PosternError `option_invalid`, `aborted`, `relay_unreachable`, and `relay_refused` where the token does
 * not let us in there (401, 403) or the relay has no live mode (404).
 */
export async function connectLive(url: string | URL, options: LiveOptions = {}): Promise<LiveSession> {
  const session = new OwnSession(parseLiveUrl(url, options.token), options);
  await session.connect();
  return session;
}

/** See `connectLive`. */
export interface LiveSession extends Disposable {
  /** What the session runs over, or did last. */
  readonly connection: LiveConnection;
  /** Resolves when the session is over for good; never rejects. */
  readonly closed: Promise<LiveEnd>;
  /**
   * Announces a broadcast until it, or the session, is ended. Add tracks to it.
   *
   * @throws PosternError `option_invalid`: not a path, or published already; `secret_malformed`, `session_ended`
   */
  publish(path: string, options?: PublishOptions): Broadcast;
  /**
   * The broadcasts below `prefix`, those that are there first. Its loop throws PosternError `session_ended`.
   *
   * @throws PosternError `option_invalid`, `session_ended`
   */
  announced(prefix?: string, options?: { readonly signal?: AbortSignal }): Announced;
  /**
   * The groups of a track. Their loop throws PosternError `track_unavailable`, with the code in `details.streamCode`
   * (13: nobody publishes it), and `session_ended`.
   *
   * @throws PosternError `option_invalid`, `secret_malformed`, `session_ended`
   */
  subscribe(path: string, track: string, options?: SubscribeOptions): Subscription;
  /** Ends the session, telling the relay; loops over its tracks end. */
  close(code?: number, reason?: string): void;
}

/** A session as its connections see it. */
class OwnSession implements LiveSession, ConnectionHome, SubscriberHome {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly limits: LiveLimits;
  readonly retry: BackoffLimits;
  readonly originId: bigint;
  readonly broadcasts = new Map<string, OwnBroadcast>();
  readonly closed: Promise<LiveEnd>;
  readonly #options: LiveOptions;
  readonly #dialOptions: DialOptions;
  #url: URL;
  #connection: Connection | undefined;
  #isOver = false;
  #info: LiveConnection | undefined;
  #isReconnecting = false;
  /** With which the relay refused the last attempt. */
  #status: number | undefined;
  #giveUpAttempt: Cancel = () => {};
  readonly #stop = new AbortController();
  #resolveClosed!: (end: LiveEnd) => void;
  readonly #users = new Set<OwnSubscription | OwnAnnounced>();
  readonly #kinds = new WeakMap<Connection, LiveTransport>();
  readonly #opening = new WeakMap<Connection, (end: SessionEnd | undefined) => void>();

  constructor(url: URL, options: LiveOptions) {
    this.#url = url;
    this.#options = options;
    this.clock = options.clock ?? systemClock();
    this.entropy = options.entropy ?? systemEntropy;
    this.limits = { ...LIVE_LIMITS, ...options.limits };
    this.retry = { ...clientBackoff, ...options.limits };
    this.originId = this.entropy.bytes(6).reduce((id, byte) => (id << 8n) | BigInt(byte), 0n) | 1n;
    const platform = globalThis as {
      WebSocket?: WebSocketConstructor;
      WebTransport?: WebTransportConstructor;
    };
    this.#dialOptions = {
      transport: options.transport ?? "auto",
      WebSocket: options.WebSocket ?? platform.WebSocket,
      WebTransport: options.WebTransport ?? platform.WebTransport,
      certificateHashes: options.certificateHashes?.map(hashOf),
      limits: this.limits,
      clock: this.clock,
      fetch: options.fetch ?? platformFetch,
    };
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  get connection(): LiveConnection {
    return this.#info!;
  }

  publish(path: string, { secret }: PublishOptions = {}): Broadcast {
    this.#assertOpen();
    const name = pathOf(path);
    if (this.broadcasts.has(name)) throw invalid("path", "it is published already");
    const sealer = secret === undefined ? undefined : new FrameSealer(secret);
    const broadcast = new OwnBroadcast(name, this, sealer, () => {
      this.broadcasts.delete(name);
      this.#connection?.unannounce(name);
    });
    this.broadcasts.set(name, broadcast);
    this.#connection?.announce(name);
    return broadcast;
  }

  announced(prefix = "", { signal }: { signal?: AbortSignal } = {}): Announced {
    const announced = new OwnAnnounced(pathOf(prefix), this.clock, (over) => this.#users.delete(over));
    return this.#use(announced, signal);
  }

  subscribe(path: string, track: string, options: SubscribeOptions = {}): Subscription {
    const { secret, signal, startGroup, endGroup, follow = false, ...how } = options;
    const request = { broadcast: pathOf(path), track, startGroup, endGroup, follow, ...how };
    const sealer = secret === undefined ? undefined : new FrameSealer(secret);
    const subscription = new OwnSubscription(this, request, sealer, (over) => this.#users.delete(over));
    return this.#use(subscription, signal);
  }

  close(code = 0, reason = ""): void {
    this.#finish({ code, reason }, true);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The first connection. Called once, by `connectLive`. */
  async connect(): Promise<void> {
    const { signal } = this.#options;
    signal?.addEventListener("abort", () => this.close(), { once: true });
    try {
      if (signal?.aborted) throw new PosternError("aborted", { cause: signal.reason });
      await this.#attempt(this.#url);
    } catch (error) {
      this.#finish({ code: liveError.transport, reason: "" }, true);
      throw error;
    }
  }

  // ConnectionHome

  onReady(connection: Connection): void {
    const before = this.#connection;
    this.#connection = connection;
    this.#info = { transport: this.#kinds.get(connection)!, version: connection.version };
    for (const user of this.#users) user.attach(connection);
    before?.close(0, "");
    this.#opening.get(connection)?.(undefined);
    this.#options.onConnect?.(this.#info);
  }

  onGoaway(connection: Connection, uri: string): void {
    if (connection !== this.#connection) return;
    if (this.#options.reconnect) {
      // What we have stays until its successor is there.
      this.#url = movedTo(this.#url, uri);
      for (const user of this.#users) if (user instanceof OwnSubscription) user.expectMove();
      void this.#reconnect();
    }
    this.#options.onGoaway?.(uri);
  }

  onEnd(connection: Connection, end: SessionEnd): void {
    this.#opening.get(connection)?.(end);
    if (connection !== this.#connection) return;
    this.#connection = undefined;
    const isRefusal = end.code === liveError.unauthorized && end.clean;
    if (this.#isOver) return;
    if (!this.#options.reconnect || isRefusal) {
      this.#finish(end, false);
      return;
    }
    for (const user of this.#users) if (user instanceof OwnSubscription) user.detach();
    void this.#reconnect();
  }

  #use<User extends OwnSubscription | OwnAnnounced>(user: User, signal: AbortSignal | undefined): User {
    this.#assertOpen();
    this.#users.add(user);
    signal?.addEventListener("abort", () => user.close(), { once: true });
    if (signal?.aborted) user.close();
    else if (this.#connection !== undefined) user.attach(this.#connection);
    return user;
  }

  #assertOpen(): void {
    if (this.#isOver) throw new PosternError("session_ended");
  }

  /** One connection: resolves when it can be used. */
  async #attempt(url: URL): Promise<void> {
    const { promise, resolve, reject } = withResolvers<void>();
    this.#giveUpAttempt = dial(url, this.#dialOptions, {
      open: (transport, kind) => {
        const connection = new Connection(this, transport);
        this.#kinds.set(connection, kind);
        this.#opening.set(connection, (end) => {
          this.#opening.delete(connection);
          if (end === undefined) resolve();
          else {
            const code = end.clean ? "relay_refused" : "relay_unreachable";
            reject(new PosternError(code, { details: { closeCode: end.code } }));
          }
        });
        this.#giveUpAttempt = () => connection.close(0, "");
        connection.start();
      },
      fail: reject,
    });
    try {
      await promise;
    } catch (error) {
      if (this.#isOver) {
        throw new PosternError("aborted", { cause: this.#options.signal?.reason });
      }
      if (error instanceof PosternError) throw error;
      throw await this.#explained(url, error);
    }
  }

  /** A WebSocket and WebTransport keep to themselves why they were refused; a plain request is told. */
  async #explained(url: URL, cause: unknown): Promise<PosternError> {
    const stop = new AbortController();
    const disarm = this.clock.after(this.limits.connectMaxMs, () => stop.abort());
    try {
      const { status } = await this.#dialOptions.fetch(announcedUrl(url).href, { signal: stop.signal });
      const isRefused = refusals.includes(status) || status === 404;
      return new PosternError(isRefused ? "relay_refused" : "relay_unreachable", {
        details: { status },
        cause,
      });
    } catch {
      return new PosternError("relay_unreachable", { cause });
    } finally {
      disarm();
    }
  }

  async #reconnect(): Promise<void> {
    if (this.#isReconnecting) return;
    this.#isReconnecting = true;
    for (let failures = 1; !this.#isOver; failures++) {
      const trouble = await this.#tryAgain(failures);
      if (trouble === undefined) break;
    }
    this.#isReconnecting = false;
    // It may have been lost again meanwhile.
    if (!this.#isOver && this.#connection === undefined) void this.#reconnect();
  }

  /** A pause and an attempt; what went wrong. */
  async #tryAgain(failures: number): Promise<unknown> {
    const ms = pauseMs(failures, this.retry, this.entropy);
    const status = this.#status;
    this.#options.onTrouble?.({ pauseMs: ms, ...(status === undefined ? {} : { status }) });
    await pause(this.clock, ms, this.#stop.signal);
    if (this.#isOver) return undefined;
    try {
      await this.#attempt(this.#url);
      this.#status = undefined;
      return undefined;
    } catch (error) {
      if (this.#isOver) return undefined;
      this.#status = error instanceof PosternError ? error.details.status : undefined;
      if (this.#status !== undefined && refusals.includes(this.#status)) {
        this.#finish({ code: liveError.unauthorized, reason: "the relay refused the session" }, false);
      }
      return error;
    }
  }

  #finish({ code, reason }: LiveEnd, isOurs: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stop.abort();
    this.#giveUpAttempt();
    for (const broadcast of [...this.broadcasts.values()]) broadcast.end();
    const error = isOurs ? undefined : new PosternError("session_ended", { details: { closeCode: code } });
    for (const user of [...this.#users]) user.sessionEnded(error);
    this.#connection?.close(code, reason);
    this.#connection = undefined;
    this.#resolveClosed({ code, reason });
  }
}

function hashOf(text: string): Uint8Array<ArrayBuffer> {
  const hash = parseHash(text);
  if (hash === undefined) throw invalid("certificateHashes", "expected 64 hexadecimal digits");
  return hash;
}

function pathOf(path: string): string {
  const name = normalizePath(path);
  if (name === undefined) throw invalid("path", "it has too many parts");
  return name;
}

/** Where a relay sends us, if it says; the path and the token stay unless it names others. */
function movedTo(from: URL, uri: string): URL {
  if (!URL.canParse(uri, from)) return from;
  const to = new URL(uri, from);
  if (uri === "" || (to.protocol !== "https:" && to.protocol !== "http:")) return from;
  if (to.pathname === "/") to.pathname = from.pathname;
  if (to.search === "") to.search = from.search;
  return to;
}

const invalid = (option: string, why: string) =>
  new PosternError("option_invalid", { message: `${option}: ${why}.`, details: { option } });

function withResolvers<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
