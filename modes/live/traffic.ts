import { hasPrefix, isClusterPath } from "./path.ts";

/** Frames and what they hold, by how they went. */
export interface Content {
  bytes: number;
  frames: number;
  groups: number;
  datagrams: number;
}

/** Counts of one broadcast, or of several, in one direction; all of them only grow. Names are the original relay's. */
export interface Traffic extends Content {
  announcesStarted: number;
  announcesEnded: number;
  /** Length of the name in UTF-8, once for each announcement and each end of one. */
  announcedBytes: number;
  /** A session's first subscription to the broadcast, and the end of its last. */
  broadcastsStarted: number;
  broadcastsEnded: number;
  subscriptionsStarted: number;
  subscriptionsEnded: number;
  fetches: number;
  /** What a subscriber did not get because it was too slow. */
  readonly stale: Content;
}

/** `publisher`: what leaves the relay; `subscriber`: what enters it. */
export type Role = "publisher" | "subscriber";

export interface Presence {
  sessionsStarted: number;
  sessionsEnded: number;
}

const noContent = (): Content => ({ bytes: 0, frames: 0, groups: 0, datagrams: 0 });

export const newTraffic = (): Traffic => ({
  announcesStarted: 0,
  announcesEnded: 0,
  announcedBytes: 0,
  broadcastsStarted: 0,
  broadcastsEnded: 0,
  subscriptionsStarted: 0,
  subscriptionsEnded: 0,
  fetches: 0,
  ...noContent(),
  stale: noContent(),
});

function addContent(to: Content, more: Content): void {
  to.bytes += more.bytes;
  to.frames += more.frames;
  to.groups += more.groups;
  to.datagrams += more.datagrams;
}

/** A datagram is a group of one frame, and counted as one too. */
export function countDatagram(content: Content, payloadBytes: number): void {
  content.datagrams++;
  content.groups++;
  content.frames++;
  content.bytes += payloadBytes;
}

export function addTraffic(to: Traffic, more: Traffic): void {
  addContent(to, more);
  addContent(to.stale, more.stale);
  to.announcesStarted += more.announcesStarted;
  to.announcesEnded += more.announcesEnded;
  to.announcedBytes += more.announcedBytes;
  to.broadcastsStarted += more.broadcastsStarted;
  to.broadcastsEnded += more.broadcastsEnded;
  to.subscriptionsStarted += more.subscriptionsStarted;
  to.subscriptionsEnded += more.subscriptionsEnded;
  to.fetches += more.fetches;
}

/** What is counted about one broadcast under one tier. */
export interface TrafficRow {
  readonly path: string;
  readonly tier: string;
  readonly publisher: Traffic;
  readonly subscriber: Traffic;
}

export interface PresenceRow {
  /** The root of the sessions' names. */
  readonly root: string;
  readonly tier: string;
  readonly presence: Presence;
}

const encoder = new TextEncoder();

/**
 * What went through the relay, by broadcast and by tier.
 *
 * A row lives as long as something can still be counted in it; then its counts are added to its tier's totals, at the next
 * `prune`.
 */
export class TrafficCounts {
  readonly #rows = new Map<string, TrafficRow>();
  readonly #presence = new Map<string, PresenceRow>();
  readonly #retired = new Map<string, { publisher: Traffic; subscriber: Traffic }>();
  readonly #retiredPresence = new Map<string, Presence>();
  /** Broadcasts below it are not counted: to publish the counts would change them. */
  excluded: string | undefined;
  /** Somebody reads the rows at intervals and prunes them then; otherwise they are pruned as they end. */
  isReported = false;

  /** Where a broadcast's traffic of one tier and role is counted. */
  of(path: string, tier: string, role: Role): Traffic {
    if (isClusterPath(path) || (this.excluded !== undefined && hasPrefix(this.excluded, path)))
      return newTraffic();
    const key = `${tier} ${path}`;
    let row = this.#rows.get(key);
    if (!row) {
      row = { path, tier, publisher: newTraffic(), subscriber: newTraffic() };
      this.#rows.set(key, row);
    }
    return row[role];
  }

