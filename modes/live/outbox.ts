import { liveError } from "#wire/live/error-code.ts";
import type { SendStream, Transport } from "#wire/live/transport.ts";
import type { FrameClass } from "#wire/live/version.ts";
import type { BodyReader, Group, GroupBody } from "./group.ts";
import type { LiveMetrics } from "./metrics.ts";
import type { Traffic } from "./traffic.ts";

/** What the outbox needs to know of a subscription. */
export interface OutboxSubscription {
  readonly id: number;
  readonly priority: number;
  readonly trackPriority: number;
  readonly ordered: boolean;
  /** Older than this, a superseded group is given up. */
  readonly latencyMaxMs: number;
  /** What it is sent is counted here. */
  readonly traffic: Traffic;
  /** A group is over: sent, given up, or reset. */
  onGroupDone(outgoing: OutgoingGroup): void;
}

/** How groups go out in what the remote speaks. */
export interface GroupFormat {
  readonly frameClass: FrameClass;
  /** What the group's stream begins with. */
  groupStart(subscription: OutboxSubscription, group: Group): Uint8Array;
  /** What a stream is reset with for one of our own codes. */
  resetCode(code: number): number;
}

const nothing = new Uint8Array(0);

/** A group on its way to one subscriber: a place in the bytes that all share. */
export class OutgoingGroup implements BodyReader {
  readonly subscription: OutboxSubscription;
  readonly group: Group;
  readonly body: GroupBody;
  readonly #outbox: Outbox;
  readonly #format: GroupFormat;
  /** In the outbox's list of what has bytes to send. */
  ready = false;
  stream: SendStream | undefined;
  sentBytes = 0;
  #header: Uint8Array | undefined;
  #headerSent = 0;
  #chunk = 0;
  #offset = 0;

  constructor(outbox: Outbox, subscription: OutboxSubscription, group: Group, format: GroupFormat) {
    this.#outbox = outbox;
    this.subscription = subscription;
    this.group = group;
    this.#format = format;
    this.body = group.body(format.frameClass);
  }

  onMore(added: number): void {
    if (this.group.evicted) this.#outbox.skip(this, liveError.evicted);
    else this.#outbox.more(this, added);
  }

  get backlogBytes(): number {
    return this.body.bytes - this.sentBytes;
  }

  /** Counts what is left as not sent. */
  countStale(): void {
    const { stale } = this.subscription.traffic;
    stale.groups++;
    for (let at = this.#chunk; at < this.body.chunks.length; at++) {
      stale.frames += this.body.chunkFrames[at]!;
      stale.bytes += this.body.chunkPayload[at]!;
    }
  }

