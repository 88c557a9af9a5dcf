import { liveError } from "#wire/live/error-code.ts";
import { decodeWithdrawal } from "#wire/live/ietf/announce.ts";
import type { Draft } from "#wire/live/ietf/draft.ts";
import { IetfProtocolError, sessionCode } from "#wire/live/ietf/error.ts";
import { type ControlBuffer, type Message, messageType } from "#wire/live/ietf/message.ts";
import type { Name } from "#wire/live/ietf/namespace.ts";
import {
  decodeNumber,
  decodeRequestUpdate,
  encodeGoaway,
  encodeNumber,
  readId,
} from "#wire/live/ietf/request.ts";
import type { BidiStream } from "#wire/live/transport.ts";
import type { SessionContext } from "../session-context.ts";
import { guarded, type IetfSetup, maxRequestIdOf } from "../setup-exchange.ts";
import { type Request, SharedRequest, StreamRequest } from "./request.ts";

/** Who hears of what the remote asks. */
export interface RequestHandler {
  /** A request, which is answered on `request`; its callbacks are set before this returns. */
  onRequest(message: Message, request: Request): void;
  /** The announcement of a namespace, by the remote or by us: drafts 14 and 15 end it by that name. */
  announcementOf(namespace: Name, ours: boolean): Request | undefined;
}

/** Requests of the control stream, where others are answers. */
const requestTypes: ReadonlySet<number> = new Set([
  messageType.subscribe,
  messageType.publishNamespace,
  messageType.trackStatus,
  messageType.fetch,
  messageType.publish,
]);
const answerTypes: ReadonlySet<number> = new Set([
  messageType.subscribeOk,
  messageType.requestError,
  messageType.requestOk,
  messageType.namespace,
  messageType.publishDone,
  messageType.namespaceDone,
  messageType.publishBlocked,
  messageType.subscribeNamespaceOk,
  messageType.subscribeNamespaceError,
  messageType.fetchOk,
  messageType.fetchError,
  messageType.publishOk,
  messageType.publishError,
]);
/** By which a remote ends a request of its own. */
const endTypes: ReadonlySet<number> = new Set([
  messageType.unsubscribe,
  messageType.unsubscribeNamespace,
  messageType.fetchCancel,
]);

/** All requests of a session, in both directions, and what belongs to none of them. */
export class Requests {
  readonly #session: SessionContext;
  readonly #draft: Draft;
  readonly #setup: IetfSetup;
  readonly #handler: RequestHandler;
  /** Those on the control stream, by id. */
  readonly #shared = new Map<number, SharedRequest>();
  /** Those of the remote on streams of their own. */
  readonly #streams = new Set<StreamRequest>();
  readonly #remoteParity: number;
  #nextId: number;
  /** Ids below it may be used: by us, by the remote. */
  #maxId: number;
  #grantedMaxId: number;
  #largestRemoteId = -1;
  /** Requests of the remote on the control stream. */
  #active = 0;
  #blocked: (() => void)[] = [];

  constructor(session: SessionContext, draft: Draft, setup: IetfSetup, handler: RequestHandler) {
    this.#session = session;
    this.#draft = draft;
    this.#setup = setup;
    this.#handler = handler;
    this.#nextId = session.transport.role === "client" ? 0 : 1;
    this.#remoteParity = 1 - this.#nextId;
    this.#maxId = draft.requestStreams ? Number.MAX_SAFE_INTEGER : (setup.options.maxRequestId ?? 0);
    this.#grantedMaxId = maxRequestIdOf(session);
  }

