import { type BackoffLimits, pauseMs } from "../../../../core/backoff.ts";
import type { Cancel, Clock, Entropy, Instant } from "../../../../core/clock.ts";
import type { SubscribeOptions } from "../../../../wire/live/subscribe.ts";
import type { TrackInfo } from "../../../../wire/live/track.ts";
import { PosternError } from "../errors.ts";
import type { Connection } from "./connection.ts";
import type { FrameSealer } from "./frame-sealing.ts";
import type { LiveLimits } from "./limits.ts";
import type { GroupSink, Subscribing, SubscribingSink } from "./subscribing.ts";
import type { Watcher } from "./watch.ts";

/** How a track is wanted. */
export interface SubscriptionOptions {
  /** Sent before tracks of lower priority; 0 to 255, 0 unless given. */
  readonly priority?: number;
  /** Older groups before newer ones. One that others overtook is waited for, if not for long. */
  readonly ordered?: boolean;
  /**
   * How long a group is worth reading once a newer one exists: then the rest of it is skipped, here and at the relay.
   * The publisher's own unless given. `Infinity`: all that fits the buffer.
   */
  readonly latencyMaxMs?: number;
}

/** A frame, as it was written. */
export interface LiveFrame {
  readonly payload: Uint8Array<ArrayBuffer>;
  /** The moment its publisher gave it, in milliseconds; `undefined` from relays that speak a moq-lite before 05. */
  readonly timestampMs: number | undefined;
  /** Frames before it in its group. */
  readonly index: number;
}

/**
 * How a group stands. `lost`: its publisher gave it up, or the connection went away in the middle. `skipped`: it was
 * read too slowly, or the way from the relay was too slow for it. `unreadable`: a frame was not sealed with our secret.
 */
export type GroupState = "open" | "complete" | "lost" | "skipped" | "unreadable";

/** What a subscription needs of its session. */
export interface SubscriberHome {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly limits: LiveLimits;
  readonly retry: BackoffLimits;
}

export interface SubscriptionRequest extends SubscriptionOptions {
  readonly broadcast: string;
  readonly track: string;
  readonly startGroup: number | undefined;
  readonly endGroup: number | undefined;
  readonly follow: boolean;
}

/** Numbers missing between two groups, above which they count as those of another run of the publisher. */
const gapMax = 1_000;
/** What stands for "for ever" where a number is asked for, in ms. */
const latencyLongestMs = 86_400_000;

/**
 * The groups of one track, as they come: `for await (const group of subscription)`, by one reader. Leaving the loop
 * ends the subscription.
 *
 * Nothing waits without bound: a reader who is slow misses groups, the oldest first, and `skippedGroups` counts them.
 */
export interface Subscription extends Disposable {
  [Symbol.asyncIterator](): AsyncIterator<LiveGroup, undefined>;
  /** Groups that were not handed out, or not to their end: the relay left them out, or they were read too slowly. */
  readonly skippedGroups: number;
  /** Groups that wait to be read. */
  readonly waitingGroups: number;
  /** Bytes of payload that arrived. */
  readonly receivedBytes: number;
  /** Changes how the track is wanted, from now on. */
  update(options: SubscriptionOptions): void;
  /** Ends the subscription; a reader's loop ends with it. */
  close(): void;
}

/** A series of frames that belong together: `for await (const frame of group)`. Never throws; see `state`. */
export interface LiveGroup {
  [Symbol.asyncIterator](): AsyncIterator<LiveFrame, undefined>;
  readonly sequence: number;
  /** When it began to arrive, by the session's clock. */
  readonly receivedAt: Instant;
  /** Final once its frames were read. */
  readonly state: GroupState;
}

