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
import { joinPath, normalizePath, stripPrefix } from "./path.ts";
import type { SessionContext } from "./session-context.ts";
import type { TrackSource } from "./track.ts";

/** Answers one Announce stream: tells the remote what there is below a prefix, and every change. */
export class Announcer implements Watcher {
  readonly #session: SessionContext;
  readonly #self: TrackSource;
  readonly #stream: ControlStream;
  readonly #prefix: string;
  readonly #excludeHop: bigint;
  /** What the remote believes to be there. */
  readonly #told = new Map<string, Route>();
  #cancels: Cancel[] = [];
  /** Collects what is there at first, which the oldest and newest versions count. */
  #initial: Map<string, Route> | undefined = new Map();

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
      this.#send({ active: false, suffix: this.#suffix(path), hops: [] });
      return;
    }
    this.#told.set(path, route);
    if (before === undefined) this.#session.traffic.announced(path);
    if (before !== undefined && sameAnnouncement(before, route)) return;
    // A second active replaces the first from 05 on; the older ones must see an end between.
    if (before !== undefined && this.#session.version < 5) {
      if (samePublisher(before, route)) return;
      this.#send({ active: false, suffix: this.#suffix(path), hops: [] });
    }
    this.#sendActive(path, route);
  }

  /** Not the remote's own, nothing that came through it, and among seed-style peers nothing from another peer. */
  #visible(route: Route): boolean {
    if (route.source === this.#self) return false;
    if (this.#excludeHop !== 0n && route.hops.includes(this.#excludeHop)) return false;
    if (route.hops.length >= hopsMax) return false;
    return !(this.#session.grant.cluster && this.#session.version < 4 && route.source.cluster);
  }

  #sendInitial(): void {
    const initial = this.#initial!;
    this.#initial = undefined;
    const { version, originId } = this.#session;
    if (version <= 2) {
      this.#stream.output.send(encodeAnnounceInit([...initial.keys()].map((path) => this.#suffix(path))));
    } else if (version >= 5) {
      this.#stream.output.send(encodeAnnounceOk(originId, initial.size));
    }
    for (const [path, route] of initial) {
      this.#told.set(path, route);
      this.#session.traffic.announced(path);
      if (version > 2) this.#sendActive(path, route);
    }
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
