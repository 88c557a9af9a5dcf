import { unknownOrigin } from "#wire/live/announce.ts";
import { LiveProtocolError, liveError } from "#wire/live/error-code.ts";
import { covers } from "./grant.ts";
import { isClusterPath, joinPath, normalizePath } from "./path.ts";
import type { SessionContext } from "./session-context.ts";
import type { TrackSource } from "./track.ts";

/**
 * What the remote announces, wherever it may. One broadcast may be announced in several places: it is gone when the last
 * of them says so.
 */
export class RemoteBroadcasts {
  readonly #session: SessionContext;
  readonly #source: TrackSource;
  readonly #places = new Map<string, Set<AnnouncedHere>>();
  /** What the remote asks for a crossing of the link; what is configured here goes before it. */
  linkCost: number | undefined;

  constructor(session: SessionContext, source: TrackSource) {
    this.#session = session;
    this.#source = source;
  }

  /** A place where broadcasts are announced; it is over before they are, or with them. */
  place(): AnnouncedHere {
    return new AnnouncedHere(this);
  }

  /** The session is over. */
  close(abruptly: boolean): void {
    for (const path of this.#places.keys()) this.#session.origin.unannounce(path, this.#source, abruptly);
    this.#places.clear();
  }

  /** The full name; `undefined` if it may not be published. */
  pathOf(name: string): string | undefined {
    const { grant } = this.#session;
    const relative = normalizePath(name);
    if (relative === undefined || !covers(grant.put, relative)) return undefined;
    const path = normalizePath(joinPath(grant.root, relative));
    return path === undefined || (isClusterPath(path) && !grant.cluster) ? undefined : path;
  }

  /** Whether it came through us already, and would go round in a circle. */
  loops(hops: readonly bigint[]): boolean {
    return hops.includes(this.#session.originId);
  }

  add(path: string, place: AnnouncedHere, hops: readonly bigint[], passedCost: number | undefined): void {
    const known = this.#places.get(path);
    if (known === undefined && this.#places.size >= this.#session.limits.announcementsMax) {
      throw new LiveProtocolError("too many broadcasts are announced", liveError.bounds);
    }
    this.#places.set(path, (known ?? new Set()).add(place));
    const linkCost = this.#session.grant.linkCost ?? this.linkCost;
    this.#session.origin.announce(path, this.#source, hops, linkCost, passedCost);
  }

  remove(path: string, place: AnnouncedHere, abruptly: boolean): void {
    const places = this.#places.get(path);
    if (!places?.delete(place) || places.size > 0) return;
    this.#places.delete(path);
    this.#session.origin.unannounce(path, this.#source, abruptly);
  }
}

/** Broadcasts that one stream, or one request, has announced. */
export class AnnouncedHere {
  readonly #all: RemoteBroadcasts;
  readonly #paths = new Set<string>();

  constructor(all: RemoteBroadcasts) {
    this.#all = all;
  }

  /** False: it may not be published, or came from us. `passedCost`: of its way to the remote, where that is known. */
  announce(name: string, passed: readonly bigint[], passedCost?: number): boolean {
    // The remote is a hop like any other, even if what it speaks has no name for it.
    const hops = passed.length > 0 ? passed : [unknownOrigin];
    const path = this.#all.pathOf(name);
    if (path === undefined) return false;
    if (this.#all.loops(hops)) {
      this.end(name);
      return false;
    }
    this.#all.add(path, this, hops, passedCost);
    this.#paths.add(path);
    return true;
  }

  end(name: string): void {
    const path = this.#all.pathOf(name);
    if (path !== undefined && this.#paths.delete(path)) this.#all.remove(path, this, false);
  }

  /** Nothing is announced here any more. */
  close(): void {
    for (const path of this.#paths) this.#all.remove(path, this, false);
    this.#paths.clear();
  }
}
