import { liveError } from "#wire/live/error-code.ts";
import {
  decodeNamespaceDone,
  decodeNamespaceEntry,
  decodePublishNamespace,
  encodeSubscribeNamespace,
} from "#wire/live/ietf/announce.ts";
import type { Draft } from "#wire/live/ietf/draft.ts";
import { type Message, messageType } from "#wire/live/ietf/message.ts";
import type { Name } from "#wire/live/ietf/namespace.ts";
import { encodeNamespaceOk, encodeRequestError } from "#wire/live/ietf/request.ts";
import type { SubscribeOptions } from "#wire/live/subscribe.ts";
import type { ReceiveStream } from "#wire/live/transport.ts";
import { outermost } from "../grant.ts";
import { joinPath, stripPrefix } from "../path.ts";
import { RemoteBroadcasts } from "../remote-broadcasts.ts";
import type { SessionContext } from "../session-context.ts";
import type { SourceSubscription, TrackSink, TrackSource } from "../track.ts";
import { IncomingSubgroup } from "./incoming-subgroup.ts";
import type { Request } from "./request.ts";
import type { Requests } from "./requests.ts";
import { type AliasTable, UpstreamSubscription } from "./upstream-subscription.ts";

/** Subgroups that may wait for their alias to be known. */
const earlyMax = 64;

/** The remote as a source: the namespaces it announces go to the origin, and tracks are subscribed with it. */
export class IetfSourcing implements TrackSource, AliasTable {
  readonly frameClass = "B";
  readonly cluster: boolean;
  readonly tier: string;
  readonly #session: SessionContext;
  readonly #draft: Draft;
  readonly #requests: Requests;
  readonly #hopsAgreed: boolean;
  readonly #announced: RemoteBroadcasts;
  /** Announcements the remote made by PUBLISH_NAMESPACE, which it may end by their name. */
  readonly #byNamespace = new Map<Name, Request>();
  readonly #byAlias = new Map<bigint, UpstreamSubscription>();
  readonly #subscriptions = new Set<UpstreamSubscription>();
  /** Of those, the ones that have no alias yet. */
  readonly #unanswered = new Set<UpstreamSubscription>();
  readonly #subgroups = new Set<IncomingSubgroup>();
  readonly #early = new Map<IncomingSubgroup, bigint>();
  #closed = false;

  constructor(session: SessionContext, draft: Draft, requests: Requests, hopsAgreed: boolean) {
    this.#session = session;
    this.#draft = draft;
    this.#requests = requests;
    this.#hopsAgreed = hopsAgreed;
    this.cluster = session.grant.cluster;
    this.tier = session.grant.tier ?? "";
    this.#announced = new RemoteBroadcasts(session, this);
  }