  /** Writes what it can. `over`: nothing will follow; `idle`: all there is was sent; `blocked`: there is more. */
  write(transport: Transport): "over" | "idle" | "blocked" {
    const { body } = this;
    if (this.stream === undefined) {
      if (typeof body.state === "number") return "over";
      this.stream = transport.openUni();
      if (this.stream === undefined) return "blocked";
      this.stream.onStop = () => this.#outbox.drop(this);
      this.subscription.traffic.groups++;
      this.#header = this.#format.groupStart(this.subscription, this.group);
    }
    const stream = this.stream;
    if (this.#header !== undefined) {
      this.#headerSent += stream.write(this.#header, this.#headerSent, false);
      if (this.#headerSent < this.#header.length) return "blocked";
      this.#header = undefined;
    }
    while (this.#chunk < body.chunks.length) {
      const chunk = body.chunks[this.#chunk]!;
      const last = body.state === "complete" && this.#chunk === body.chunks.length - 1;
      const taken = stream.write(chunk, this.#offset, last);
      this.sentBytes += taken;
      this.#offset += taken;
      if (this.#offset < chunk.length) return "blocked";
      this.subscription.traffic.frames += body.chunkFrames[this.#chunk]!;
      this.subscription.traffic.bytes += body.chunkPayload[this.#chunk]!;
      this.#chunk++;
      this.#offset = 0;
    }
    if (body.state === "open") return "idle";
    if (typeof body.state === "number") {
      stream.reset(this.#format.resetCode(body.state));
      return "over";
    }
    if (!stream.done) stream.write(nothing, 0, true);
    return stream.done ? "over" : "blocked";
  }
}

/**
 * What one session has still to be sent of its groups, most urgent first.
 *
 * Nothing is copied or queued here: an entry is a place in a shared group. A session that falls behind by more than
 * `backlogMaxBytes` skips whole groups, oldest of the lowest priority first, but never the latest of a track.
 */
export class Outbox {
  readonly #transport: Transport;
  readonly #format: GroupFormat;
  readonly #backlogMaxBytes: number;
  readonly #now: () => number;
  readonly #metrics: LiveMetrics;
  /** All groups under way, and those of them with bytes to send, most urgent first. */
  readonly #all = new Set<OutgoingGroup>();
  readonly #ready: OutgoingGroup[] = [];
  #backlogBytes = 0;

  constructor(
    transport: Transport,
    format: GroupFormat,
    backlogMaxBytes: number,
    now: () => number,
    metrics: LiveMetrics,
  ) {
    this.#metrics = metrics;
    this.#transport = transport;
    this.#format = format;
    this.#backlogMaxBytes = backlogMaxBytes;
    this.#now = now;
  }

  get backlogBytes(): number {
    return this.#backlogBytes;
  }

  add(subscription: OutboxSubscription, group: Group): OutgoingGroup {
    const outgoing = new OutgoingGroup(this, subscription, group, this.#format);
    this.#all.add(outgoing);
    outgoing.body.add(outgoing);
    this.more(outgoing, outgoing.body.bytes);
    if (this.#backlogBytes > this.#backlogMaxBytes) this.#skipBacklog();
    return outgoing;
  }

  /** Bytes were added to a group, or it ended. */
  more(outgoing: OutgoingGroup, added: number): void {
    this.#backlogBytes += added;
    if (outgoing.ready) return;
    outgoing.ready = true;
    let at = this.#ready.length;
    while (at > 0 && moreUrgent(outgoing, this.#ready[at - 1]!)) at--;
    this.#ready.splice(at, 0, outgoing);
    this.#transport.wake();
  }

  /** The subscription's options changed, and with them its place. */
  reorder(): void {
    this.#ready.sort((a, b) => (moreUrgent(a, b) ? -1 : moreUrgent(b, a) ? 1 : 0));
    this.#transport.wake();
  }

  /** Gives a group up, telling the remote if it heard of it. */
  drop(outgoing: OutgoingGroup, code: number = liveError.old): void {
    if (!this.#all.has(outgoing)) return;
    outgoing.stream?.reset(this.#format.resetCode(code));
    this.#remove(outgoing);
    outgoing.subscription.onGroupDone(outgoing);
  }

  /** The subscriber was too slow for this group. */
  skip(outgoing: OutgoingGroup, code: number = liveError.old): void {
    this.#metrics.groupsSkipped++;
    outgoing.countStale();
    this.drop(outgoing, code);
  }

  /** Writes as much as the transport takes. */
  pump(): void {
    const ready = this.#ready;
    let at = 0;
    while (at < ready.length && this.#transport.writable) {
      const outgoing = ready[at]!;
      if (this.isStale(outgoing)) {
        this.skip(outgoing);
        continue;
      }
      const before = outgoing.sentBytes;
      const outcome = outgoing.write(this.#transport);
      const sent = outgoing.sentBytes - before;
      this.#backlogBytes -= sent;
      this.#metrics.bytesOut += sent;
      if (outcome === "idle") {
        outgoing.ready = false;
        ready.splice(at, 1);
      } else if (outcome === "over") {
        this.#remove(outgoing);
        outgoing.subscription.onGroupDone(outgoing);
      } else {
        if (outgoing.stream === undefined) this.#keepNewest(outgoing);
        if (outgoing.ready) at++;
      }
    }
  }

  /** The session is over. */
  clear(): void {
    for (const outgoing of this.#all) outgoing.body.remove(outgoing);
    this.#all.clear();
    this.#ready.length = 0;
    this.#backlogBytes = 0;
  }

  #remove(outgoing: OutgoingGroup): void {
    if (!this.#all.delete(outgoing)) return;
    outgoing.body.remove(outgoing);
    this.#backlogBytes -= outgoing.backlogBytes;
    const at = outgoing.ready ? this.#ready.indexOf(outgoing) : -1;
    if (at >= 0) this.#ready.splice(at, 1);
    outgoing.ready = false;
  }

  /** Superseded for longer than its subscriber waits. */
  isStale(outgoing: OutgoingGroup): boolean {
    const { supersededAt } = outgoing.group;
    return supersededAt !== undefined && this.#now() - supersededAt > outgoing.subscription.latencyMaxMs;
  }

  /** No further stream is allowed: of the groups of this subscription that have none, only the newest waits. */
  #keepNewest(blocked: OutgoingGroup): void {
    for (const other of this.#all) {
      if (other.subscription !== blocked.subscription || other.stream !== undefined) continue;
      if (other === blocked || !isNewer(other, blocked)) continue;
      this.skip(blocked);
      return;
    }
  }

  #skipBacklog(): void {
    const newest = new Map<OutboxSubscription, OutgoingGroup>();
    for (const outgoing of this.#all) {
      const known = newest.get(outgoing.subscription);
      if (known === undefined || isNewer(outgoing, known)) newest.set(outgoing.subscription, outgoing);
    }
    const expendable = [...this.#all].filter((outgoing) => newest.get(outgoing.subscription) !== outgoing);
    expendable.sort(
      (a, b) => a.subscription.priority - b.subscription.priority || a.group.sequence - b.group.sequence,
    );
    for (const outgoing of expendable) {
      if (this.#backlogBytes <= this.#backlogMaxBytes) return;
      this.skip(outgoing);
    }
  }
}

const isNewer = (a: OutgoingGroup, b: OutgoingGroup): boolean => a.group.sequence > b.group.sequence;

/**
 * The order of all groups of a session. Where subscriptions are equally urgent, those in order go before the others:
 * their oldest group and the others' newest cannot be weighed against each other without going in circles.
 */
function moreUrgent(a: OutgoingGroup, b: OutgoingGroup): boolean {
  const one = a.subscription;
  const other = b.subscription;
  if (one.priority !== other.priority) return one.priority > other.priority;
  if (one.trackPriority !== other.trackPriority) return one.trackPriority > other.trackPriority;
  if (one.ordered !== other.ordered) return one.ordered;
  return one.ordered ? a.group.sequence < b.group.sequence : a.group.sequence > b.group.sequence;
}
