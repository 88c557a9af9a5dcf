import type { Clock, Entropy } from "../../../../core/clock.ts";
import type { TrackInfo } from "../../../../wire/live/track.ts";
import { PosternError } from "../errors.ts";
import type { FrameSealer } from "./frame-sealing.ts";
import type { LiveLimits } from "./limits.ts";

/** What a publisher says of a track. */
export interface TrackOptions {
  /** Sent before tracks of lower priority; 0 to 255, 0 unless given. */
  readonly priority?: number;
  /** Whether subscribers who do not say otherwise want older groups before newer ones. */
  readonly ordered?: boolean;
  /** How long a group is worth sending once a newer one exists; `latencyMaxMs` of the limits unless given. */
  readonly latencyMaxMs?: number;
}

/** One who is sent a track. */
export interface TrackReader {
  onGroup(group: OwnGroup): void;
  /** The last group was made. */
  onTrackEnd(): void;
}

/** One who is sent a group, told as it grows. */
export interface GroupReader {
  onMore(addedBytes: number): void;
}

/** A frame on its way out. */
export interface OutgoingFrame {
  readonly payload: Uint8Array;
  /** In ticks of the track's timescale. */
  readonly timestamp: number;
}

/** What broadcasts need of their session. */
export interface PublisherHome {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly limits: LiveLimits;
}

/** Ticks a second of the timestamps we send: milliseconds. */
const timescale = 1_000;
const text = new TextEncoder();

/** A named set of tracks. It is announced from `publish` to `end`, over reconnections too. */
export interface Broadcast extends Disposable {
  /** Relative to the session's URL. */
  readonly path: string;
  /**
   * A new track. Whoever asked for this name before was told that there is none.
   *
   * @throws PosternError `option_invalid`: the name is taken, or the broadcast has ended
   */
  track(name: string, options?: TrackOptions): TrackWriter;
  /** Ends every track, and takes the announcement back. */
  end(): void;
}

/** A series of groups, each of which makes sense without the others: for video, a key frame and what builds on it. */
export interface TrackWriter {
  readonly name: string;
  /** Whether anybody is sent this track now. */
  readonly wanted: boolean;
  /** Groups that were not sent, or not to their end, because the way to the relay was too slow. */
  readonly droppedGroups: number;
  /** What still waits to be sent, in bytes. Above what a few frames take, send less or smaller ones. */
  readonly backlogBytes: number;
  /** Resolves once `wanted`; rejects with PosternError `aborted` or, when the track ends before, `session_ended`. */
  whenWanted(signal?: AbortSignal): Promise<void>;
  /** The group that was begun last. */
  readonly latest: GroupWriter | undefined;
  /**
   * A new group; the one before it is ended.
   *
   * The first has the time in ms for its number, each further one the next number: so they go up over a restart of
   * the publisher too, and what a relay still holds of the last run counts as older.
   *
   * @throws PosternError `session_ended` after `end`
   */
  group(): GroupWriter;
  /** A group of this one frame. */
  frame(payload: Uint8Array | string, timestampMs?: number): void;
  /** No further group will come. What was written is still sent. */
  end(): void;
}

/** Frames that belong together, sent as they are written. */
export interface GroupWriter {
  readonly sequence: number;
  /**
   * Adds a frame; the bytes are the group's from then on. `timestampMs` is the moment the frame shows, in milliseconds
   * since any fixed point (now since 1970 unless given); subscribers learn it, from publishers of moq-lite 05.
   *
   * False: the group has ended, or was given up for its size. Go on with a new one.
   */
  write(payload: Uint8Array | string, timestampMs?: number): boolean;
  /** The group is whole. */
  end(): void;
  /** Gives the group up: subscribers see it as lost. Codes from 64 on are yours. */
  abort(code?: number): void;
}

/** A broadcast of ours, as the connection sees it. */
export class OwnBroadcast implements Broadcast {
  readonly path: string;
  readonly #home: PublisherHome;
  readonly #sealer: FrameSealer | undefined;
  readonly #tracks = new Map<string, OwnTrack>();
  readonly #onEnd: (broadcast: OwnBroadcast) => void;
  #ended = false;

  constructor(
    path: string,
    home: PublisherHome,
    sealer: FrameSealer | undefined,
    onEnd: (broadcast: OwnBroadcast) => void,
  ) {
    this.path = path;
    this.#home = home;
    this.#sealer = sealer;
    this.#onEnd = onEnd;
  }

