import type { Cancel, Clock } from "#core/clock.ts";
import { liveError } from "#wire/live/error-code.ts";
import type { GroupCache } from "./cache.ts";
import type { LiveLimits } from "./limits.ts";
import { hasPrefix, isClusterPath, prefixesOf } from "./path.ts";
import { Track, type TrackSource } from "./track.ts";
import type { TrafficCounts } from "./traffic.ts";

/** One way to a broadcast. */
export interface Route {
  readonly source: TrackSource;
  /** Relays and publisher on the way, the publisher first. */
  readonly hops: readonly bigint[];
  /** Crossings of links on the way, each at its price, or 1 where that is not known: the cheaper the better. */
  readonly cost: number;
  /** Counts up: the newer of two equal routes is better. */
  readonly number: number;
}

/** One who is told what is announced below a prefix. */
export interface Watcher {
  /** The routes to `path`, best first, have changed; none: it is gone. */
  onRoutes(path: string, routes: readonly Route[]): void;
}

/** Whether two routes lead to the same publisher, so that its tracks go on. An unknown one is nobody's equal. */
export function samePublisher(a: Route, b: Route): boolean {
  if (a === b) return true;
  const publisher = a.hops[0];
  return publisher !== undefined && publisher !== 0n && publisher === b.hops[0];
}

const byWorth = (a: Route, b: Route): number =>
  a.cost - b.cost || a.hops.length - b.hops.length || b.number - a.number;

/** A name, the ways to it, and the tracks somebody wants of it. */
export class Broadcast {
  readonly path: string;
  /** Best first. Empty while a broadcast lingers whose publisher vanished. */
  routes: Route[] = [];
  /** The route the tracks come by; while lingering, the last one. */
  current: Route;
  readonly tracks = new Map<string, Track>();
  cancelLinger: Cancel | undefined;

  constructor(path: string, route: Route) {
    this.path = path;
    this.current = route;
  }

  closeTracks(code: number): void {
    for (const track of [...this.tracks.values()]) track.close(code);
  }
}

/** Everything that is announced on this relay, and who watches it. */
export class Origin {
  readonly #limits: LiveLimits;
  readonly #clock: Clock;
  readonly #cache: GroupCache;
  readonly #counts: TrafficCounts;
  readonly #broadcasts = new Map<string, Broadcast>();
  readonly #watchers = new Map<string, Set<Watcher>>();
  #routes = 0;
  /** What is below is shown only to who asks for something below it: it is about the relay, not of its users. */
  hiddenPrefix: string | undefined;

  constructor(limits: LiveLimits, clock: Clock, cache: GroupCache, counts: TrafficCounts) {
    this.#limits = limits;
    this.#clock = clock;
    this.#cache = cache;
    this.#counts = counts;
  }

  get broadcasts(): Iterable<Broadcast> {
    return this.#broadcasts.values();
  }

  get broadcastCount(): number {
    return this.#broadcasts.size;
  }

