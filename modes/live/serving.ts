import type { Cancel } from "#core/clock.ts";
import { liveError } from "#wire/live/error-code.ts";
import type { StreamBuffer } from "#wire/live/stream-buffer.ts";
import {
  decodeSubscribeUpdate,
  encodeSubscribeDrop,
  encodeSubscribeEnd,
  encodeSubscribeOk,
  encodeSubscribeStart,
  type Subscribe,
  type SubscribeOptions,
} from "#wire/live/subscribe.ts";
import type { ControlStream } from "./control-stream.ts";
import type { Group } from "./group.ts";
import type { Outbox, OutboxSubscription, OutgoingGroup } from "./outbox.ts";
import type { SessionContext } from "./session-context.ts";
import type { Track, TrackSubscriber } from "./track.ts";

/** How old a superseded group may get where neither side says so, in ms. */
const latencyDefaultMs = 5_000;

/** How long the last group of a range waits for those before it. */
const lateGroupsMs = 500;

/** One subscription of the remote: its groups go to the outbox, its answers to its stream. */
export class Serving implements TrackSubscriber, OutboxSubscription {
  readonly id: number;
  readonly #session: SessionContext;
  readonly #stream: ControlStream;
  readonly #outbox: Outbox;
  readonly #track: Track;
  readonly #onOver: (serving: Serving) => void;
  readonly #outgoing = new Set<OutgoingGroup>();
  options: SubscribeOptions;
  #cancel: Cancel | undefined;
  /** Where the subscription begins: as asked for, or at the latest group there was. */
  readonly #floor: number;
  #smallest = Number.POSITIVE_INFINITY;
  #largest = -1;
  /** Groups given within the range asked for. */
  #given = 0;
  /** Waits for groups of the range that its last has overtaken. */
  #cancelLast: Cancel | undefined;
  #complete = false;
  #over = false;

  constructor(
    session: SessionContext,
    stream: ControlStream,
    outbox: Outbox,
    track: Track,
    subscribe: Subscribe,
    onOver: (serving: Serving) => void,
  ) {
    this.id = subscribe.id;
    this.options = subscribe;
    this.#session = session;
    this.#stream = stream;
    this.#outbox = outbox;
    this.#track = track;
    this.#onOver = onOver;
    this.#floor = subscribe.startGroup ?? track.latest?.sequence ?? 0;
    stream.onInput = (input, fin) => this.#onInput(input, fin);
    stream.onAbort = () => this.#end(() => stream.abort(liveError.cancel));
  }

  get priority(): number {
    return this.options.priority;
  }

  get trackPriority(): number {
    return this.#track.info?.priority ?? 0;
  }

  get ordered(): boolean {
    return this.options.ordered;
  }

  get latencyMaxMs(): number {
    return this.options.latencyMaxMs || this.#track.info?.latencyMaxMs || latencyDefaultMs;
  }

  start(): void {
    // Up to 04 clients wait for the answer, and give up after ten seconds: it is not made to wait for the publisher.
    if (this.#session.version < 5) {
      this.#stream.output.send(encodeSubscribeOk(this.options, this.#session.version));
    }
    this.#tellMissing();
    this.#cancel = this.#track.subscribe(this);
  }

  onGroup(group: Group): void {
    const { sequence } = group;
    if (this.#complete || sequence < this.#floor) return;
    if (this.#largest < 0 && this.#session.version >= 5) {
      this.#stream.output.send(encodeSubscribeStart(sequence));
    }
    this.#largest = Math.max(this.#largest, sequence);
    const { endGroup } = this.options;
    if (endGroup === undefined || sequence <= endGroup) {
      this.#smallest = Math.min(this.#smallest, sequence);
      this.#given++;
      this.#session.metrics.groupsOut++;
      this.#outgoing.add(this.#outbox.add(this, group));
      this.#skipOld();
    }
    if (endGroup !== undefined) this.#completeAt(endGroup);
  }

  /** Streams overtake each other: those before the last may come after it, or never. */
  #completeAt(endGroup: number): void {
    if (this.#largest < endGroup) return;
    if (this.#given > endGroup - this.#smallest) this.onComplete();
    else this.#cancelLast ??= this.#session.clock.after(lateGroupsMs, () => this.onComplete());
  }

  /** What came first is the oldest: it goes while it is stale, or there are too many. */
  #skipOld(): void {
    for (const oldest of this.#outgoing) {
      const many = this.#outgoing.size > this.#session.limits.backlogMaxGroups;
      if (!many && !this.#outbox.isStale(oldest)) return;
      this.#outbox.skip(oldest);
    }
  }

  onComplete(): void {
    this.#complete = true;
    this.#finishIfSent();
  }

  onError(code: number): void {
    this.#end(() => this.#stream.abort(code));
  }

  onGroupDone(outgoing: OutgoingGroup): void {
    this.#outgoing.delete(outgoing);
    if (this.#complete) this.#finishIfSent();
  }

  /** The session is over. */
  close(): void {
    this.#end(() => {});
  }

  /** Groups that were asked for and are not kept any more. */
  #tellMissing(): void {
    const { startGroup } = this.options;
    const oldest = startGroup === undefined ? undefined : this.#track.heldFrom(0)[0]?.sequence;
    if (startGroup === undefined || oldest === undefined || oldest <= startGroup) return;
    const { version } = this.#session;
    if (version === 3 || version === 4) {
      this.#stream.output.send(encodeSubscribeDrop(startGroup, oldest - 1, liveError.old, version));
    }
  }

  #onInput(input: StreamBuffer, fin: boolean): void {
    for (let body = input.takeMessage(); body !== undefined; body = input.takeMessage()) {
      this.options = decodeSubscribeUpdate(body, this.#session.version);
      this.#outbox.reorder();
      this.#track.updated();
    }
    if (fin) this.#end(() => this.#stream.output.finish());
  }

  #finishIfSent(): void {
    if (this.#outgoing.size > 0) return;
    this.#end(() => {
      if (this.#session.version >= 5) {
        this.#stream.output.send(encodeSubscribeEnd(Math.max(this.#largest + 1, 0)));
      }
      this.#stream.output.finish();
    });
  }

  #end(say: () => void): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancel?.();
    this.#cancelLast?.();
    for (const outgoing of [...this.#outgoing]) this.#outbox.drop(outgoing, liveError.cancel);
    say();
    this.#onOver(this);
  }
}