  track(name: string, options: TrackOptions = {}): OwnTrack {
    if (this.#ended || this.#tracks.has(name)) {
      const why = this.#ended ? "the broadcast has ended" : "the name is taken";
      throw new PosternError("option_invalid", { message: `track: ${why}.`, details: { option: "track" } });
    }
    const info: TrackInfo = {
      priority: options.priority ?? 0,
      ordered: options.ordered ?? false,
      latencyMaxMs: options.latencyMaxMs ?? this.#home.limits.latencyMaxMs,
      timescale,
    };
    const track = new OwnTrack(name, info, this.#home, this.#sealer, () => this.#tracks.delete(name));
    this.#tracks.set(name, track);
    return track;
  }

  /** The track that subscribers ask for by this name. */
  find(name: string): OwnTrack | undefined {
    return this.#tracks.get(name);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const track of [...this.#tracks.values()]) track.end();
    this.#onEnd(this);
  }

  [Symbol.dispose](): void {
    this.end();
  }
}

/** A track of ours, as the connection sees it. */
export class OwnTrack implements TrackWriter {
  readonly name: string;
  readonly info: TrackInfo;
  readonly #home: PublisherHome;
  readonly #sealer: FrameSealer | undefined;
  readonly #onEnd: () => void;
  readonly #readers = new Set<TrackReader>();
  readonly #waiters = new Set<() => void>();
  #latest: OwnGroup | undefined;
  #ended = false;
  droppedGroups = 0;
  backlogBytes = 0;

  constructor(
    name: string,
    info: TrackInfo,
    home: PublisherHome,
    sealer: FrameSealer | undefined,
    onEnd: () => void,
  ) {
    this.name = name;
    this.info = info;
    this.#home = home;
    this.#sealer = sealer;
    this.#onEnd = onEnd;
  }

  get wanted(): boolean {
    return this.#readers.size > 0;
  }

  async whenWanted(signal?: AbortSignal): Promise<void> {
    while (!this.wanted) {
      if (signal?.aborted) throw new PosternError("aborted", { cause: signal.reason });
      if (this.#ended) throw new PosternError("session_ended");
      await new Promise<void>((resolve) => {
        this.#waiters.add(resolve);
        signal?.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  get latest(): OwnGroup | undefined {
    return this.#latest;
  }

  group(): OwnGroup {
    if (this.#ended) throw new PosternError("session_ended");
    this.#latest?.end();
    const sequence = this.#latest === undefined ? this.#home.clock.now() : this.#latest.sequence + 1;
    const group = new OwnGroup(sequence, this.name, this.#home, this.#sealer);
    if (this.#latest !== undefined) this.#latest.supersededAt = this.#home.clock.now();
    this.#latest = group;
    for (const reader of this.#readers) reader.onGroup(group);
    return group;
  }

  frame(payload: Uint8Array | string, timestampMs?: number): void {
    const group = this.group();
    group.write(payload, timestampMs);
    group.end();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#latest?.end();
    this.#onEnd();
    for (const reader of [...this.#readers]) reader.onTrackEnd();
    this.#wake();
  }

  /** Sends `reader` the latest group and every later one, until it is removed. */
  add(reader: TrackReader): void {
    this.#readers.add(reader);
    if (this.#latest !== undefined) reader.onGroup(this.#latest);
    this.#wake();
  }

  remove(reader: TrackReader): void {
    this.#readers.delete(reader);
  }

  #wake(): void {
    for (const resolve of this.#waiters) resolve();
    this.#waiters.clear();
  }
}

/** A group of ours, as the connection sees it. */
export class OwnGroup implements GroupWriter {
  readonly sequence: number;
  /** For whoever sends them. */
  readonly frames: OutgoingFrame[] = [];
  /** `open` until it ended; a number is the code it was given up with. */
  state: "open" | "complete" | number = "open";
  /** When a newer group took its place as the latest. */
  supersededAt: number | undefined;
  bytes = 0;
  readonly #track: string;
  readonly #home: PublisherHome;
  readonly #sealer: FrameSealer | undefined;
  readonly #readers = new Set<GroupReader>();

  constructor(sequence: number, track: string, home: PublisherHome, sealer: FrameSealer | undefined) {
    this.sequence = sequence;
    this.#track = track;
    this.#home = home;
    this.#sealer = sealer;
  }

  write(payload: Uint8Array | string, timestampMs: number = this.#home.clock.now()): boolean {
    if (this.state !== "open") return false;
    const bytes = typeof payload === "string" ? text.encode(payload) : payload;
    const place = { track: this.#track, group: this.sequence, index: this.frames.length };
    const sealed = this.#sealer?.seal(bytes, place, this.#home.entropy) ?? bytes;
    if (this.bytes + sealed.length > this.#home.limits.groupMaxBytes) {
      this.abort(groupTooLarge);
      return false;
    }
    this.bytes += sealed.length;
    this.frames.push({ payload: sealed, timestamp: Math.round(timestampMs) });
    this.#tell(sealed.length);
    return true;
  }

  end(): void {
    if (this.state !== "open") return;
    this.state = "complete";
    this.#tell(0);
  }

  abort(code = 0): void {
    if (this.state !== "open") return;
    this.state = code;
    this.#tell(0);
  }

  add(reader: GroupReader): void {
    this.#readers.add(reader);
  }

  remove(reader: GroupReader): void {
    this.#readers.delete(reader);
  }

  #tell(addedBytes: number): void {
    for (const reader of [...this.#readers]) reader.onMore(addedBytes);
  }
}

const groupTooLarge = 27;
