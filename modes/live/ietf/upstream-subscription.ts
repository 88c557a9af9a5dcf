import type { Cancel } from "#core/clock.ts";
import { liveError } from "#wire/live/error-code.ts";
import type { Draft } from "#wire/live/ietf/draft.ts";
import { codeOfRefusal, doneStatus, IetfProtocolError, sessionCode } from "#wire/live/ietf/error.ts";
import { encodeNoFilter } from "#wire/live/ietf/filter.ts";
import { type Message, messageType } from "#wire/live/ietf/message.ts";
import { decodeRequestError, encodeNumber } from "#wire/live/ietf/request.ts";
import { decodePublishDone, decodeSubscribeOk, encodeSubscribe } from "#wire/live/ietf/subscribe.ts";
import type { SubscribeOptions } from "#wire/live/subscribe.ts";
import type { Group } from "../group.ts";
import type { SessionContext } from "../session-context.ts";
import { lateGroupsMs } from "../sourcing.ts";
import type { SourceSubscription, TrackSink } from "../track.ts";
import type { SubgroupTarget } from "./incoming-subgroup.ts";
import type { Request } from "./request.ts";
import type { Requests } from "./requests.ts";

/** What is said of a track beside its timescale, which is the publisher's. */
const infoDefaults = { priority: 0, ordered: false, latencyMaxMs: 5_000 } as const;
/** Timestamps that are given on arrival are in ms. */
const arrivalTimescale = 1_000;

/** Whoever knows the subscription by its alias. */
export interface AliasTable {
  /** False: another track has it. */
  bind(alias: bigint, subscription: UpstreamSubscription): boolean;
  /** It has no alias, or needs none any more. */
  settle(subscription: UpstreamSubscription, alias: bigint | undefined): void;
}

/** One of our subscriptions with the remote. */
export class UpstreamSubscription implements SourceSubscription, SubgroupTarget {
  readonly sink: TrackSink;
  readonly name: string;
  timescale: number | undefined;
  readonly #session: SessionContext;
  readonly #draft: Draft;
  readonly #aliases: AliasTable;
  readonly #request: Request;
  #alias: bigint | undefined;
  #cancelTimeout: Cancel;
  #groups = 0;
  /** Data streams there were, once the publisher has said so; 0: it does not know. */
  #streams: number | undefined;
  #over = false;

  constructor(
    session: SessionContext,
    draft: Draft,
    requests: Requests,
    aliases: AliasTable,
    wanted: { namespace: string; track: string; options: SubscribeOptions },
    sink: TrackSink,
  ) {
    this.#session = session;
    this.#draft = draft;
    this.#aliases = aliases;
    this.sink = sink;
    this.name = `${wanted.namespace} ${wanted.track}`;
    session.metrics.upstreamSubscriptions++;
    this.#cancelTimeout = session.clock.after(session.limits.subscribeTimeoutMs, () =>
      this.#fail(liveError.timeout),
    );
    const { namespace, track, options } = wanted;
    this.#request = requests.open((id) =>
      encodeSubscribe(
        {
          id,
          namespace,
          track,
          priority: 255 - options.priority,
          ascending: options.ordered,
          filter: encodeNoFilter(draft),
        },
        draft,
      ),
    );
    this.#request.onMessage = (message) => this.#onMessage(message);
    this.#request.onEnd = () => this.#finish();
    this.#request.onAbort = () => this.#fail(liveError.dropped);
  }

  /** Drafts differ widely in what may be changed: a subscription stays as it was made. */
  update(): void {}

  close(): void {
    if (this.#over) return;
    this.#end();
    this.#cancel();
  }

  /** The session went away. */
  lost(): void {
    this.#fail(liveError.dropped);
  }

  openGroup(sequence: number): Group | undefined {
    if (this.#over) return undefined;
    this.#groups++;
    const group = this.sink.openGroup(sequence);
    this.#completeIfWhole();
    return group;
  }

  #onMessage({ type, body }: Message): void {
    if (this.#over) return;
    if (type === messageType.subscribeOk && this.#alias === undefined) {
      this.#accepted(body);
    } else if (type === messageType.requestError) {
      this.#request.finish();
      this.#fail(codeOfRefusal(decodeRequestError(body, this.#draft).code, this.#draft));
    } else if (type === messageType.publishDone) {
      const { status, streams } = decodePublishDone(body, this.#draft);
      if (status !== doneStatus.trackEnded && status !== doneStatus.subscriptionEnded) {
        this.#fail(liveError.dropped);
        return;
      }
      this.#finish(streams);
    } else if (type !== messageType.requestOk && type !== messageType.goaway) {
      throw new IetfProtocolError("an unknown answer to a subscription");
    }
  }

  #accepted(body: Uint8Array): void {
    const { alias, properties } = decodeSubscribeOk(body, this.#draft);
    this.#cancelTimeout();
    this.#alias = alias;
    this.timescale = properties.timescale;
    const timescale = properties.timescale ?? arrivalTimescale;
    this.sink.onInfo({ ...infoDefaults, ordered: properties.ascending ?? false, timescale });
    if (!this.#aliases.bind(alias, this)) {
      throw new IetfProtocolError("two tracks have one alias", sessionCode.duplicateTrackAlias);
    }
  }

  /** The publisher has ended it. Streams overtake each other: the last groups may still be on their way. */
  #finish(streams = 0): void {
    if (this.#over || this.#streams !== undefined) return;
    this.#streams = streams;
    this.#request.finish();
    this.#cancelTimeout();
    this.#cancelTimeout = this.#session.clock.after(lateGroupsMs, () => this.#complete());
    this.#completeIfWhole();
  }

  #completeIfWhole(): void {
    if (this.#streams && this.#groups >= this.#streams) this.#complete();
  }

  #complete(): void {
    if (this.#over) return;
    this.#end();
    this.sink.onComplete();
  }

  #fail(code: number): void {
    if (this.#over) return;
    this.#end();
    this.#cancel();
    this.sink.onError(code);
  }

  /** Tells the remote that nothing more is wanted. */
  #cancel(): void {
    if (!this.#draft.requestStreams) {
      this.#request.send(encodeNumber(messageType.unsubscribe, this.#request.id, this.#draft));
    }
    this.#request.abort(liveError.cancel);
  }

  #end(): void {
    this.#over = true;
    this.#cancelTimeout();
    this.#aliases.settle(this, this.#alias);
  }
}
