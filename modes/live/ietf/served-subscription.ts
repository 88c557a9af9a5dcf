import type { Cancel } from "#core/clock.ts";
import { liveError } from "#wire/live/error-code.ts";
import type { Draft } from "#wire/live/ietf/draft.ts";
import { doneStatus, IetfProtocolError, reasonOf } from "#wire/live/ietf/error.ts";
import { decodeFilter, type Filter } from "#wire/live/ietf/filter.ts";
import { type Message, messageType } from "#wire/live/ietf/message.ts";
import type { Location } from "#wire/live/ietf/parameters.ts";
import { decodeRequestUpdate, encodeRequestError, encodeRequestOk } from "#wire/live/ietf/request.ts";
import { encodePublishDone, encodeSubscribeOk, type Subscribe } from "#wire/live/ietf/subscribe.ts";
import type { SubscribeOptions } from "#wire/live/subscribe.ts";
import type { TrackInfo } from "#wire/live/track.ts";
import type { Outbox } from "../outbox.ts";
import { Serving, type ServingAnswers } from "../serving.ts";
import type { SessionContext } from "../session-context.ts";
import type { Track } from "../track.ts";
import type { Request } from "./request.ts";

/** Where a track stands: its latest object, if it has any. */
export function largestOf(track: Track): Location | undefined {
  const { latest } = track;
  if (latest === undefined) return undefined;
  const objects = latest.frames;
  return objects === 0 ? undefined : { group: latest.sequence, object: objects - 1 };
}

/** First and last group of a filter, by what there is of the track now. */
function rangeOf(filter: Filter, track: Track): Pick<SubscribeOptions, "startGroup" | "endGroup"> {
  if (filter.kind === "absolute") return { startGroup: filter.start, endGroup: filter.end };
  const { latest } = track;
  const joinsLatest = filter.back === 1 || latest === undefined;
  const startGroup = joinsLatest ? undefined : Math.max(latest.sequence + 1 - filter.back, 0);
  return { startGroup, endGroup: undefined };
}

/** One subscription of the remote, from SUBSCRIBE to PUBLISH_DONE. */
export class ServedSubscription implements ServingAnswers {
  readonly id: number;
  readonly track: Track;
  /** The latest object there was at its beginning, which a joining fetch ends with. */
  readonly joinedAt: Location | undefined;
  readonly #session: SessionContext;
  readonly #draft: Draft;
  readonly #request: Request;
  readonly #outbox: Outbox;
  readonly #onOver: (served: ServedSubscription) => void;
  #options: SubscribeOptions;
  #serving: Serving | undefined;
  #cancelInfo: Cancel = () => {};
  #answered = false;
  /** Data streams opened for it. */
  #streams = 0;
  #over = false;

  constructor(
    session: SessionContext,
    draft: Draft,
    request: Request,
    outbox: Outbox,
    track: Track,
    subscribe: Subscribe,
    onOver: (served: ServedSubscription) => void,
  ) {
    this.id = subscribe.id;
    this.track = track;
    this.joinedAt = largestOf(track);
    this.#session = session;
    this.#draft = draft;
    this.#request = request;
    this.#outbox = outbox;
    this.#onOver = onOver;
    this.#options = {
      priority: 255 - subscribe.priority,
      ordered: subscribe.ascending,
      latencyMaxMs: 0,
      ...rangeOf(subscribe.filter, track),
    };
    request.onMessage = (message) => this.#onMessage(message);
    request.onEnd = () => this.#leave();
    request.onAbort = () => this.#leave();
    if (subscribe.forward) this.#serve();
    else this.taken();
  }

  // ServingAnswers

  /** SUBSCRIBE_OK tells of the track, so it waits for the publisher. */
  taken(): void {
    if (this.#answered) return;
    this.#cancelInfo();
    this.#cancelInfo = this.track.whenInfo((info) => {
      if (typeof info === "number") this.failed(info);
      else this.#accept(info);
    });
  }

  /** There is nothing to say of groups that are missing: what was published before is FETCH's to bring. */
  missing(): void {}

  first(): void {}

  ended(): void {
    this.#done(this.#options.endGroup === undefined ? doneStatus.trackEnded : doneStatus.subscriptionEnded);
  }

  failed(code: number): void {
    if (this.#over) return;
    if (this.#answered) {
      this.#done(doneStatus.internal);
      return;
    }
    this.#request.send(
      encodeRequestError("subscribe", this.id, reasonOf(code), "the track is not there", this.#draft),
    );
    this.#finish();
  }

  left(): void {
    this.#finish();
  }

  /** One of its groups is on its way. */
  countStream(): void {
    this.#streams++;
  }

  /** The session is over. */
  close(): void {
    this.#over = true;
    this.#cancelInfo();
    this.#serving?.close();
    this.#onOver(this);
  }

  #serve(): void {
    const subscribe = { id: this.id, ...this.#options };
    this.#serving = new Serving(this.#session, this, this.#outbox, this.track, subscribe, () => {});
    this.#serving.start();
  }

  #accept({ timescale, ordered }: TrackInfo): void {
    this.#answered = true;
    const ok = {
      alias: BigInt(this.id),
      largest: largestOf(this.track),
      properties: { timescale, ascending: ordered },
    };
    this.#request.send(encodeSubscribeOk(this.id, ok, this.#draft));
  }

  #onMessage({ type, body }: Message): void {
    if (type !== messageType.requestUpdate) throw new IetfProtocolError("not a word about a subscription");
    const { id, subscriberPriority, forward, filter } = decodeRequestUpdate(body, this.#draft);
    const range = filter === undefined ? {} : rangeOf(decodeFilter(filter, this.#draft), this.track);
    this.#options = {
      ...this.#options,
      ...range,
      ...(subscriberPriority === undefined ? {} : { priority: 255 - subscriberPriority }),
    };
    if (!this.#draft.fixedFields) this.#request.send(encodeRequestOk(id, {}, this.#draft));
    if (forward === false) this.#pause();
    else if (this.#serving === undefined && forward) this.#serve();
    else this.#serving?.update(this.#options);
  }

  /** What is under way is given up; from the next update on the latest group is sent again. */
  #pause(): void {
    this.#serving?.close();
    this.#serving = undefined;
  }

  #done(status: number): void {
    if (this.#over) return;
    this.#request.send(
      encodePublishDone(this.id, { status, streams: this.#streams, reason: "" }, this.#draft),
    );
    this.#finish();
  }

  /** The remote wants no more. */
  #leave(): void {
    if (this.#serving === undefined) this.#finish();
    else this.#serving.leave();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancelInfo();
    this.#serving?.close();
    this.#request.finish();
    this.#onOver(this);
  }
}

/** What a subscription that cannot be served is told. */
export const refuseSubscription = (request: Request, id: number, draft: Draft, busy: boolean): void => {
  const reason = busy ? "internal" : reasonOf(liveError.notFound);
  const sentence = busy ? "too many subscriptions" : "the track is not there";
  request.send(encodeRequestError("subscribe", id, reason, sentence, draft));
  request.finish();
};
