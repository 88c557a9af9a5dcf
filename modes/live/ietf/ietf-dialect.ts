import type { Cancel } from "#core/clock.ts";
import { LiveProtocolError, liveError } from "#wire/live/error-code.ts";
import { decodeSubscribeNamespace } from "#wire/live/ietf/announce.ts";
import { type Draft, draftOf } from "#wire/live/ietf/draft.ts";
import { IetfProtocolError, resetCodeOf, sessionCodeOf } from "#wire/live/ietf/error.ts";
import { decodeFetch } from "#wire/live/ietf/fetch.ts";
import { ControlBuffer, type Message, messageType } from "#wire/live/ietf/message.ts";
import type { Name } from "#wire/live/ietf/namespace.ts";
import { encodeSubgroupHeader, isSubgroupType, streamType } from "#wire/live/ietf/object.ts";
import { encodeRequestError, encodeRequestOk, type RequestKind, readId } from "#wire/live/ietf/request.ts";
import { decodeSubscribe, decodeTrackStatus, encodeSubscribeOk } from "#wire/live/ietf/subscribe.ts";
import type { TrackInfo } from "#wire/live/track.ts";
import type { BidiStream, ReceiveStream } from "#wire/live/transport.ts";
import type { IetfDraft } from "#wire/live/version.ts";
import { type Announcements, Announcer } from "../announcer.ts";
import type { Dialect } from "../dialect.ts";
import { Outbox } from "../outbox.ts";
import type { SessionContext } from "../session-context.ts";
import type { IetfSetup } from "../setup-exchange.ts";
import { trackFor } from "../track-access.ts";
import { NamespaceAnnouncements, RequestedAnnouncements } from "./ietf-announcements.ts";
import { IetfSourcing } from "./ietf-sourcing.ts";
import type { Request } from "./request.ts";
import { type RequestHandler, Requests } from "./requests.ts";
import { ServedFetch } from "./served-fetch.ts";
import { largestOf, refuseSubscription, ServedSubscription } from "./served-subscription.ts";

/** moq-transport, drafts 14 to 20. */
export class IetfDialect implements Dialect, RequestHandler {
  readonly version: IetfDraft;
  readonly source: IetfSourcing;
  readonly #session: SessionContext;
  readonly #draft: Draft;
  readonly #requests: Requests;
  readonly #outbox: Outbox;
  /** The remote's own id, where the way of an announcement is told: 0 if it keeps it to itself. */
  readonly #remoteHop: bigint | undefined;
  readonly #asksNamespaces: boolean;
  readonly #subscriptions = new Map<number, ServedSubscription>();
  readonly #announcers = new Set<() => void>();
  readonly #fetches = new Set<ServedFetch>();
  /** Requests for a track's state that wait for its publisher. */
  readonly #descriptions = new Set<Cancel>();
  /** Our PUBLISH_NAMESPACE requests (14 and 15). */
  readonly #told = new Map<string, Request>();

  constructor(session: SessionContext, version: IetfDraft, setup: IetfSetup) {
    const draft = draftOf(version);
    this.version = version;
    this.#session = session;
    this.#draft = draft;
    this.#remoteHop = setup.options.hop;
    // A server may be asked. Clients that never heard of it are told nothing they did not ask for, and announce unasked.
    this.#asksNamespaces = session.transport.role === "client" || setup.options.solicit !== undefined;
    this.#requests = new Requests(session, draft, setup, this);
    this.source = new IetfSourcing(session, draft, this.#requests, this.#hopsAgreed);
    const stamped = draft.trackProperties === "written";
    this.#outbox = new Outbox(
      session.transport,
      {
        frameClass: stamped ? "D" : "C",
        groupStart: ({ id, trackPriority }, { sequence }) => {
          this.#subscriptions.get(id)?.countStream();
          const priority = 255 - trackPriority;
          return encodeSubgroupHeader(id, sequence, priority, stamped, draft.firstObjectBit, draft);
        },
        resetCode: resetCodeOf,
      },
      session.limits.backlogMaxBytes,
      () => session.clock.now(),
      session.metrics,
    );
  }

