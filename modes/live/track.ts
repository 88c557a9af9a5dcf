import type { Cancel, Clock } from "#core/clock.ts";
import type { Datagram } from "#wire/live/datagram.ts";
import { liveError } from "#wire/live/error-code.ts";
import type { SubscribeOptions } from "#wire/live/subscribe.ts";
import type { TrackInfo } from "#wire/live/track.ts";
import type { StoredFrameClass } from "#wire/live/version.ts";
import type { GroupCache } from "./cache.ts";
import { Group } from "./group.ts";
import type { LiveLimits } from "./limits.ts";
import { countDatagram, type Traffic, type TrafficCounts } from "./traffic.ts";

/** One who wants a track's groups. */
export interface TrackSubscriber {
  readonly options: SubscribeOptions;
  /** A group has begun, or is held already. Each is given once. */
  onGroup(group: Group): void;
  /** A datagram came; it is kept for nobody who comes later. */
  onDatagram?(datagram: Datagram): void;
  /** No further group will begin. */
  onComplete(): void;
  /** The track is lost. */
  onError(code: number): void;
}

/** What a source tells of a track it was asked for. */
export interface TrackSink {
  /** The publisher has the track. May come again, with the same value. */
  onInfo(info: TrackInfo): void;
  onComplete(): void;
  onError(code: number): void;
  /** A group begins; `undefined`: it is not wanted. */
  openGroup(sequence: number): Group | undefined;
  /** Bytes of a group; false: it was given up, so stop the stream. */
  append(group: Group, chunk: Uint8Array): boolean;
  endGroup(group: Group, state: "complete" | number): void;
  onDatagram(datagram: Datagram): void;
}

/** A subscription with a publisher. */
export interface SourceSubscription {
  update(options: SubscribeOptions): void;
  close(): void;
}

/** Whoever can be asked for tracks: the session of a publisher, or of another relay. */
export interface TrackSource {
  readonly frameClass: StoredFrameClass;
  /** Another relay of our cluster. */
  readonly cluster: boolean;
  /** Label under which what it sends is counted; absent for the usual one. */
  readonly tier?: string;
  subscribe(broadcast: string, track: string, options: SubscribeOptions, sink: TrackSink): SourceSubscription;
}

type InfoWaiter = (info: TrackInfo | number) => void;

/**
 * One track: subscribed with its publisher once, however many want it, and a cache of its latest groups.
 *
 * Ends once: `onEnd` tells its broadcast, which forgets it.
 */
export class Track implements TrackSink {
  readonly broadcast: string;
  readonly name: string;
  readonly #limits: LiveLimits;
  readonly #clock: Clock;
  readonly #cache: GroupCache;
  readonly #counts: TrafficCounts;
  readonly #onEnd: (track: Track) => void;
  readonly #groups = new Map<number, Group>();
  readonly #subscribers = new Set<TrackSubscriber>();
  readonly #infoWaiters = new Set<InfoWaiter>();
  #latest: Group | undefined;
  /** Groups up to here were let go for their age: one that comes now came before, or too late. */
  #forgotten = -1;
  #info: TrackInfo | undefined;
  #frameClass: StoredFrameClass = "B";
  #source: SourceSubscription | undefined;
  /** What comes from the source is counted here; `undefined` while there is none. */
  #incoming: { readonly traffic: Traffic; readonly tier: string } | undefined;
  /** Answers of a source that was left since are not listened to. */
  #sourceNumber = 0;
  #wanted: SubscribeOptions | undefined;
  #cancelIdle: Cancel | undefined;
  #ended = false;

  constructor(
    broadcast: string,
    name: string,
    limits: LiveLimits,
    clock: Clock,
    cache: GroupCache,
    counts: TrafficCounts,
    onEnd: (track: Track) => void,
  ) {
    this.broadcast = broadcast;
    this.name = name;
    this.#limits = limits;
    this.#clock = clock;
    this.#cache = cache;
    this.#counts = counts;
    this.#onEnd = onEnd;
  }

  get latest(): Group | undefined {
    return this.#latest;
  }

  get info(): TrackInfo | undefined {
    return this.#info;
  }

  /** Whether it is subscribed with a publisher. */
  get attached(): boolean {
    return this.#source !== undefined;
  }

  get subscriberCount(): number {
    return this.#subscribers.size;
  }

  get infoWaiterCount(): number {
    return this.#infoWaiters.size;
  }

  group(sequence: number): Group | undefined {
    return this.#groups.get(sequence);
  }

