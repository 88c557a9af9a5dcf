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
import type { SendStream } from "#wire/live/transport.ts";
import type { BodyReader, Group } from "../group.ts";
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

/** The class in which groups are read for their objects. */
const storedAs = "B";

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
export class ServedFetch implements BodyReader {
  readonly #session: SessionContext;
  readonly #draft: Draft;
  readonly #request: Request;
  readonly #onOver: (fetch: ServedFetch) => void;
  /** What is still to be sent: read as long, so that it counts in the cache. */
  #groups: Group[] = [];
  #output: ControlOutput | undefined;
  #onEnded = () => {};
  #over = false;

  constructor(session: SessionContext, draft: Draft, request: Request, onOver: (fetch: ServedFetch) => void) {
    this.#session = session;
    this.#draft = draft;
    this.#request = request;
    this.#onOver = onOver;
    request.onEnd = () => {};
    request.onAbort = () => this.#giveUp(liveError.cancel);
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
    this.#onEnded = () => traffic.fetchEnded(track.broadcast);
    this.#groups = groups;
    for (const group of groups) group.body(storedAs).add(this);
    const chunks = this.#chunks(fetch.id, { ...span, end }, counts);
    this.#session.openUni((stream) => {
      if (this.#over) stream.reset(resetCodeOf(liveError.cancel));
      else this.#send(stream, chunks);
    });
    this.onMore();
  }

  /** A group that there is no memory for any more takes the answer with it. */
  onMore(): void {
    if (this.#groups.some(({ evicted }) => evicted)) this.#giveUp(liveError.evicted);
  }

  /** Nobody wants it any more. */
  close(): void {
    if (this.#over) return;
    this.#over = true;
    for (const group of this.#groups) group.body(storedAs).remove(this);
    this.#groups = [];
    this.#onEnded();
    this.#request.finish();
    this.#onOver(this);
  }

  #giveUp(code: number): void {
    if (this.#over) return;
    this.#output?.reset(resetCodeOf(code));
    this.close();
  }

  /** Taken when there is room, so that what waits is the groups' alone. */
  #send(stream: SendStream, chunks: Iterator<Uint8Array, void>): void {
    const output = new ControlOutput(this.#session, stream);
    this.#output = output;
    stream.onStop = () => this.#giveUp(liveError.cancel);
    output.feed(() => {
      if (this.#over) return false;
      const { value } = chunks.next();
      if (value !== undefined) output.send(value);
      else {
        output.finish();
        this.close();
      }
      return value !== undefined;
    });
  }

  /** Header and objects; a group is let go of behind its last. */
  *#chunks(id: number, span: Span, counts: Traffic): Generator<Uint8Array, void> {
    yield encodeFetchHeader(id, this.#draft);
    let groupBefore: number | undefined;
    for (let group = this.#groups[0]; group !== undefined; group = this.#groups[0]) {
      const objects = objectsOf(group, groupBefore, span, this.#draft, counts);
      for (const chunk of objects) {
        groupBefore = group.sequence;
        yield chunk;
      }
      this.#groups.shift();
      group.body(storedAs).remove(this);
    }
  }

  #refuse(id: number, reason: RefusalReason): void {
    this.#request.send(encodeRequestError("fetch", id, reason, "not to be had", this.#draft));
    this.close();
  }
}

const isBefore = (a: Location, b: Location): boolean =>
  a.group < b.group || (a.group === b.group && a.object < b.object);

/** The whole objects of a group that lie in the span, headers and payloads; counts them. `before`: the last object's group. */
function* objectsOf(
  group: Group,
  before: number | undefined,
  { track, start, end }: Span,
  draft: Draft,
  counts: Traffic,
): Generator<Uint8Array, void> {
  const priority = 255 - (track.info?.priority ?? 0);
  const first = group.sequence === start.group ? start.object : 0;
  const bound = group.sequence === end.group ? end.object : wholeGroup;
  let groupBefore = before;
  for (const { id, size, timestamp, pieces } of framesOf(group)) {
    if (id < first || id >= bound) continue;
    const head = { group: group.sequence, groupBefore, object: id, priority, size };
    const stamped = draft.trackProperties === "written" ? Math.max(timestamp, 0) : undefined;
    yield encodeFetchedObject({ ...head, timestamp: stamped }, draft);
    yield* pieces;
    counts.frames++;
    counts.bytes += size;
    groupBefore = group.sequence;
  }
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
  const scanner = new FrameScanner(storedAs, Number.MAX_SAFE_INTEGER);
  for (const chunk of group.body(storedAs).chunks) scanner.push(chunk, sink);
  if (left > 0) frames.pop();
  return frames;
}