  start(): void {
    this.#setup.listen(
      (buffer, fin) => {
        this.#takeControl(buffer);
        if (fin) this.#session.close(liveError.cancel, "the control stream has ended");
      },
      () => this.#session.close(liveError.cancel, "the control stream was given up"),
    );
  }

  goaway(uri: string): void {
    this.#setup.output.send(encodeGoaway(uri, this.#draft));
  }

  /** A message on the control stream that belongs to no request. */
  sendControl(message: Uint8Array): void {
    this.#setup.output.send(message);
  }

  /** A request of ours waits until the remote allows more. */
  get blocked(): boolean {
    return this.#blocked.length > 0;
  }

  /** Asks as soon as the remote allows one more request; `write` is told its id. */
  open(write: (id: number) => Uint8Array, ownStream = this.#draft.requestStreams): Request {
    if (ownStream) return this.#openStream(write);
    const request = new SharedRequest(this.#setup.output, () => this.#shared.delete(request.id));
    this.#whenAllowed(() => {
      if (request.over) return;
      request.id = this.#takeId();
      this.#shared.set(request.id, request);
      request.send(write(request.id));
    });
    return request;
  }

  /** The remote asks on a stream of its own. */
  onBidi(bidi: BidiStream): void {
    const request = new StreamRequest(this.#session, this.#draft, (over) => this.#streams.delete(over));
    if (this.#streams.size >= this.#session.limits.subscriptionsMax + this.#session.limits.announcementsMax) {
      request.open(bidi);
      request.abort(liveError.bounds);
      return;
    }
    this.#streams.add(request);
    request.onMessage = (message) => {
      request.onMessage = () => {};
      const namespaces = message.type === this.#draft.subscribeNamespaceType;
      if (!this.#draft.requestStreams && !namespaces) throw new IetfProtocolError("no request for a stream");
      this.#take(message, request);
    };
    request.onEnd = () => request.finish();
    request.open(bidi);
  }

  #openStream(write: (id: number) => Uint8Array): Request {
    const request = new StreamRequest(this.#session, this.#draft, () => {});
    const open = () =>
      this.#session.openBidi((bidi) => {
        if (request.ended) return bidi.send.reset(liveError.cancel);
        request.id = this.#takeId();
        request.open(bidi);
        request.send(write(request.id));
      });
    if (this.#draft.requestStreams) open();
    else this.#whenAllowed(open);
    return request;
  }

  #whenAllowed(open: () => void): void {
    if (this.#nextId < this.#maxId && this.#blocked.length === 0) {
      open();
      return;
    }
    this.#blocked.push(open);
    if (this.#blocked.length === 1) {
      this.sendControl(encodeNumber(messageType.requestsBlocked, this.#maxId, this.#draft));
    }
  }

  #takeId(): number {
    const id = this.#nextId;
    this.#nextId += 2;
    return id;
  }

  #takeControl(buffer: ControlBuffer): void {
    guarded(this.#session, () => {
      for (let message = buffer.takeMessage(); message !== undefined; message = buffer.takeMessage()) {
        if (this.#draft.requestStreams) this.#takeLater(message);
        else this.#takeShared(message);
      }
    });
  }

  /** From 17 on the control stream has nothing but a GOAWAY; where we are asked to go we do not. */
  #takeLater({ type }: Message): void {
    if (type !== messageType.goaway)
      throw new IetfProtocolError("a message that is none of the control stream's");
  }

  #takeShared(message: Message): void {
    const { type, body } = message;
    const draft = this.#draft;
    const namespaces = type === draft.subscribeNamespaceType && !draft.namespaceStreams;
    if (requestTypes.has(type) || namespaces) {
      const request = new SharedRequest(this.#setup.output, (over) => this.#forget(over));
      this.#take(message, request);
      return;
    }
    if (answerTypes.has(type)) {
      this.#shared.get(readId(body, draft))?.onMessage(message);
    } else if (endTypes.has(type)) {
      this.#end(this.#shared.get(decodeNumber(body, draft)));
    } else if (type === messageType.requestUpdate) {
      const update = decodeRequestUpdate(body, draft);
      this.#countId(update.id);
      this.#shared.get(update.existing!)?.onMessage(message);
      this.#renew();
    } else if (type === messageType.maxRequestId) {
      this.#raise(decodeNumber(body, draft));
    } else if (type === messageType.publishNamespaceDone || type === messageType.publishNamespaceCancel) {
      this.#takeWithdrawal(body, type === messageType.publishNamespaceCancel);
    } else if (type !== messageType.requestsBlocked && type !== messageType.goaway) {
      throw new IetfProtocolError("an unknown control message");
    }
  }

  #takeWithdrawal(body: Uint8Array, ours: boolean): void {
    const named = decodeWithdrawal(body, this.#draft);
    this.#end(
      "id" in named ? this.#shared.get(named.id) : this.#handler.announcementOf(named.namespace, ours),
    );
  }

  /** The remote ended it by a message. */
  #end(request: Request | undefined): void {
    request?.onAbort(liveError.cancel);
    request?.finish();
  }

  /** The first message about a request of the remote. */
  #take(message: Message, request: SharedRequest | StreamRequest): void {
    request.id = readId(message.body, this.#draft);
    this.#countId(request.id);
    if (request instanceof SharedRequest) {
      this.#shared.set(request.id, request);
      this.#active++;
    }
    this.#handler.onRequest(message, request);
    this.#renew();
  }

  #countId(id: number): void {
    const draft = this.#draft;
    const wrongSide = id % 2 !== this.#remoteParity;
    // From 16 on streams may overtake each other, and ids with them.
    const again = draft.namespaceStreams ? this.#shared.has(id) : id <= this.#largestRemoteId;
    if (wrongSide || again) {
      throw new IetfProtocolError("a request id that is not the next", sessionCode.invalidRequestId);
    }
    if (!draft.requestStreams && id >= this.#grantedMaxId) {
      throw new IetfProtocolError("more requests than allowed", sessionCode.tooManyRequests);
    }
    this.#largestRemoteId = Math.max(this.#largestRemoteId, id);
  }

  #forget(request: SharedRequest): void {
    this.#shared.delete(request.id);
    this.#active--;
    this.#renew();
  }

  /**
   * The remote may ask as much as at first again, less what it has under way. It is told once that is half as much more
   * than it knows of, or any more while it can ask nothing.
   */
  #renew(): void {
    if (this.#draft.requestStreams) return;
    const allowed = maxRequestIdOf(this.#session);
    const max = this.#largestRemoteId + 1 + allowed - 2 * this.#active;
    const exhausted = this.#largestRemoteId + 2 >= this.#grantedMaxId;
    if (max < this.#grantedMaxId + (exhausted ? 2 : allowed / 2)) return;
    this.#grantedMaxId = max;
    this.sendControl(encodeNumber(messageType.maxRequestId, max, this.#draft));
  }

  #raise(max: number): void {
    if (max < this.#maxId) throw new IetfProtocolError("the most requests allowed become fewer");
    this.#maxId = max;
    const blocked = this.#blocked;
    this.#blocked = [];
    for (const open of blocked) this.#whenAllowed(open);
    this.#setup.output.wake();
  }
}
