import { concatBytes } from "#core/bytes.ts";
import type { Cancel, Clock } from "#core/clock.ts";
import { liveError } from "#wire/live/error-code.ts";
import { encodeFrameHeader } from "#wire/live/group.ts";
import type { SubscribeOptions } from "#wire/live/subscribe.ts";
import { joinPath, normalizePath } from "./path.ts";
import type { Relay } from "./relay.ts";
import type { SourceSubscription, TrackSink, TrackSource } from "./track.ts";
import { type Content, newTraffic, type Presence, type Role, type Traffic } from "./traffic.ts";

export interface StatsOptions {
  /** Where the broadcasts are. */
  readonly statsPrefix: string | undefined;
  readonly statsIntervalMs: number;
  /** Tells the relays of a cluster apart; may have several parts. */
  readonly statsNode: string | undefined;
  /** How many leading parts of a broadcast's name make a broadcast of their own; 0: one for all. */
  readonly statsDepth: number;
  /** How long such a broadcast stays announced with nothing in it. */
  readonly statsLingerMs: number;
}

/** Raw DEFLATE (RFC 1951), flushed to a byte's end and not finished. */
export type Deflate = (bytes: Uint8Array) => Uint8Array;

export interface StatsSetup {
  readonly relay: Relay;
  readonly clock: Clock;
  readonly options: StatsOptions;
  readonly deflate: Deflate;
}

const encoder = new TextEncoder();

/** `publisher.json` and its like, below the tier's label where it has one; `.z` is the same, compressed. */
const trackName = /^(?:[^/]+\/)*(?:publisher|subscriber|sessions)\.json(?:\.z)?$/;

/**
 * Publishes what the relay counts as broadcasts, in the form of the original relay: `{prefix}/node/{node}`, or
 * `{prefix}/{group}/node/{node}` for each group of names. Each track has one frame a group: a JSON object of names and
 * their counts since they began. A row stays as long as something of it is open, and is told once more when it ends.
 */
export class StatsBroadcasts {
  readonly #setup: StatsSetup;
  readonly #groups = new Map<string, StatsBroadcast>();
  readonly #emptySince = new Map<string, number>();
  #cancel: Cancel = () => {};

  constructor(setup: StatsSetup) {
    this.#setup = setup;
  }

  start(): void {
    const { relay, options } = this.#setup;
    relay.traffic.excluded = this.#prefix;
    relay.origin.hiddenPrefix = this.#prefix;
    relay.traffic.isReported = true;
    if (options.statsDepth === 0) this.#open("");
    this.#tick();
  }

