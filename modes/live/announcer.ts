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
  /** All there is at first. */
  initial(broadcasts: readonly { suffix: string; hops: readonly bigint[] }[]): void;
  active(suffix: string, hops: readonly bigint[]): void;
  ended(suffix: string): void;
}

/** Answers one request for announcements: tells the remote what there is below a prefix, and every change. */
export class Announcer implements Watcher {
  readonly #session: SessionContext;
  readonly #self: TrackSource;
  readonly #announcements: Announcements;
  readonly #prefix: string;
  readonly #excludeHop: bigint;
  /** What the remote believes to be there. */
  readonly #told = new Map<string, Route>();
  #cancels: Cancel[] = [];
  /** Collects what is there at first, which the oldest and newest versions count. */
  #initial: Map<string, Route> | undefined = new Map();

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
    this.#sendInitial();
  }

  close(): void {
    for (const cancel of this.#cancels) cancel();
    this.#cancels = [];
    for (const path of this.#told.keys()) this.#session.traffic.unannounced(path);
    this.#told.clear();
  }

  onRoutes(path: string, routes: readonly Route[]): void {
    const { origin, grant } = this.#session;
    if (!grant.cluster && !origin.shows(path, this.#prefix)) return;
    const route = routes.find((candidate) => this.#visible(candidate));
    if (this.#initial !== undefined) {
      if (route !== undefined) this.#initial.set(path, route);
      return;
    }
    const before = this.#told.get(path);
    if (route === undefined) {
      if (before === undefined) return;
      this.#told.delete(path);
      this.#session.traffic.unannounced(path);
      this.#announcements.ended(this.#suffix(path));
      return;
    }
    this.#told.set(path, route);
    if (before === undefined) this.#session.traffic.announced(path);
    if (before !== undefined && sameAnnouncement(before, route)) return;
    if (before !== undefined && !this.#announcements.replaces) {
      if (samePublisher(before, route)) return;
      this.#announcements.ended(this.#suffix(path));
    }
    this.#announcements.active(this.#suffix(path), route.hops);
  }

  /** Not the remote's own, nothing that came through it, and among seed-style peers nothing from another peer. */
  #visible(route: Route): boolean {
    if (route.source === this.#self) return false;
    if (this.#excludeHop !== 0n && route.hops.includes(this.#excludeHop)) return false;
    if (route.hops.length >= hopsMax) return false;
    return !(this.#session.grant.cluster && !this.#announcements.carriesHops && route.source.cluster);
  }

  #sendInitial(): void {
    const initial = this.#initial!;
    this.#initial = undefined;
    for (const [path, route] of initial) {
      this.#told.set(path, route);
      this.#session.traffic.announced(path);
    }
    this.#announcements.initial(
      [...initial].map(([path, { hops }]) => ({ suffix: this.#suffix(path), hops })),
    );
  }

  #suffix(path: string): string {
    return stripPrefix(this.#prefix, path) ?? path;
  }
}

const sameAnnouncement = (a: Route, b: Route): boolean =>
  samePublisher(a, b) && a.hops.length === b.hops.length && a.hops.every((hop, at) => hop === b.hops[at]);