  get backlogBytes(): number {
    return this.#outbox.backlogBytes;
  }

  start(): void {
    this.#requests.start();
    if (this.#asksNamespaces) this.source.start();
  }

  pump(): void {
    this.#outbox.pump();
  }

  goaway(uri: string): void {
    this.#requests.goaway(uri);
  }

  closeCodeOf(error: LiveProtocolError): number {
    return error instanceof IetfProtocolError ? error.code : sessionCodeOf(error.code);
  }

  close(clean: boolean): void {
    for (const end of [...this.#announcers]) end();
    for (const served of [...this.#subscriptions.values()]) served.close();
    for (const fetch of [...this.#fetches]) fetch.close();
    for (const cancel of this.#descriptions) cancel();
    this.source.close(!clean);
    this.#outbox.clear();
  }

  onUni(stream: ReceiveStream): void {
    const buffer = new ControlBuffer(this.#draft, this.#session.controlMaxBytes);
    stream.onData = (chunk, fin) => {
      try {
        buffer.push(chunk);
        const type = buffer.takeType();
        if (type !== undefined) this.#onData(type, stream, buffer.takeRest(), fin);
      } catch (error) {
        if (!(error instanceof LiveProtocolError)) throw error;
        this.#session.fail(error);
      }
    };
  }

  onBidi(bidi: BidiStream): void {
    this.#requests.onBidi(bidi);
  }

  #onData(type: number, stream: ReceiveStream, rest: Uint8Array, fin: boolean): void {
    if (isSubgroupType(type, this.#draft)) this.source.onSubgroup(stream, type, rest, fin);
    else if (type === messageType.setup) throw new IetfProtocolError("a second setup");
    else if (type === streamType.padding) stream.onData = () => {};
    else stream.stop(resetCodeOf(liveError.unsupported));
  }

  // What the remote asks

  onRequest(message: Message, request: Request): void {
    const { type, body } = message;
    if (type === messageType.subscribe) this.#subscribe(body, request);
    else if (type === messageType.publishNamespace) this.source.onPublishNamespace(body, request);
    else if (type === this.#draft.subscribeNamespaceType) this.#announceTo(body, request);
    else if (type === messageType.trackStatus) this.#describe(body, request);
    else if (type === messageType.publish) this.#refuse("publish", body, request);
    else if (type === messageType.fetch) this.#fetch(body, request);
    else if (type === messageType.subscribeTracks) this.#refuse("subscribeNamespace", body, request);
    else throw new IetfProtocolError("an unknown request");
  }

  announcementOf(namespace: Name, ours: boolean): Request | undefined {
    if (!ours) return this.source.announcementOf(namespace);
    return namespace === undefined ? undefined : this.#told.get(namespace);
  }

  /** What we do not do. */
  #refuse(kind: RequestKind, body: Uint8Array, request: Request): void {
    const id = readId(body, this.#draft);
    request.send(encodeRequestError(kind, id, "not_supported", "not supported", this.#draft));
    request.finish();
  }

  #subscribe(body: Uint8Array, request: Request): void {
    const subscribe = decodeSubscribe(body, this.#draft);
    const { id, namespace, track: name } = subscribe;
    const { limits, metrics, origin } = this.#session;
    const busy = this.#subscriptions.size >= limits.subscriptionsMax;
    const known = !busy && namespace !== undefined && name !== undefined;
    const track = known ? trackFor(this.#session, namespace, name) : undefined;
    if (track === undefined) {
      refuseSubscription(request, id, this.#draft, busy);
      return;
    }
    metrics.subscriptionsOpened++;
    const served = new ServedSubscription(
      this.#session,
      this.#draft,
      request,
      this.#outbox,
      track,
      subscribe,
      () => {
        if (this.#subscriptions.delete(id)) metrics.subscriptionsClosed++;
      },
    );
    this.#subscriptions.set(id, served);
    origin.start(track);
  }

  #fetch(body: Uint8Array, request: Request): void {
    if (this.#fetches.size >= this.#session.limits.subscriptionsMax) {
      const id = readId(body, this.#draft);
      request.send(encodeRequestError("fetch", id, "internal", "too many fetches", this.#draft));
      request.finish();
      return;
    }
    const fetch = new ServedFetch(this.#session, this.#draft, request, (over) => this.#fetches.delete(over));
    this.#fetches.add(fetch);
    fetch.start(decodeFetch(body, this.#draft), (id) => this.#subscriptions.get(id));
  }

  #announceTo(body: Uint8Array, request: Request): void {
    const { id, prefix, wantsNamespaces } = decodeSubscribeNamespace(body, this.#draft);
    const full = this.#announcers.size >= this.#session.limits.watchesMax;
    if (prefix === undefined || !wantsNamespaces || full) {
      const reason = full ? "internal" : wantsNamespaces ? "does_not_exist" : "not_supported";
      request.send(encodeRequestError("subscribeNamespace", id, reason, "not to be had", this.#draft));
      request.finish();
      return;
    }
    const hopsAgreed = this.#hopsAgreed;
    const inline = this.#draft.namespaceStreams;
    const requested = new RequestedAnnouncements(request, this.#draft, this.#requests, prefix, this.#told);
    const announcements: Announcements = inline
      ? new NamespaceAnnouncements(request, this.#draft, this.#session.originId, hopsAgreed)
      : requested;
    const announcer = new Announcer(this.#session, this.source, announcements, {
      prefix,
      excludeHop: this.#remoteHop ?? 0n,
    });
    const over = () => {
      announcer.close();
      requested.close();
      this.#announcers.delete(over);
    };
    this.#announcers.add(over);
    request.onEnd = () => {
      over();
      request.finish();
    };
    request.onAbort = over;
    request.onMessage = ({ type, body: update }) => {
      if (type !== messageType.requestUpdate) throw new IetfProtocolError("not a word about namespaces");
      const refused = encodeRequestError(
        "subscribeNamespace",
        readId(update, this.#draft),
        "not_supported",
        "a prefix stays",
        this.#draft,
      );
      request.send(refused);
    };
  }

  #describe(body: Uint8Array, request: Request): void {
    const draft = this.#draft;
    const { id, namespace, track: name } = decodeTrackStatus(body, draft);
    const track =
      namespace === undefined || name === undefined ? undefined : trackFor(this.#session, namespace, name);
    const refuse = () => {
      request.send(encodeRequestError("trackStatus", id, "does_not_exist", "the track is not there", draft));
      request.finish();
    };
    if (track === undefined) {
      refuse();
      return;
    }
    const tell = (info: TrackInfo) => {
      const largest = largestOf(track);
      const properties = { timescale: info.timescale, ascending: info.ordered };
      request.send(
        draft.fixedFields
          ? encodeSubscribeOk(id, { alias: 0n, largest, properties }, draft, messageType.namespaceDone)
          : encodeRequestOk(id, draft.typedParameters || !largest ? {} : { largest }, draft),
      );
      request.finish();
    };
    request.onEnd = () => {};
    if (track.info !== undefined) {
      tell(track.info);
      return;
    }
    const cancel = track.whenInfo((info) => {
      this.#descriptions.delete(cancel);
      if (typeof info === "number") refuse();
      else tell(info);
    });
    this.#descriptions.add(cancel);
    request.onAbort = () => {
      cancel();
      this.#descriptions.delete(cancel);
    };
    this.#session.origin.start(track);
  }

  get #hopsAgreed(): boolean {
    return this.#draft.hopPath && this.#remoteHop !== undefined;
  }
}