  close(): void {
    this.#cancel();
    for (const group of this.#groups.values()) group.close();
    this.#groups.clear();
  }

  get #prefix(): string {
    return normalizePath(this.#setup.options.statsPrefix ?? "") ?? "";
  }

  #tick(): void {
    const { relay, clock, options } = this.#setup;
    const frames = this.#collect();
    for (const key of frames.keys()) if (!this.#groups.has(key)) this.#open(key);
    for (const [key, group] of [...this.#groups]) {
      const tracks = frames.get(key);
      group.publish(tracks ?? new Map());
      if (tracks || options.statsDepth === 0) this.#emptySince.delete(key);
      else this.#closeIfLong(key, group);
    }
    relay.traffic.prune();
    this.#cancel = clock.after(options.statsIntervalMs, () => this.#tick());
  }

  #closeIfLong(key: string, group: StatsBroadcast): void {
    const now = this.#setup.clock.now();
    const since = this.#emptySince.get(key) ?? now;
    this.#emptySince.set(key, since);
    if (now - since < this.#setup.options.statsLingerMs) return;
    group.close();
    this.#groups.delete(key);
    this.#emptySince.delete(key);
  }

  #open(key: string): void {
    const { relay, clock, options, deflate } = this.#setup;
    const path = joinPath(
      joinPath(joinPath(this.#prefix, key), "node"),
      normalizePath(options.statsNode ?? "") ?? "",
    );
    this.#groups.set(key, new StatsBroadcast(relay, path, clock, deflate));
  }

  /** By group of names and track, the members of its JSON object. */
  #collect(): Map<string, Map<string, [name: string, counts: object][]>> {
    const { traffic } = this.#setup.relay;
    const frames = new Map<string, Map<string, [string, object][]>>();
    const add = (name: string, tier: string, kind: string, counts: object) => {
      const key = name.split("/").slice(0, this.#setup.options.statsDepth).join("/");
      const tracks = frames.get(key) ?? new Map<string, [string, object][]>();
      frames.set(key, tracks);
      const track = joinPath(tier, `${kind}.json`);
      const members = tracks.get(track) ?? [];
      tracks.set(track, members);
      members.push([name, counts]);
    };
    for (const row of traffic.rows) {
      for (const role of ["publisher", "subscriber"] satisfies Role[])
        if (hasMoved(row[role])) add(row.path, row.tier, role, trafficJson(row[role]));
    }
    for (const { root, tier, presence } of traffic.presence)
      add(root, tier, "sessions", presenceJson(presence));
    return frames;
  }
}

/** One broadcast of counts. */
class StatsBroadcast implements TrackSource {
  readonly frameClass = "A";
  readonly cluster = false;
  readonly #relay: Relay;
  readonly #path: string;
  readonly #deflate: Deflate;
  readonly #subscriptions = new Map<TrackSink, { readonly track: string; last: string | undefined }>();
  #texts = new Map<string, string>();
  #sequence: number;

  constructor(relay: Relay, path: string, clock: Clock, deflate: Deflate) {
    this.#relay = relay;
    this.#path = path;
    this.#deflate = deflate;
    // After a restart groups go on above those that subscribers have of the time before.
    this.#sequence = clock.now() * 1000;
    relay.origin.announce(path, this, []);
  }

  close(): void {
    this.#relay.origin.unannounce(this.#path, this, false);
  }

  publish(tracks: Map<string, [name: string, counts: object][]>): void {
    this.#texts = new Map();
    for (const [track, members] of tracks) {
      members.sort(([a], [b]) => (a < b ? -1 : 1));
      this.#texts.set(track, JSON.stringify(Object.fromEntries(members)));
    }
    for (const sink of [...this.#subscriptions.keys()]) this.#send(sink);
  }

  subscribe(_path: string, track: string, _options: SubscribeOptions, sink: TrackSink): SourceSubscription {
    if (!trackName.test(track)) {
      sink.onError(liveError.notFound);
      return { update() {}, close() {} };
    }
    this.#subscriptions.set(sink, { track, last: undefined });
    sink.onInfo({ priority: 0, ordered: false, latencyMaxMs: 5_000, timescale: 1_000 });
    this.#send(sink);
    return { update() {}, close: () => void this.#subscriptions.delete(sink) };
  }

  /** What there is now, unless that was the last to be sent; `{}` for a tier that has nothing. */
  #send(sink: TrackSink): void {
    const subscription = this.#subscriptions.get(sink)!;
    const isCompressed = subscription.track.endsWith(".z");
    const text = this.#texts.get(isCompressed ? subscription.track.slice(0, -2) : subscription.track) ?? "{}";
    if (text === subscription.last) return;
    subscription.last = text;
    const group = sink.openGroup(this.#sequence++);
    if (!group) return;
    const bytes = encoder.encode(text);
    // A flush ends with four bytes that are always the same; the reader puts them back.
    const payload = isCompressed ? this.#deflate(bytes).slice(0, -4) : bytes;
    sink.append(group, concatBytes(encodeFrameHeader(payload.length, undefined), payload));
    sink.endGroup(group, "complete");
  }
}

function hasMoved(traffic: Traffic): boolean {
  return JSON.stringify(traffic) !== nothing;
}
const nothing = JSON.stringify(newTraffic());

/** Both spellings of each count that the original has had. */
function trafficJson(traffic: Traffic): object {
  const { announcesStarted, announcesEnded, broadcastsStarted, broadcastsEnded } = traffic;
  const { subscriptionsStarted, subscriptionsEnded, fetches, stale } = traffic;
  return {
    announces_started: announcesStarted,
    announced: announcesStarted,
    announces_ended: announcesEnded,
    announced_closed: announcesEnded,
    announced_bytes: traffic.announcedBytes,
    broadcasts_started: broadcastsStarted,
    broadcasts: broadcastsStarted,
    broadcasts_ended: broadcastsEnded,
    broadcasts_closed: broadcastsEnded,
    subscriptions_started: subscriptionsStarted,
    subscriptions: subscriptionsStarted,
    subscriptions_ended: subscriptionsEnded,
    subscriptions_closed: subscriptionsEnded,
    fetches,
    ...contentJson(traffic),
    stale: contentJson(stale),
  };
}

const contentJson = ({ bytes, frames, groups, datagrams }: Content) => ({ bytes, frames, groups, datagrams });

function presenceJson({ sessionsStarted, sessionsEnded }: Presence): object {
  return {
    sessions_started: sessionsStarted,
    sessions: sessionsStarted,
    sessions_ended: sessionsEnded,
    sessions_closed: sessionsEnded,
  };
}
