import type { Cancel, Clock, Entropy } from "#core/clock.ts";
import { liveError } from "#wire/live/error-code.ts";
import type { Transport } from "#wire/live/transport.ts";
import type { Route, Watcher } from "./origin.ts";
import { clusterPrefixes, joinPath, normalizePath, stripPrefix } from "./path.ts";
import { type Peer, parsePeer } from "./peer-list.ts";
import type { Relay } from "./relay.ts";
import type { TrackSink, TrackSource } from "./track.ts";

/** Opens a session with another relay; rejects if there is none to be had. `open` is called in the turn it opens. */
export type Dial = (url: URL, open: (transport: Transport) => void) => Promise<void>;

/** Configured at the start, listed by `cluster-connect-api`, or learned of from others. */
type Reason = "root" | "listed" | "learned";

export interface PeersOptions {
  /** Relays to connect with from the start; see `parsePeer`. */
  clusterRoot: readonly string[];
  /** Whether to connect with those that others tell of, and to be told of. */
  clusterMesh: boolean;
  /** Our own URL; `undefined`: others do not connect with us. */
  clusterNode: string | undefined;
  /** Label of the links' traffic; `undefined`: the usual one. */
  clusterTier?: string | undefined;
  clusterRetryMaxMs: number;
  clusterNodesMax: number;
}

export interface PeersSetup {
  relay: Relay;
  clock: Clock;
  entropy: Entropy;
  options: PeersOptions;
  /** Shown to the others; `undefined`: none. */
  token: string | undefined;
  dial: Dial;
  /** Hears that a link was lost or could not be had, without whom with. */
  onTrouble: (what: "unreachable" | "lost") => void;
}

/**
 * Our links with the other relays of a cluster.
 *
 * Each is an ordinary session in which both sides publish and watch everything; hop lists keep announcements from going
 * in circles. Nodes tell each other their URLs below `internal/origins`, and of two the one with the smaller URL dials.
 */
export class Peers implements Watcher {
  readonly #setup: PeersSetup;
  readonly #links = new Map<string, Link>();
  #cancels: Cancel[] = [];

  constructor(setup: PeersSetup) {
    this.#setup = setup;
  }

