import { ControlOutput } from "#wire/live/control-stream.ts";
import { liveError } from "#wire/live/error-code.ts";
import { FrameScanner, type FrameSink } from "#wire/live/frames.ts";
import type { Draft } from "#wire/live/ietf/draft.ts";
import { type RefusalReason, resetCodeOf } from "#wire/live/ietf/error.ts";
import {
  encodeFetchedObject,
  encodeFetchHeader,
  encodeFetchOk,
  type Fetch,
  type FetchRange,
} from "#wire/live/ietf/fetch.ts";
import type { Location } from "#wire/live/ietf/parameters.ts";
import { encodeRequestError } from "#wire/live/ietf/request.ts";
import type { Group } from "../group.ts";
import type { SessionContext } from "../session-context.ts";
import type { Track } from "../track.ts";
import { trackFor } from "../track-access.ts";
import type { Traffic } from "../traffic.ts";
import type { Request } from "./request.ts";
import { largestOf, type ServedSubscription } from "./served-subscription.ts";

/** What a fetch asks for, as far as it can be had: from `start` to before `end`. */
interface Span {
  track: Track;
  start: Location;
  end: Location;
}

const wholeGroup = Number.MAX_SAFE_INTEGER;

/** Of what is held; `subscriptionOf` finds the subscription that a fetch joins. */
function spanOf(
  session: SessionContext,
  range: FetchRange,
  subscriptionOf: (id: number) => ServedSubscription | undefined,
): Span | RefusalReason {
  if (range.kind === "joining") {
    const joined = subscriptionOf(range.subscription);
    if (joined === undefined) return "invalid_joining_request";
    const { track, joinedAt } = joined;
    if (joinedAt === undefined) return "invalid_range";
    const group = range.relative ? Math.max(joinedAt.group - range.start, 0) : range.start;
    return { track, start: { group, object: 0 }, end: { ...joinedAt, object: joinedAt.object + 1 } };
  }
  const { namespace, track: name } = range;
  const track =
    namespace === undefined || name === undefined ? undefined : trackFor(session, namespace, name, true);
  if (track === undefined) return "does_not_exist";
  if (range.kind === "standalone") {
    return { track, start: range.start, end: { ...range.end, object: range.end.object || wholeGroup } };
  }
  const { filter } = range;
  const latest = track.latest?.sequence ?? 0;
  if (filter === undefined)
    return { track, start: { group: 0, object: 0 }, end: { group: latest, object: wholeGroup } };
  const first = filter.kind === "absolute" ? filter.start : Math.max(latest + 1 - filter.back, 0);
  const last = filter.kind === "absolute" ? (filter.end ?? latest) : latest;
  return { track, start: { group: first, object: 0 }, end: { group: last, object: wholeGroup } };
}

/**
 * Answers one FETCH with what is held of the range, on a stream of its own. What is not held is not sent: it may be had of
 * the publisher, whom nobody asks.
 */
export class ServedFetch {
  readonly #session: SessionContext;
  readonly #draft: Draft;
  readonly #request: Request;
  readonly #onOver: (fetch: ServedFetch) => void;
  #over = false;

  constructor(session: SessionContext, draft: Draft, request: Request, onOver: (fetch: ServedFetch) => void) {
    this.#session = session;
    this.#draft = draft;
    this.#request = request;
    this.#onOver = onOver;
    request.onEnd = () => {};
    request.onAbort = () => this.close();
  }

