import type { Cancel } from "#core/clock.ts";
import {
  type Announcement,
  decodeAnnounceRequest,
  encodeAnnounceInit,
  encodeAnnouncement,
  encodeAnnounceOk,
  hopsMax,
} from "#wire/live/announce.ts";
import type { ControlStream } from "./control-stream.ts";
import { coveredPrefixes } from "./grant.ts";
import { type Route, samePublisher, type Watcher } from "./origin.ts";
import { isClusterPath, joinPath, normalizePath, stripPrefix } from "./path.ts";
import type { SessionContext } from "./session-context.ts";
import type { TrackSource } from "./track.ts";

/** What the remote has still to be told of a path. */
interface Change {
  /** `undefined`: it is gone. */
  route: Route | undefined;
  /** It was gone in between: who watches its tracks has lost them, and must hear so. */
  interrupted: boolean;
}

/**
 * Answers one Announce stream: tells the remote what there is below a prefix, and every change.
 *
 * Changes wait as such until the stream has room, so that neither many broadcasts nor a slow remote make a queue.
 */
export class Announcer implements Watcher {
  readonly #session: SessionContext;
  readonly #self: TrackSource;
  readonly #stream: ControlStream;
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
  constructor(session: SessionContext, self: TrackSource, stream: ControlStream, request: Uint8Array) {
    const { prefix, excludeHop } = decodeAnnounceRequest(request, session.version);
    this.#session = session;
    this.#self = self;
    this.#stream = stream;
    this.#excludeHop = excludeHop;
    const relative = normalizePath(prefix) ?? "";
    this.#prefix = joinPath(session.grant.root, relative);
    for (const covered of coveredPrefixes(session.grant.get, relative)) {
      this.#cancels.push(session.origin.watch(joinPath(session.grant.root, covered), this));
    }
    this.#collecting = false;
    stream.output.refill = () => this.#tellNext();
    this.#tellFirst();
  }

  close(): void {
    for (const cancel of this.#cancels) cancel();
    this.#cancels = [];
    this.#initial.clear();
    this.#changes.clear();
  }

  onRoutes(path: string, routes: readonly Route[]): void {
    if (isClusterPath(path) && !this.#session.grant.cluster) return;
    const route = routes.find((candidate) => this.#visible(candidate));
    if (this.#collecting) {
      if (route !== undefined) this.#initial.set(path, route);
      return;
    }
    const before = this.#changes.get(path);
    const interrupted = route === undefined || (before?.interrupted ?? false);
    this.#changes.set(path, { route, interrupted });
    this.#stream.output.wake();
  }

  /** Not the remote's own, nothing that came through it, and among seed-style peers nothing from another peer. */
  #visible(route: Route): boolean {
    if (route.source === this.#self) return false;
    if (this.#excludeHop !== 0n && route.hops.includes(this.#excludeHop)) return false;
    if (route.hops.length >= hopsMax) return false;
    return !(this.#session.grant.cluster && this.#session.version < 4 && route.source.cluster);
  }

  #tellFirst(): void {
    const { version, originId } = this.#session;
    if (version <= 2) {
      const suffixes = [...this.#initial.keys()].map((path) => this.#suffix(path));
      for (const [path, route] of this.#initial) this.#told.set(path, route);
      this.#initial.clear();
      this.#stream.output.send(encodeAnnounceInit(suffixes));
    } else if (version >= 5) {
      this.#stream.output.send(encodeAnnounceOk(originId, this.#initial.size));
    }
    this.#stream.output.wake();
  }

  /** The next of what is to be told; false: there is none. */
  #tellNext(): boolean {
    for (const [path, route] of this.#initial) {
      this.#initial.delete(path);
      this.#told.set(path, route);
      this.#sendActive(path, route);
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
    const before = this.#told.get(path);
    if (route === undefined) {
      this.#told.delete(path);
      if (before !== undefined) this.#sendEnded(path);
      return;
    }
    this.#told.set(path, route);
    if (before !== undefined && !interrupted) {
      if (sameAnnouncement(before, route)) return;
      if (this.#session.version < 5 && samePublisher(before, route)) return;
    }
    // A second active replaces the first from 05 on; the older ones must see an end between.
    if (before !== undefined && (interrupted || this.#session.version < 5)) this.#sendEnded(path);
    this.#sendActive(path, route);
  }

  #sendEnded(path: string): void {
    this.#send({ active: false, suffix: this.#suffix(path), hops: [] });
  }

  #sendActive(path: string, route: Route): void {
    // Up to 04 the sender is the last hop; in 05 ANNOUNCE_OK has named it once.
    const hops = this.#session.version >= 5 ? [...route.hops] : [...route.hops, this.#session.originId];
    this.#send({ active: true, suffix: this.#suffix(path), hops });
  }

  #send(announcement: Announcement): void {
    this.#stream.output.send(encodeAnnouncement(announcement, this.#session.version));
  }

  #suffix(path: string): string {
    return stripPrefix(this.#prefix, path) ?? path;
  }
}

const sameAnnouncement = (a: Route, b: Route): boolean =>
  samePublisher(a, b) && a.hops.length === b.hops.length && a.hops.every((hop, at) => hop === b.hops[at]);