  /** Asks what the remote has, wherever it may publish. */
  start(): void {
    for (const prefix of outermost(this.#session.grant.put)) this.#askNamespaces(prefix);
  }

  subscribe(
    broadcast: string,
    track: string,
    options: SubscribeOptions,
    sink: TrackSink,
  ): SourceSubscription {
    const namespace = stripPrefix(this.#session.grant.root, broadcast) ?? broadcast;
    const wanted = { namespace, track, options };
    const subscription = new UpstreamSubscription(
      this.#session,
      this.#draft,
      this.#requests,
      this,
      wanted,
      sink,
    );
    if (this.#closed) {
      subscription.close();
      return subscription;
    }
    this.#subscriptions.add(subscription);
    this.#unanswered.add(subscription);
    return subscription;
  }

  /** A subgroup stream; its type was read already, `rest` is what followed. */
  onSubgroup(stream: ReceiveStream, type: number, rest: Uint8Array, fin: boolean): void {
    const incoming = new IncomingSubgroup(
      this.#session,
      this.#draft,
      stream,
      type,
      new Uint8Array(0),
      (subgroup, alias) => this.#route(subgroup, alias),
      () => {
        this.#subgroups.delete(incoming);
        this.#early.delete(incoming);
      },
    );
    this.#subgroups.add(incoming);
    incoming.onData(rest, fin);
  }

  bind(alias: bigint, subscription: UpstreamSubscription): boolean {
    const other = this.#byAlias.get(alias);
    if (other !== undefined && other.name !== subscription.name) return false;
    this.#byAlias.set(alias, subscription);
    this.#unanswered.delete(subscription);
    for (const [subgroup, wanted] of [...this.#early]) {
      if (wanted !== alias) continue;
      this.#early.delete(subgroup);
      subgroup.deliver(subscription);
    }
    this.#dropEarly();
    return true;
  }

  settle(subscription: UpstreamSubscription, alias: bigint | undefined): void {
    this.#subscriptions.delete(subscription);
    this.#unanswered.delete(subscription);
    if (alias !== undefined && this.#byAlias.get(alias) === subscription) this.#byAlias.delete(alias);
    this.#dropEarly();
  }

  /** The remote announces a namespace. */
  onPublishNamespace(body: Uint8Array, request: Request): void {
    const { id, namespace, hops } = decodePublishNamespace(body, this.#draft, this.#hopsAgreed);
    const here = this.#announced.place();
    const path = namespace === undefined ? undefined : this.#announced.pathOf(namespace);
    if (namespace === undefined || path === undefined || this.#announced.loops(hops)) {
      const reason = path === undefined ? "unauthorized" : "uninterested";
      const sentence = path === undefined ? "may not be published" : "it came from here";
      request.send(encodeRequestError("publishNamespace", id, reason, sentence, this.#draft));
      request.finish();
      return;
    }
    request.send(encodeNamespaceOk("publishNamespace", id, this.#draft));
    here.announce(namespace, hops);
    this.#byNamespace.set(namespace, request);
    const over = () => {
      here.close();
      if (this.#byNamespace.get(namespace) === request) this.#byNamespace.delete(namespace);
    };
    request.onEnd = () => {
      over();
      request.finish();
    };
    request.onAbort = over;
    request.onMessage = ({ type, body: again }) => {
      if (type === messageType.requestUpdate) {
        request.send(encodeNamespaceOk("publishNamespace", id, this.#draft));
        return;
      }
      // It may come by another way now.
      const update = decodePublishNamespace(again, this.#draft, this.#hopsAgreed);
      if (update.namespace === namespace) here.announce(namespace, update.hops);
    };
  }

  /** The announcement that the remote made of a namespace. */
  announcementOf(namespace: Name): Request | undefined {
    return this.#byNamespace.get(namespace);
  }

  /** The session is over. */
  close(abruptly: boolean): void {
    this.#closed = true;
    for (const subgroup of [...this.#subgroups]) subgroup.lost();
    this.#announced.close(abruptly);
    for (const subscription of [...this.#subscriptions]) subscription.lost();
  }

  #route(subgroup: IncomingSubgroup, alias: bigint): void {
    const subscription = this.#byAlias.get(alias);
    if (subscription !== undefined) {
      subgroup.deliver(subscription);
      return;
    }
    // The answer that names the alias may have been overtaken.
    if (this.#unanswered.size === 0 || this.#early.size >= earlyMax) {
      subgroup.refuse(liveError.cancel);
      return;
    }
    this.#early.set(subgroup, alias);
  }

  #dropEarly(): void {
    if (this.#unanswered.size > 0) return;
    for (const subgroup of [...this.#early.keys()]) subgroup.refuse(liveError.cancel);
  }

  #askNamespaces(prefix: string): void {
    const draft = this.#draft;
    const request = this.#requests.open(
      (id) => encodeSubscribeNamespace(id, prefix, draft),
      draft.namespaceStreams,
    );
    const here = this.#announced.place();
    request.onMessage = (message) => this.#onNamespaceMessage(message, prefix, here);
    request.onEnd = () => {
      here.close();
      request.finish();
    };
    request.onAbort = () => here.close();
  }

  /** From 16 on namespaces are named here; earlier by requests of their own. A refusal says that they come unasked. */
  #onNamespaceMessage(
    { type, body }: Message,
    prefix: string,
    here: ReturnType<RemoteBroadcasts["place"]>,
  ): void {
    if (!this.#draft.namespaceStreams) return;
    if (type === messageType.namespace) {
      const { suffix, hops } = decodeNamespaceEntry(body, this.#draft, this.#hopsAgreed);
      if (suffix !== undefined) here.announce(joinPath(prefix, suffix), hops);
    } else if (type === messageType.namespaceDone) {
      const suffix = decodeNamespaceDone(body, this.#draft);
      if (suffix !== undefined) here.end(joinPath(prefix, suffix));
    }
  }
}