  start(fetch: Fetch, subscriptionOf: (id: number) => ServedSubscription | undefined): void {
    const span = spanOf(this.#session, fetch.range, subscriptionOf);
    if (typeof span === "string") {
      this.#refuse(fetch.id, span);
      return;
    }
    const { track, start } = span;
    const largest = largestOf(track);
    if (largest === undefined || isBefore(largest, start) || !isBefore(start, span.end)) {
      this.#refuse(fetch.id, "invalid_range");
      return;
    }
    const groups = track.heldFrom(start.group).filter(({ sequence }) => sequence <= span.end.group);
    if (groups.length === 0) {
      this.#refuse(fetch.id, "does_not_exist");
      return;
    }
    if (fetch.descending) groups.reverse();
    const { metrics, traffic } = this.#session;
    metrics.fetches++;
    const counts = traffic.fetched(track.broadcast);
    counts.groups += groups.length;
    const behindLargest = { group: largest.group, object: largest.object + 1 };
    const end = isBefore(behindLargest, span.end) ? behindLargest : span.end;
    const told = end.object === wholeGroup ? { group: end.group, object: 0 } : end;
    const properties = { timescale: track.info?.timescale, ascending: !fetch.descending };
    this.#request.send(encodeFetchOk(fetch.id, { endOfTrack: false, end: told, properties }, this.#draft));
    const chunks = [
      encodeFetchHeader(fetch.id, this.#draft),
      ...objectsOf(groups, { ...span, end }, this.#draft, counts),
    ];
    traffic.fetchEnded(track.broadcast);
    this.#session.openUni((stream) => {
      if (this.#over) stream.reset(resetCodeOf(liveError.cancel));
      else this.#send(new ControlOutput(this.#session, stream), chunks);
    });
  }

  /** Nobody wants it any more. */
  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#request.finish();
    this.#onOver(this);
  }

  /** All that is left is to be read: only references wait, to what the cache holds or just held. */
  #send(output: ControlOutput, chunks: readonly Uint8Array[]): void {
    output.unbounded = true;
    for (const chunk of chunks) output.send(chunk);
    output.finish();
    this.close();
    this.#request.onAbort = () => {
      if (!output.done) output.reset(resetCodeOf(liveError.cancel));
    };
  }

  #refuse(id: number, reason: RefusalReason): void {
    this.#request.send(encodeRequestError("fetch", id, reason, "not to be had", this.#draft));
    this.close();
  }
}

const isBefore = (a: Location, b: Location): boolean =>
  a.group < b.group || (a.group === b.group && a.object < b.object);

/** The whole objects of `groups` that lie in the span, headers and payloads; counts them. */
function objectsOf(
  groups: readonly Group[],
  { track, start, end }: Span,
  draft: Draft,
  counts: Traffic,
): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  const priority = 255 - (track.info?.priority ?? 0);
  let groupBefore: number | undefined;
  for (const group of groups) {
    const first = group.sequence === start.group ? start.object : 0;
    const bound = group.sequence === end.group ? end.object : wholeGroup;
    for (const { id, size, timestamp, pieces } of framesOf(group)) {
      if (id < first || id >= bound) continue;
      const head = { group: group.sequence, groupBefore, object: id, priority, size };
      const stamped = draft.trackProperties === "written" ? Math.max(timestamp, 0) : undefined;
      chunks.push(encodeFetchedObject({ ...head, timestamp: stamped }, draft), ...pieces);
      counts.frames++;
      counts.bytes += size;
      groupBefore = group.sequence;
    }
  }
  return chunks;
}

interface WholeFrame {
  id: number;
  size: number;
  timestamp: number;
  pieces: Uint8Array[];
}

/** The frames of a group that are there whole. */
function framesOf(group: Group): WholeFrame[] {
  const frames: WholeFrame[] = [];
  let left = 0;
  const sink: FrameSink = {
    frame(size, timestampDelta) {
      const timestamp = (frames[frames.length - 1]?.timestamp ?? 0) + timestampDelta;
      frames.push({ id: frames.length, size, timestamp, pieces: [] });
      left = size;
    },
    payload(piece) {
      frames[frames.length - 1]!.pieces.push(piece);
      left -= piece.length;
    },
  };
  const scanner = new FrameScanner("B", Number.MAX_SAFE_INTEGER);
  for (const chunk of group.body("B").chunks) scanner.push(chunk, sink);
  if (left > 0) frames.pop();
  return frames;
}