  announced(path: string, tier: string, role: Role): void {
    const traffic = this.of(path, tier, role);
    traffic.announcesStarted++;
    traffic.announcedBytes += encoder.encode(path).length;
  }

  unannounced(path: string, tier: string, role: Role): void {
    const traffic = this.of(path, tier, role);
    traffic.announcesEnded++;
    traffic.announcedBytes += encoder.encode(path).length;
    this.ended(path, tier);
  }

  sessionStarted(root: string, tier: string): void {
    this.#presenceOf(root, tier).sessionsStarted++;
  }

  sessionEnded(root: string, tier: string): void {
    this.#presenceOf(root, tier).sessionsEnded++;
    if (!this.isReported) this.prune();
  }

  /** Something of the broadcast is over, and with it perhaps its row. */
  ended(path: string, tier: string): void {
    if (this.isReported) return;
    const row = this.#rows.get(`${tier} ${path}`);
    if (row && isIdle(row)) this.#retire(row);
  }

  get rows(): Iterable<TrafficRow> {
    return this.#rows.values();
  }

  get presence(): Iterable<PresenceRow> {
    return this.#presence.values();
  }

  /** Retires what is over. */
  prune(): void {
    for (const row of [...this.#rows.values()]) if (isIdle(row)) this.#retire(row);
    for (const [key, { tier, presence }] of [...this.#presence]) {
      if (presence.sessionsStarted !== presence.sessionsEnded) continue;
      addPresence(of(this.#retiredPresence, tier, newPresence), presence);
      this.#presence.delete(key);
    }
  }

  /** Everything since the start, by tier; the usual tier, `""`, is always there. */
  totals(): Map<string, { publisher: Traffic; subscriber: Traffic; presence: Presence }> {
    const totals = new Map<string, { publisher: Traffic; subscriber: Traffic; presence: Presence }>();
    const zero = () => ({ ...newRoles(), presence: newPresence() });
    const add = (tier: string, roles: { publisher: Traffic; subscriber: Traffic }) => {
      const total = of(totals, tier, zero);
      addTraffic(total.publisher, roles.publisher);
      addTraffic(total.subscriber, roles.subscriber);
    };
    add("", newRoles());
    for (const [tier, roles] of this.#retired) add(tier, roles);
    for (const row of this.#rows.values()) add(row.tier, row);
    for (const [tier, presence] of this.#retiredPresence)
      addPresence(of(totals, tier, zero).presence, presence);
    for (const { tier, presence } of this.#presence.values())
      addPresence(of(totals, tier, zero).presence, presence);
    return totals;
  }

  #presenceOf(root: string, tier: string): Presence {
    return of(this.#presence, `${tier} ${root}`, () => ({ root, tier, presence: newPresence() })).presence;
  }

  #retire(row: TrafficRow): void {
    const total = of(this.#retired, row.tier, newRoles);
    addTraffic(total.publisher, row.publisher);
    addTraffic(total.subscriber, row.subscriber);
    this.#rows.delete(`${row.tier} ${row.path}`);
  }
}

const newPresence = (): Presence => ({ sessionsStarted: 0, sessionsEnded: 0 });
const newRoles = () => ({ publisher: newTraffic(), subscriber: newTraffic() });

function addPresence(to: Presence, more: Presence): void {
  to.sessionsStarted += more.sessionsStarted;
  to.sessionsEnded += more.sessionsEnded;
}

function of<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

/** Nothing of it is open: no more can be counted in it before something begins. */
export function isIdle({ publisher, subscriber }: Pick<TrafficRow, "publisher" | "subscriber">): boolean {
  return [publisher, subscriber].every(
    (traffic) =>
      traffic.announcesStarted === traffic.announcesEnded &&
      traffic.subscriptionsStarted === traffic.subscriptionsEnded &&
      traffic.broadcastsStarted === traffic.broadcastsEnded,
  );
}