  /** Links that are up. */
  get linked(): number {
    return [...this.#links.values()].filter((link) => link.up).length;
  }

  /** The name that this relay has among the others; `undefined`: none. */
  get ownName(): string | undefined {
    return nodeName(this.#setup.options.clusterNode);
  }

  /** The links that are up, by the other relay's name. */
  *linkedSessions(): Generator<{ readonly name: string; readonly sessionId: string }> {
    for (const [name, { sessionId }] of this.#links) if (sessionId !== undefined) yield { name, sessionId };
  }

  start(): void {
    const { relay, options } = this.#setup;
    for (const root of options.clusterRoot) this.#connect(parsePeer(root), "root");
    if (!options.clusterMesh) return;
    const self = nodeName(options.clusterNode);
    for (const prefix of clusterPrefixes) {
      if (self !== undefined) relay.origin.announce(joinPath(prefix, self), nothingToSend, []);
      this.#cancels.push(relay.origin.watch(prefix, this));
    }
  }

  /** Connects with these besides, and no longer with those listed before that are not among them. */
  list(peers: readonly Peer[]): void {
    const names = new Set(peers.map(({ url }) => nodeName(url.href)!));
    for (const name of [...this.#links.keys()]) if (!names.has(name)) this.#release(name, "listed");
    for (const peer of peers) this.#connect(peer, "listed");
  }

  close(): void {
    for (const cancel of this.#cancels) cancel();
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }

  /** A node came or went. */
  onRoutes(path: string, routes: readonly Route[]): void {
    const name = clusterPrefixes.map((prefix) => stripPrefix(prefix, path)).find((suffix) => suffix);
    const self = nodeName(this.#setup.options.clusterNode);
    if (name === undefined || name === self) return;
    if (routes.length === 0) {
      this.#release(name, "learned");
      return;
    }
    // A node that others cannot reach dials all; of two that can be reached, one does.
    if (self !== undefined && self > name) return;
    const url = nodeUrl(name);
    if (url !== undefined) this.#connect({ url, cost: 1 }, "learned");
  }

  #release(name: string, reason: Reason): void {
    const link = this.#links.get(name);
    if (link === undefined || !link.reasons.delete(reason) || link.reasons.size > 0) return;
    link.close();
    this.#links.delete(name);
  }

  #connect({ url, cost }: Peer, reason: Reason): void {
    const name = nodeName(url.href)!;
    const known = this.#links.get(name);
    if (known?.isAt(url, cost) || (known && reason === "learned")) {
      known.reasons.add(reason);
      return;
    }
    if (known) {
      // The same relay, with another price or token than before.
      known.close();
      this.#links.delete(name);
    }
    if (this.#links.size >= this.#setup.options.clusterNodesMax) return;
    if (this.#setup.token !== undefined && !url.searchParams.has("jwt")) {
      url.searchParams.set("jwt", this.#setup.token);
    }
    const link = new Link(this.#setup, url, cost);
    link.reasons.add(reason);
    for (const before of known?.reasons ?? []) link.reasons.add(before);
    this.#links.set(name, link);
    link.open();
  }
}

/** A URL as a name: without scheme for the usual one, which is what other relays of this family write. */
function nodeName(url: string | undefined): string | undefined {
  if (url === undefined) return undefined;
  const { protocol, host, pathname } = new URL(url);
  const name = normalizePath(`${host}${pathname}`)!;
  return /^(http|ws|tcp|unix|moqt|moql):$/.test(protocol) ? `${protocol.slice(0, -1)}:${name}` : name;
}

/** Where the session is at the other relay; the path of a Unix socket's URL is the socket's. */
function sessionPathOf(url: URL): string {
  if (url.protocol !== "unix:") return url.pathname;
  return (url.searchParams.get("path") ?? "").split("?")[0]!;
}

/** The URL that a name stands for; `undefined` for what is no name of a node. */
export function nodeUrl(name: string): URL | undefined {
  const plain = /^(http|ws|tcp):(.+)$/.exec(name);
  const text = plain ? `${plain[1]}://${plain[2]}` : `https://${name}`;
  return URL.canParse(text) ? new URL(text) : undefined;
}

/** The broadcast that stands for a node has no tracks. */
const nothingToSend: TrackSource = {
  frameClass: "B",
  cluster: false,
  subscribe(_broadcast: string, _track: string, _options: unknown, sink: TrackSink) {
    sink.onError(liveError.notFound);
    return { update() {}, close() {} };
  },
};

/** One link, dialled again and again until it is closed. */
class Link {
  /** Why there is this link; without any, it goes. */
  readonly reasons = new Set<Reason>();
  readonly #setup: PeersSetup;
  readonly #url: URL;
  readonly #cost: number;
  #transport: Transport | undefined;
  #cancelRetry: Cancel = () => {};
  #failures = 0;
  #closed = false;

  constructor(setup: PeersSetup, url: URL, cost: number) {
    this.#setup = setup;
    this.#url = url;
    this.#cost = cost;
  }

  /** Whether this is a link there, at that price. */
  isAt(url: URL, cost: number): boolean {
    const [own, other] = [this.#url, url].map(({ searchParams }) => searchParams.get("jwt"));
    return this.#cost === cost && (own === other || other === null);
  }

  /** The session of the link; `undefined` while it is down. */
  sessionId: string | undefined;

  get up(): boolean {
    return this.#transport !== undefined;
  }

  open(): void {
    this.#setup
      .dial(this.#url, (transport) => this.#opened(transport))
      .catch(() => this.#retry("unreachable"));
  }

  close(): void {
    this.#closed = true;
    this.#cancelRetry();
    this.#transport?.close(liveError.cancel, "the link is not needed any more");
  }

  #opened(transport: Transport): void {
    const root = normalizePath(sessionPathOf(this.#url)) ?? "";
    const { clusterTier: tier } = this.#setup.options;
    const grant = {
      root,
      put: [""],
      get: [""],
      cluster: true,
      linkCost: this.#cost,
      expiresAt: undefined,
      ...(tier === undefined ? {} : { tier }),
    };
    const session = this.#setup.relay.accept(transport, grant);
    this.#transport = transport;
    this.sessionId = session.id;
    session.whenOver(() => {
      this.#transport = undefined;
      this.sessionId = undefined;
      this.#retry("lost");
    });
    if (this.#closed) this.close();
    else session.whenReady(() => (this.#failures = 0));
  }

  /** Waits twice as long each time, and a random part of it less, so that many do not come back at once. */
  #retry(what: "unreachable" | "lost"): void {
    if (this.#closed) return;
    const { clock, entropy, options, onTrouble } = this.#setup;
    onTrouble(what);
    const longest = Math.min(
      options.clusterRetryMaxMs,
      (options.clusterRetryMaxMs / 10) * 2 ** this.#failures++,
    );
    const share = 0.5 + entropy.bytes(1)[0]! / 512;
    this.#cancelRetry = clock.after(longest * share, () => this.open());
  }
}
