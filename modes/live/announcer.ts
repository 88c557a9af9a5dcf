import type { Cancel } from "#core/clock.ts";
import { type AnnounceRequest, hopsMax } from "#wire/live/announce.ts";
import { coveredPrefixes } from "./grant.ts";
import { type Route, samePublisher, type Watcher } from "./origin.ts";
import { joinPath, normalizePath, stripPrefix } from "./path.ts";
import type { SessionContext } from "./session-context.ts";
import type { TrackSource } from "./track.ts";

/** How broadcasts are told of in what the remote speaks; names are relative to the prefix it asked for. */
export interface Announcements {
  /** The remote learns which way a broadcast came, and can tell what came through itself. */
  readonly carriesHops: boolean;
  /** A second announcement of a name replaces the first; otherwise it has to end before. */
  readonly replaces: boolean;
  /** The remote learns what a way costs, and of every change. */
  readonly carriesCost: boolean;
  /** The answer begins. True: it tells of these broadcasts already; otherwise `active` tells of each, before any change. */
  begin(suffixes: readonly string[]): boolean;
  active(suffix: string, hops: readonly bigint[], cost: number): void;
  ended(suffix: string): void;
  /** Calls `next` whenever there is room for one more, which it tells of; it answers false if there is none. */
  feed(next: () => boolean): Cancel;
  /** `next` has something again. */
  wake(): void;
}

/** What the remote has still to be told of a path. */
interface Change {
  /** `undefined`: it is gone. */
  route: Route | undefined;
  /** It was gone in between: who watches its tracks has lost them, and must hear so. */
  interrupted: boolean;
}

/**
 * Answers one request for announcements: tells the remote what there is below a prefix, and every change.
 *
 * Changes wait as such until there is room, so that neither many broadcasts nor a slow remote make a queue.
 */
export class Announcer implements Watcher {
  readonly #session: SessionContext;
  readonly #self: TrackSource;
  readonly #announcements: Announcements;
  readonly #prefix: string;
  readonly #excludeHop: bigint;
  /** What the remote was told to be there. */
  readonly #told = new Map<string, Route>();
  readonly #changes = new Map<string, Change>();
  #cancels: Cancel[] = [];
  /** What there was at first, which the oldest and newest versions count: it is told whatever became of it. */
  readonly #initial = new Map<string, Route>();
  #collecting = true;

  /** `self`: the remote as a source, whose own broadcasts it is not told of. */
  constructor(
    session: SessionContext,
    self: TrackSource,
    announcements: Announcements,
    { prefix, excludeHop }: AnnounceRequest,
  ) {
    this.#session = session;
    this.#self = self;
    this.#announcements = announcements;
    this.#excludeHop = excludeHop;
    const relative = normalizePath(prefix) ?? "";
    this.#prefix = joinPath(session.grant.root, relative);
    for (const covered of coveredPrefixes(session.grant.get, relative)) {
      this.#cancels.push(session.origin.watch(joinPath(session.grant.root, covered), this));
    }
    this.#collecting = false;
    this.#tellFirst();
    this.#cancels.push(announcements.feed(() => this.#tellNext()));
  }

  close(): void {
    for (const cancel of this.#cancels) cancel();
    this.#cancels = [];
    for (const path of this.#told.keys()) this.#session.traffic.unannounced(path);
    this.#told.clear();
    this.#initial.clear();
    this.#changes.clear();
  }

  onRoutes(path: string, routes: readonly Route[]): void {
    const { origin, grant } = this.#session;
    if (!grant.cluster && !origin.shows(path, this.#prefix)) return;
    const route = routes.find((candidate) => this.#visible(candidate));
    if (this.#collecting) {
      if (route !== undefined) this.#initial.set(path, route);
      return;
    }
    const interrupted = route === undefined || (this.#changes.get(path)?.interrupted ?? false);
    this.#changes.set(path, { route, interrupted });
    this.#announcements.wake();
  }

  /** Not the remote's own, nothing that came through it, and among seed-style peers nothing from another peer. */
  #visible(route: Route): boolean {
    if (route.source === this.#self) return false;
    if (this.#excludeHop !== 0n && route.hops.includes(this.#excludeHop)) return false;
    if (route.hops.length >= hopsMax) return false;
    return !(this.#session.grant.cluster && !this.#announcements.carriesHops && route.source.cluster);
  }

  #tellFirst(): void {
    const suffixes = [...this.#initial.keys()].map((path) => this.#suffix(path));
    if (!this.#announcements.begin(suffixes)) return;
    for (const [path, route] of this.#initial) this.#nowTold(path, route);
    this.#initial.clear();
  }

  /** The next of what is to be told; false: there is none. */
  #tellNext(): boolean {
    for (const [path, route] of this.#initial) {
      this.#initial.delete(path);
      this.#nowTold(path, route);
      this.#announcements.active(this.#suffix(path), route.hops, route.cost);
      return true;
    }
    for (const [path, change] of this.#changes) {
      this.#changes.delete(path);
      this.#tell(path, change);
      return true;
    }
    return false;
  }

  #tell(path: string, { route, interrupted }: Change): void {
    const { replaces, carriesCost } = this.#announcements;
    const before = this.#told.get(path);
    if (route === undefined) {
      if (before === undefined) return;
      this.#told.delete(path);
      this.#session.traffic.unannounced(path);
      this.#announcements.ended(this.#suffix(path));
      return;
    }
    this.#nowTold(path, route);
    if (before !== undefined && !interrupted) {
      if (sameAnnouncement(before, route) && !(carriesCost && before.cost !== route.cost)) return;
      if (!replaces && samePublisher(before, route)) return;
    }
    if (before !== undefined && (interrupted || !replaces)) this.#announcements.ended(this.#suffix(path));
    this.#announcements.active(this.#suffix(path), route.hops, route.cost);
  }

  #nowTold(path: string, route: Route): void {
    if (!this.#told.has(path)) this.#session.traffic.announced(path);
    this.#told.set(path, route);
  }

  #suffix(path: string): string {
    return stripPrefix(this.#prefix, path) ?? path;
  }
}

const sameAnnouncement = (a: Route, b: Route): boolean =>
  samePublisher(a, b) && a.hops.length === b.hops.length && a.hops.every((hop, at) => hop === b.hops[at]);
