import type { Cancel } from "#core/clock.ts";
import type { Datagram } from "#wire/live/datagram.ts";
import { liveError } from "#wire/live/error-code.ts";
import type { Subscribe, SubscribeOptions } from "#wire/live/subscribe.ts";
import type { DatagramOutbox } from "./datagram-outbox.ts";
import type { Group } from "./group.ts";
import type { Outbox, OutboxSubscription, OutgoingGroup } from "./outbox.ts";
import type { SessionContext } from "./session-context.ts";
import { lateGroupsMs } from "./sourcing.ts";
import type { Track, TrackSubscriber } from "./track.ts";
import type { Traffic } from "./traffic.ts";

/** How old a superseded group may get where neither side says so, in ms. */
const latencyDefaultMs = 5_000;

/** How a subscription is answered in what the remote speaks. */
export interface ServingAnswers {
  /** The subscription is taken. */
  taken(options: SubscribeOptions): void;
  /** Groups `from` to `to`, both included, were asked for and are not kept any more. */
  missing(from: number, to: number): void;
  /** The first group, which goes to the outbox after this. */
  first(sequence: number): void;
  /** All groups there will be were sent; `bound` is behind the last. */
  ended(bound: number): void;
  failed(code: number): void;
  /** The remote wants no more. */
  left(): void;
}

/** One subscription of the remote: its groups go to the outbox, its answers to its stream. */
export class Serving implements TrackSubscriber, OutboxSubscription {
  readonly id: number;
  readonly #session: SessionContext;
  readonly #answers: ServingAnswers;
  readonly #outbox: Outbox;
  readonly #track: Track;
  readonly #onOver: (serving: Serving) => void;
  readonly #outgoing = new Set<OutgoingGroup>();
  readonly traffic: Traffic;
  /** Where datagrams go; `undefined` where the remote's version has none. */
  datagrams: DatagramOutbox | undefined;
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
    answers: ServingAnswers,
    outbox: Outbox,
    track: Track,
    subscribe: SubscribeOptions & Pick<Subscribe, "id">,
    onOver: (serving: Serving) => void,
  ) {
    this.id = subscribe.id;
    this.options = subscribe;
    this.#session = session;
    this.#answers = answers;
    this.#outbox = outbox;
    this.#track = track;
    this.#onOver = onOver;
    this.traffic = session.traffic.subscribed(track.broadcast);
    this.#floor = subscribe.startGroup ?? track.latest?.sequence ?? 0;
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
    this.#answers.taken(this.options);
    this.#tellMissing();
    this.#cancel = this.#track.subscribe(this);
  }

  onGroup(group: Group): void {
    const { sequence } = group;
    if (this.#complete || sequence < this.#floor) return;
    if (this.#largest < 0) this.#answers.first(sequence);
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

  onDatagram(datagram: Datagram): void {
    const { startGroup, endGroup } = this.options;
    const { sequence } = datagram;
    if (this.#complete || sequence < (startGroup ?? 0) || sequence > (endGroup ?? sequence)) return;
    this.datagrams?.add(this, datagram);
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
    this.#end(() => this.#answers.failed(code));
  }

  onGroupDone(outgoing: OutgoingGroup): void {
    this.#outgoing.delete(outgoing);
    if (this.#complete) this.#finishIfSent();
  }

  /** The remote wants it otherwise from now on. */
  update(options: SubscribeOptions): void {
    this.options = options;
    this.#outbox.reorder();
    this.#track.updated();
  }

  /** The remote wants no more. */
  leave(): void {
    this.#end(() => this.#answers.left());
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
    this.#answers.missing(startGroup, oldest - 1);
  }

  #finishIfSent(): void {
    if (this.#outgoing.size > 0) return;
    this.#end(() => this.#answers.ended(Math.max(this.#largest + 1, 0)));
  }

  #end(say: () => void): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancel?.();
    this.datagrams?.drop(this);
    this.#cancelLast?.();
    for (const outgoing of [...this.#outgoing]) this.#outbox.drop(outgoing, liveError.cancel);
    this.#session.traffic.unsubscribed(this.#track.broadcast);
    say();
    this.#onOver(this);
  }
}