  get watcherCount(): number {
    let count = 0;
    for (const watchers of this.#watchers.values()) count += watchers.size;
    return count;
  }

  find(path: string): Broadcast | undefined {
    return this.#broadcasts.get(path);
  }

  /** Whether who asks for all below `prefix`, and is no relay of the cluster, is shown the broadcast. */
  shows(path: string, prefix: string): boolean {
    if (isClusterPath(path)) return false;
    const { hiddenPrefix: hidden } = this;
    return hidden === undefined || !hasPrefix(hidden, path) || hasPrefix(hidden, prefix);
  }

  /**
   * `source` has the broadcast, over a link at `linkCost`; the crossings before it cost `passedCost`. A second time
   * replaces its route.
   */
  announce(
    path: string,
    source: TrackSource,
    hops: readonly bigint[],
    linkCost = 1,
    passedCost = hops.length - 1,
  ): void {
    const cost = Math.min(passedCost + linkCost, Number.MAX_SAFE_INTEGER);
    const route: Route = { source, hops, cost, number: this.#routes++ };
    const broadcast = this.#broadcasts.get(path);
    if (!broadcast?.routes.some((known) => known.source === source))
      this.#counts.announced(path, source.tier ?? "", "subscriber");
    if (broadcast === undefined) {
      const fresh = new Broadcast(path, route);
      fresh.routes = [route];
      this.#broadcasts.set(path, fresh);
      this.#tell(fresh);
      return;
    }
    broadcast.cancelLinger?.();
    broadcast.cancelLinger = undefined;
    broadcast.routes = [...broadcast.routes.filter((other) => other.source !== source), route].sort(byWorth);
    this.#reroute(broadcast);
  }

  /** `source` has it no longer; `abruptly`: without saying so, and may be back soon. */
  unannounce(path: string, source: TrackSource, abruptly: boolean): void {
    const broadcast = this.#broadcasts.get(path);
    if (broadcast === undefined || !broadcast.routes.some((route) => route.source === source)) return;
    broadcast.routes = broadcast.routes.filter((route) => route.source !== source);
    this.#counts.unannounced(path, source.tier ?? "", "subscriber");
    if (broadcast.routes.length > 0) {
      this.#reroute(broadcast);
      return;
    }
    if (!abruptly || this.#limits.announceLingerMs === 0) {
      this.#drop(broadcast);
      return;
    }
    for (const track of broadcast.tracks.values()) track.detach();
    broadcast.cancelLinger = this.#clock.after(this.#limits.announceLingerMs, () => this.#drop(broadcast));
  }

  /** The track. `undefined`: nobody announces the broadcast, or as many of its tracks as may be are wanted already. */
  track(path: string, name: string): Track | undefined {
    const broadcast = this.#broadcasts.get(path);
    if (broadcast === undefined) return undefined;
    const known = broadcast.tracks.get(name);
    if (known !== undefined) return known;
    if (broadcast.tracks.size >= this.#limits.tracksMax) return undefined;
    const track = new Track(path, name, this.#limits, this.#clock, this.#cache, this.#counts, (ended) => {
      if (broadcast.tracks.get(name) === ended) broadcast.tracks.delete(name);
    });
    broadcast.tracks.set(name, track);
    return track;
  }

  /** Starts the track where it was only just made; call it once its first subscriber is in place. */
  start(track: Track): void {
    const broadcast = this.#broadcasts.get(track.broadcast);
    if (broadcast === undefined || broadcast.routes.length === 0) return;
    if (broadcast.tracks.get(track.name) === track && !track.attached) track.attach(broadcast.current.source);
  }

  /** Tells `watcher` of everything below `prefix`, at once and from now on. */
  watch(prefix: string, watcher: Watcher): Cancel {
    const watchers = this.#watchers.get(prefix) ?? new Set();
    this.#watchers.set(prefix, watchers.add(watcher));
    for (const broadcast of this.#broadcasts.values()) {
      for (const above of prefixesOf(broadcast.path)) {
        if (above === prefix) watcher.onRoutes(broadcast.path, this.#visible(broadcast));
      }
    }
    return () => {
      watchers.delete(watcher);
      if (watchers.size === 0 && this.#watchers.get(prefix) === watchers) this.#watchers.delete(prefix);
    };
  }

  /** While a broadcast lingers its last route stands for it. */
  #visible(broadcast: Broadcast): readonly Route[] {
    return broadcast.routes.length > 0 ? broadcast.routes : [broadcast.current];
  }

  /** The best route may be another: the same publisher's tracks go on over it, another's begin anew. */
  #reroute(broadcast: Broadcast): void {
    const before = broadcast.current;
    const best = broadcast.routes[0]!;
    broadcast.current = best;
    if (best.source !== before.source || !samePublisher(before, best)) {
      if (samePublisher(before, best))
        for (const track of broadcast.tracks.values()) track.attach(best.source);
      else broadcast.closeTracks(liveError.cancel);
    } else {
      for (const track of broadcast.tracks.values()) if (!track.attached) track.attach(best.source);
    }
    this.#tell(broadcast);
  }

  #drop(broadcast: Broadcast): void {
    broadcast.cancelLinger?.();
    this.#broadcasts.delete(broadcast.path);
    broadcast.closeTracks(liveError.notFound);
    this.#tellRoutes(broadcast.path, []);
  }

  #tell(broadcast: Broadcast): void {
    this.#tellRoutes(broadcast.path, this.#visible(broadcast));
  }

  #tellRoutes(path: string, routes: readonly Route[]): void {
    for (const prefix of prefixesOf(path)) {
      for (const watcher of [...(this.#watchers.get(prefix) ?? [])]) watcher.onRoutes(path, routes);
    }
  }
}