  /** Oldest and newest are by sequence, not by arrival. */
  heldFrom(sequence: number): Group[] {
    return [...this.#groups.values()]
      .filter((group) => group.sequence >= sequence)
      .sort((a, b) => a.sequence - b.sequence);
  }

  /** Takes the track from `source` from now on; what is cached stays. */
  attach(source: TrackSource): void {
    const number = ++this.#sourceNumber;
    this.#source?.close();
    this.#forgotten = -1;
    this.#frameClass = source.frameClass;
    this.#countFrom(source.tier ?? "");
    this.#wanted = this.#demand();
    const relay = new CurrentSink(this, () => this.#sourceNumber === number && !this.#ended);
    this.#source = source.subscribe(this.broadcast, this.name, this.#wanted, relay);
    this.#armIdle();
  }

  /** Its source is gone; somebody may bring the broadcast back. */
  detach(): void {
    this.#sourceNumber++;
    this.#source = undefined;
    this.#countFrom(undefined);
    for (const group of this.#groups.values()) group.end(liveError.dropped);
  }

  /** Ends the subscription that is counted, and begins another where there is a tier for it. */
  #countFrom(tier: string | undefined): void {
    if (this.#incoming) {
      this.#incoming.traffic.subscriptionsEnded++;
      this.#counts.ended(this.broadcast, this.#incoming.tier);
    }
    this.#incoming = undefined;
    if (tier === undefined) return;
    const traffic = this.#counts.of(this.broadcast, tier, "subscriber");
    traffic.subscriptionsStarted++;
    this.#incoming = { traffic, tier };
  }

  subscribe(subscriber: TrackSubscriber): Cancel {
    this.#subscribers.add(subscriber);
    this.#armIdle();
    this.#updateSource();
    const start = subscriber.options.startGroup;
    const held = start === undefined ? (this.#latest ? [this.#latest] : []) : this.heldFrom(start);
    for (const group of held) subscriber.onGroup(group);
    return () => {
      if (!this.#subscribers.delete(subscriber)) return;
      this.#armIdle();
    };
  }

  /** A subscriber's options changed. */
  updated(): void {
    this.#updateSource();
  }

  /** Calls back with the info, or the code the track failed with; at once where it is known. */
  whenInfo(waiter: InfoWaiter): Cancel {
    if (this.#info !== undefined) {
      waiter(this.#info);
      return () => {};
    }
    this.#infoWaiters.add(waiter);
    return () => this.#infoWaiters.delete(waiter);
  }

  /** Ends the track for everybody. */
  close(code: number): void {
    this.#finish(code);
  }

  onInfo(info: TrackInfo): void {
    this.#info ??= info;
    for (const waiter of this.#infoWaiters) waiter(this.#info);
    this.#infoWaiters.clear();
  }

  onComplete(): void {
    this.#finish("complete");
  }

  onError(code: number): void {
    this.#finish(code);
  }

  openGroup(sequence: number): Group | undefined {
    const known = this.#groups.get(sequence);
    // One that was lost half way may come again, whole: by another route, or from a publisher that is back.
    if (known !== undefined && typeof known.state !== "number") return undefined;
    if (sequence <= this.#forgotten) return undefined;
    if (known !== undefined) this.#forget(known);
    const now = this.#clock.now();
    const group = new Group(sequence, this.#frameClass, now, this.#limits.groupMaxBytes);
    if (!this.#cache.grow(group.weightBytes)) {
      this.#cache.release(group);
      return undefined;
    }
    group.onGrown = (bytes) => {
      if (!this.#cache.grow(bytes)) this.#evict(group);
    };
    if (this.#incoming) this.#incoming.traffic.groups++;
    const previous = this.#latest;
    this.#groups.set(sequence, group);
    if (previous !== undefined && sequence < previous.sequence) {
      this.#supersede(group, now);
    } else {
      this.#latest = group;
      if (previous !== undefined) this.#supersede(previous, now);
    }
    this.#sweep(now);
    for (const subscriber of this.#subscribers) subscriber.onGroup(group);
    return group;
  }

  append(group: Group, chunk: Uint8Array): boolean {
    if (group.state !== "open") return false;
    if (group.bytes + chunk.length > this.#limits.groupMaxBytes) {
      group.end(liveError.frameTooLarge);
      return false;
    }
    const { frames, payloadBytes } = group;
    group.append(chunk, this.#clock.now());
    if (this.#incoming) {
      this.#incoming.traffic.frames += group.frames - frames;
      this.#incoming.traffic.bytes += group.payloadBytes - payloadBytes;
    }
    // It may have been the one that went.
    return group.state === "open";
  }

  endGroup(group: Group, state: "complete" | number): void {
    group.end(state);
  }

  onDatagram(datagram: Datagram): void {
    if (this.#incoming) countDatagram(this.#incoming.traffic, datagram.payloadBytes);
    for (const subscriber of this.#subscribers) subscriber.onDatagram?.(datagram);
  }

  /** The group is not the latest: it is kept for as long as there is time and room. */
  #supersede(group: Group, now: number): void {
    group.supersededAt = now;
    this.#cache.supersede(group, () => this.#evict(group));
  }

  #evict(group: Group): void {
    if (group.evicted) return;
    this.#remove(group);
    this.#release(group);
    group.evict();
  }

  /** Nobody finds the group any more; its memory counts until the last reader has gone. */
  #forget(group: Group): void {
    this.#remove(group);
    if (group.idle) {
      this.#release(group);
      return;
    }
    this.#cache.supersede(group, () => this.#evict(group));
    group.onIdle = () => this.#release(group);
  }

  /** Its memory counts no more. */
  #release(group: Group): void {
    group.onIdle = () => {};
    group.onGrown = () => {};
    this.#cache.release(group);
  }

  #remove(group: Group): void {
    if (this.#groups.get(group.sequence) !== group) return;
    this.#groups.delete(group.sequence);
    if (this.#latest === group) this.#latest = undefined;
  }

  /** Those that nobody reads or writes any more go when they are old enough. */
  #sweep(now: number): void {
    for (const group of this.#groups.values()) {
      if (group.supersededAt === undefined) continue;
      // In the order they came, which is nearly that in which they were superseded.
      if (now - group.supersededAt <= this.#limits.cacheMaxMs) return;
      if (!group.idle) continue;
      this.#forgotten = Math.max(this.#forgotten, group.sequence);
      this.#forget(group);
    }
  }

  /** What all subscribers together want of the publisher. */
  #demand(): SubscribeOptions {
    const all = [...this.#subscribers].map((subscriber) => subscriber.options);
    return {
      priority: Math.max(0, ...all.map((options) => options.priority)),
      ordered: all.length > 0 && all.every((options) => options.ordered),
      latencyMaxMs: all.some((options) => options.latencyMaxMs === 0)
        ? 0
        : Math.max(0, ...all.map((options) => options.latencyMaxMs)),
      startGroup: undefined,
      endGroup: undefined,
    };
  }

  #updateSource(): void {
    if (this.#source === undefined || this.#subscribers.size === 0) return;
    const now = this.#demand();
    const before = this.#wanted;
    if (
      before?.priority === now.priority &&
      before.ordered === now.ordered &&
      before.latencyMaxMs === now.latencyMaxMs
    ) {
      return;
    }
    this.#wanted = now;
    this.#source.update(now);
  }

  #armIdle(): void {
    this.#cancelIdle?.();
    this.#cancelIdle = undefined;
    if (this.#subscribers.size > 0 || this.#ended) return;
    this.#cancelIdle = this.#clock.after(this.#limits.trackIdleLingerMs, () =>
      this.#finish(liveError.cancel),
    );
  }

  #finish(how: "complete" | number): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelIdle?.();
    this.#onEnd(this);
    this.#source?.close();
    this.#source = undefined;
    this.#countFrom(undefined);
    const code = how === "complete" ? liveError.notFound : how;
    for (const waiter of this.#infoWaiters) waiter(code);
    this.#infoWaiters.clear();
    for (const subscriber of [...this.#subscribers]) {
      if (how === "complete") subscriber.onComplete();
      else subscriber.onError(how);
    }
    this.#subscribers.clear();
    for (const group of [...this.#groups.values()]) {
      // After a clean end the last groups may still be on their way.
      if (how !== "complete") group.end(how);
      this.#forget(group);
    }
  }
}

/** Passes on what the current source says, and nothing of one that was left. */
class CurrentSink implements TrackSink {
  readonly #track: Track;
  readonly #current: () => boolean;

  constructor(track: Track, current: () => boolean) {
    this.#track = track;
    this.#current = current;
  }

  onInfo(info: TrackInfo): void {
    if (this.#current()) this.#track.onInfo(info);
  }

  onComplete(): void {
    if (this.#current()) this.#track.onComplete();
  }

  onError(code: number): void {
    if (this.#current()) this.#track.onError(code);
  }

  openGroup(sequence: number): Group | undefined {
    return this.#current() ? this.#track.openGroup(sequence) : undefined;
  }

  append(group: Group, chunk: Uint8Array): boolean {
    return this.#track.append(group, chunk);
  }

  endGroup(group: Group, state: "complete" | number): void {
    this.#track.endGroup(group, state);
  }

  onDatagram(datagram: Datagram): void {
    if (this.#current()) this.#track.onDatagram(datagram);
  }
}