/** A subscription as its session and the connection of the moment see it. */
export class OwnSubscription implements Subscription, SubscribingSink, Watcher {
  skippedGroups = 0;
  receivedBytes = 0;
  readonly #home: SubscriberHome;
  readonly #sealer: FrameSealer | undefined;
  readonly #request: SubscriptionRequest;
  readonly #onOver: (subscription: OwnSubscription) => void;
  #options: SubscribeOptions;
  #connection: Connection | undefined;
  #subscribing: Subscribing | undefined;
  #cancelWatch: Cancel = () => {};
  #cancelRetry: Cancel = () => {};
  #cancelReorder: Cancel = () => {};
  #announced = false;
  /** Waits for the broadcast to come back, and does not take "not there" for an answer. */
  #patient: boolean;
  #failures = 0;
  #info: TrackInfo | undefined;
  #isKnown = false;
  readonly #waiting: ArrivingGroup[] = [];
  #current: ArrivingGroup | undefined;
  /** The newest number seen, of this run of the publisher. */
  #newest: ArrivingGroup | undefined;
  #handedOut = -1;
  #waitingBytes = 0;
  #wake: () => void = () => {};
  #end: { error: PosternError | undefined } | undefined;

  constructor(
    home: SubscriberHome,
    request: SubscriptionRequest,
    sealer: FrameSealer | undefined,
    onOver: (subscription: OwnSubscription) => void,
  ) {
    this.#home = home;
    this.#request = request;
    this.#sealer = sealer;
    this.#onOver = onOver;
    this.#patient = request.follow;
    this.#options = wireOptions(request);
  }

  get waitingGroups(): number {
    return this.#waiting.length;
  }

  update(options: SubscriptionOptions): void {
    this.#options = wireOptions({ ...this.#request, ...options });
    this.#subscribing?.update(this.#options);
  }

  close(): void {
    this.#finish(undefined);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [Symbol.asyncIterator](): AsyncIterator<LiveGroup, undefined> {
    return {
      next: () => this.#next(),
      return: async () => {
        this.close();
        return { done: true, value: undefined };
      },
    };
  }

  // What the session says.

