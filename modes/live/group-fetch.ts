import type { Clock } from "#core/clock.ts";
import { liveError } from "#wire/live/error-code.ts";
import { FrameScanner } from "#wire/live/frames.ts";
import type { SubscribeOptions } from "#wire/live/subscribe.ts";
import type { BodyReader, Group } from "./group.ts";
import type { Relay } from "./relay.ts";
import type { TrackSubscriber } from "./track.ts";

/** A whole group's payloads, one after the other. */
export interface FetchedGroup {
  sequence: number;
  frames: number;
  payload: Uint8Array<ArrayBuffer>;
}

/** Why there is none: nobody has it, it took too long, the client left, or has it already. */
export type FetchFailure = "not_found" | "timed_out" | "aborted" | "unchanged";

export interface WantedGroup {
  path: string;
  track: string;
  /** Undefined: the latest. */
  sequence: number | undefined;
  /** The group that the client has. */
  known?: number | undefined;
}

const once: SubscribeOptions = {
  priority: 0,
  ordered: false,
  latencyMaxMs: 0,
  startGroup: undefined,
  endGroup: undefined,
};

/** One group of a track: `sequence` if it is held, otherwise the latest or the next to come. */
export function fetchGroup(
  relay: Relay,
  clock: Clock,
  wanted: WantedGroup,
  bounds: { timeoutMs: number; signal: AbortSignal },
): Promise<FetchedGroup | FetchFailure> {
  const { origin } = relay;
  if (wanted.sequence !== undefined) {
    const held = origin.find(wanted.path)?.tracks.get(wanted.track)?.group(wanted.sequence);
    if (held === undefined) return Promise.resolve("not_found");
    return held.sequence === wanted.known ? Promise.resolve("unchanged") : wholeGroup(held, clock, bounds);
  }
  const track = origin.track(wanted.path, wanted.track);
  if (track === undefined) return Promise.resolve("not_found");
  return bounded(clock, bounds, (finish) => {
    let watch = () => {};
    const subscriber: TrackSubscriber = {
      options: once,
      onGroup(group) {
        leave();
        if (group.sequence === wanted.known) finish("unchanged");
        else watch = readWhole(group, finish);
      },
      onComplete: () => finish("not_found"),
      onError: (code) => finish(code === liveError.timeout ? "timed_out" : "not_found"),
    };
    let leave = () => {};
    leave = track.subscribe(subscriber);
    origin.start(track);
    return () => {
      leave();
      watch();
    };
  });
}

function wholeGroup(
  group: Group,
  clock: Clock,
  bounds: { timeoutMs: number; signal: AbortSignal },
): Promise<FetchedGroup | FetchFailure> {
  return bounded(clock, bounds, (finish) => readWhole(group, finish));
}

type Finish = (result: FetchedGroup | FetchFailure) => void;

/** Runs `begin` until it finishes, the time is up or the client leaves; then calls what `begin` answered. */
function bounded(
  clock: Clock,
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
  begin: (finish: Finish) => () => void,
): Promise<FetchedGroup | FetchFailure> {
  return new Promise((resolve) => {
    let stop: (() => void) | undefined;
    let result: FetchedGroup | FetchFailure | undefined;
    const finish: Finish = (first) => {
      if (result !== undefined) return;
      result = first;
      cancelTimer();
      signal.removeEventListener("abort", onAbort);
      stop?.();
      resolve(first);
    };
    const onAbort = () => finish("aborted");
    const cancelTimer = clock.after(timeoutMs, () => finish("timed_out"));
    signal.addEventListener("abort", onAbort);
    if (signal.aborted) return finish("aborted");
    stop = begin(finish);
    // It may have been over before there was anything to stop.
    if (result !== undefined) stop();
  });
}

/** Calls `finish` once the group is whole. */
function readWhole(group: Group, finish: Finish): () => void {
  const body = group.body("A");
  const reader: BodyReader = {
    onMore() {
      if (body.state === "open") return;
      finish(
        body.state === "complete"
          ? { sequence: group.sequence, frames: group.frames, payload: payloadOf(body.chunks) }
          : "not_found",
      );
    },
  };
  body.add(reader);
  reader.onMore(0);
  return () => body.remove(reader);
}

function payloadOf(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const pieces: Uint8Array[] = [];
  const scanner = new FrameScanner("A", Number.MAX_SAFE_INTEGER);
  for (const chunk of chunks) scanner.push(chunk, { frame() {}, payload: (piece) => pieces.push(piece) });
  const payload = new Uint8Array(pieces.reduce((bytes, piece) => bytes + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    payload.set(piece, at);
    at += piece.length;
  }
  return payload;
}