  /** There is a connection, the first or another. */
  attach(connection: Connection): void {
    this.detach();
    this.#connection = connection;
    if (this.#patient) this.#cancelWatch = connection.watch(this.#request.broadcast, this);
    else this.#ask();
  }

  /** The connection is gone, and another will come. */
  detach(): void {
    this.#cancelRetry();
    this.#cancelWatch();
    this.#subscribing?.close();
    this.#subscribing = undefined;
    this.#announced = false;
    if (this.#connection !== undefined) this.#patient = true;
    this.#connection = undefined;
  }

  /** Another connection will take over. The publisher may move there before us: its leaving here means nothing. */
  expectMove(): void {
    this.#patient = true;
  }

  sessionEnded(error: PosternError | undefined): void {
    this.#finish(error);
  }

  // Watcher

  onAnnounced(path: string, active: boolean): void {
    if (path !== this.#request.broadcast) return;
    this.#announced = active;
    if (active) this.#ask();
  }

  onWatchLost(): void {
    this.#announced = false;
    if (this.#connection?.over === false) this.#finish(new PosternError("track_unavailable"));
  }

  // SubscribingSink

  onInfo(info: TrackInfo | undefined): void {
    this.#info = info;
    this.#isKnown = true;
    this.#failures = 0;
    if (!this.#request.follow) {
      this.#patient = false;
      this.#cancelWatch();
    }
    this.#wake();
  }

  onGroup(sequence: number): GroupSink | undefined {
    if (this.#end !== undefined) return undefined;
    const newest = this.#newest;
    // After a reconnection the relay begins with its latest group: no need for it twice.
    if (newest?.sequence === sequence && newest.state !== "lost") return undefined;
    const ahead = sequence - (newest?.sequence ?? sequence - 1);
    const isLate = ahead < 0 && ahead > -gapMax;
    if (isLate && this.#request.ordered && sequence < this.#handedOut) return undefined;
    const group = new ArrivingGroup(
      sequence,
      this.#home.clock.now(),
      this.#sealer,
      this.#request.track,
      this,
    );
    if (isLate) {
      this.skippedGroups = Math.max(0, this.skippedGroups - 1);
      this.#expireLater(group);
    } else {
      if (ahead > 1 && ahead < gapMax) this.skippedGroups += ahead - 1;
      if (newest?.isRead === false) this.#expireLater(newest);
      this.#newest = group;
    }
    while (this.#waiting.length >= this.#home.limits.bufferMaxGroups) this.#skip(this.#waiting[0]!);
    let at = this.#waiting.length;
    while (this.#request.ordered && at > 0 && this.#waiting[at - 1]!.sequence > sequence) at--;
    this.#waiting.splice(at, 0, group);
    this.#wake();
    return group;
  }

  onSubscribingEnd(how: "complete" | number): void {
    this.#subscribing = undefined;
    const connection = this.#connection;
    // The session tells what comes next: another connection, or the end.
    if (connection === undefined || connection.over) return;
    if (!this.#patient) {
      this.#finish(how === "complete" ? undefined : unavailable(how), true);
      return;
    }
    if (!this.#announced) return;
    const ms = pauseMs(++this.#failures, this.#home.retry, this.#home.entropy);
    this.#cancelRetry = this.#home.clock.after(ms, () => this.#ask());
  }

  // What groups say.

  /** Payload arrived, or was taken. */
  count(bytes: number): void {
    this.#waitingBytes += bytes;
    if (bytes < 0) return;
    this.receivedBytes += bytes;
    while (this.#waitingBytes > this.#home.limits.bufferMaxBytes) {
      const oldest = this.#current?.hasFrames ? this.#current : this.#waiting[0];
      if (oldest === undefined) return;
      this.#skip(oldest);
    }
  }

  get timescale(): number | undefined {
    return this.#info?.timescale;
  }

  #ask(): void {
    if (this.#subscribing !== undefined || this.#end !== undefined) return;
    const { broadcast, track } = this.#request;
    this.#subscribing = this.#connection?.subscribe({ broadcast, track, ...this.#options }, this);
  }

  async #next(): Promise<IteratorResult<LiveGroup, undefined>> {
    this.#current?.abandon();
    this.#current = undefined;
    for (;;) {
      // Without the info a timestamp means nothing.
      const isDue = this.#isKnown && this.#waiting.length > 0 && !this.#awaitsOvertaken();
      if (isDue) {
        const group = this.#waiting.shift()!;
        this.#current = group;
        this.#handedOut = group.sequence;
        return { done: false, value: group };
      }
      if (this.#end !== undefined) {
        const { error } = this.#end;
        this.#end = { error: undefined };
        if (error !== undefined) throw error;
        return { done: true, value: undefined };
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Streams overtake each other: whether a group before the first that waits may still come. */
  #awaitsOvertaken(): boolean {
    this.#cancelReorder();
    const first = this.#waiting[0]!;
    const ahead = first.sequence - this.#handedOut;
    const mayCome = this.#handedOut >= 0 && ahead > 1 && ahead < gapMax;
    if (!this.#request.ordered || !mayCome || this.#end !== undefined) return false;
    const { clock, limits } = this.#home;
    const leftMs = first.receivedAt + limits.reorderMaxMs - clock.now();
    if (leftMs <= 0) return false;
    this.#cancelReorder = clock.after(leftMs, () => this.#wake());
    return true;
  }

  #expireLater(group: ArrivingGroup): void {
    const latencyMaxMs =
      this.#options.latencyMaxMs || this.#info?.latencyMaxMs || this.#home.limits.latencyMaxMs;
    if (latencyMaxMs >= latencyLongestMs) return;
    group.cancelExpiry = this.#home.clock.after(latencyMaxMs, () => this.#skip(group));
  }

  #skip(group: ArrivingGroup): void {
    const at = this.#waiting.indexOf(group);
    if (at >= 0) this.#waiting.splice(at, 1);
    if (group.skip()) this.skippedGroups++;
  }

  /** With `readsOn`, what has arrived can still be read. */
  #finish(error: PosternError | undefined, readsOn = false): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    this.#cancelReorder();
    this.detach();
    if (!readsOn) {
      for (const group of this.#waiting) group.abandon();
      this.#waiting.length = 0;
      this.#current?.abandon();
    }
    // Nothing will tell any more.
    this.#isKnown = true;
    this.#onOver(this);
    this.#wake();
  }
}

/** A group on its way in. */
class ArrivingGroup implements LiveGroup, GroupSink {
  readonly sequence: number;
  readonly receivedAt: Instant;
  cancelExpiry: Cancel = () => {};
  readonly #sealer: FrameSealer | undefined;
  readonly #track: string;
  readonly #owner: OwnSubscription;
  readonly #frames: { payload: Uint8Array<ArrayBuffer>; timestamp: number }[] = [];
  #state: GroupState = "open";
  #nextIndex = 0;
  #isAbandoned = false;
  #wake: () => void = () => {};

  constructor(
    sequence: number,
    receivedAt: Instant,
    sealer: FrameSealer | undefined,
    track: string,
    owner: OwnSubscription,
  ) {
    this.sequence = sequence;
    this.receivedAt = receivedAt;
    this.#sealer = sealer;
    this.#track = track;
    this.#owner = owner;
  }

  get state(): GroupState {
    return this.#state;
  }

  /** Nothing of it is left to read, and nothing more will come. */
  get isRead(): boolean {
    return this.#isAbandoned || (this.#state !== "open" && !this.hasFrames);
  }

  get hasFrames(): boolean {
    return this.#frames.length > 0;
  }

  [Symbol.asyncIterator](): AsyncIterator<LiveFrame, undefined> {
    return {
      next: () => this.#next(),
      return: async () => {
        this.abandon();
        return { done: true, value: undefined };
      },
    };
  }

  onFrame(payload: Uint8Array<ArrayBuffer>, timestamp: number): boolean {
    if (this.#isAbandoned) return false;
    this.#frames.push({ payload, timestamp });
    this.#owner.count(payload.length);
    this.#wake();
    return !this.#isAbandoned;
  }

  onGroupEnd(how: "complete" | "lost" | "skipped"): void {
    if (this.#state !== "open") return;
    this.#state = how;
    if (how === "skipped") this.#owner.skippedGroups++;
    this.#wake();
  }

  /** It was read too slowly. False: it had been read already, or was over. */
  skip(): boolean {
    const isMissed = !this.isRead;
    if (isMissed) this.#state = "skipped";
    this.abandon();
    return isMissed;
  }

  /** Nobody reads it any more. */
  abandon(): void {
    this.cancelExpiry();
    this.#isAbandoned = true;
    for (const { payload } of this.#frames.splice(0)) this.#owner.count(-payload.length);
    this.#wake();
  }

  async #next(): Promise<IteratorResult<LiveFrame, undefined>> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame !== undefined) return this.#opened(frame);
      if (this.isRead) {
        this.cancelExpiry();
        return { done: true, value: undefined };
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #opened(frame: {
    payload: Uint8Array<ArrayBuffer>;
    timestamp: number;
  }): IteratorResult<LiveFrame, undefined> {
    this.#owner.count(-frame.payload.length);
    const index = this.#nextIndex++;
    const place = { track: this.#track, group: this.sequence, index };
    const payload = this.#sealer === undefined ? frame.payload : this.#sealer.open(frame.payload, place);
    if (payload === undefined) {
      this.#state = "unreadable";
      this.abandon();
      return { done: true, value: undefined };
    }
    const { timescale } = this.#owner;
    const timestampMs = timescale === undefined ? undefined : (frame.timestamp * 1_000) / timescale;
    return { done: false, value: { payload, timestampMs, index } };
  }
}

function wireOptions(request: SubscriptionRequest): SubscribeOptions {
  return {
    priority: request.priority ?? 0,
    ordered: request.ordered ?? false,
    latencyMaxMs: Math.min(request.latencyMaxMs ?? 0, latencyLongestMs),
    startGroup: request.startGroup,
    endGroup: request.endGroup,
  };
}

const unavailable = (streamCode: number) =>
  new PosternError("track_unavailable", { details: { streamCode } });
