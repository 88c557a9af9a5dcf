import type { Cancel } from "#core/clock.ts";
import {
  encodeNamespaceDone,
  encodeNamespaceEntry,
  encodePublishNamespace,
  encodePublishNamespaceDone,
} from "#wire/live/ietf/announce.ts";
import type { Draft } from "#wire/live/ietf/draft.ts";
import { messageType } from "#wire/live/ietf/message.ts";
import { encodeNamespaceOk } from "#wire/live/ietf/request.ts";
import type { Announcements } from "../announcer.ts";
import { joinPath } from "../path.ts";
import type { Request } from "./request.ts";
import type { Requests } from "./requests.ts";

/** NAMESPACE and NAMESPACE_DONE on the stream that asked (16 and later). */
export class NamespaceAnnouncements implements Announcements {
  readonly carriesHops: boolean;
  /** Where hops are told, a second NAMESPACE of the same name tells the new way. */
  readonly replaces: boolean;
  readonly carriesCost = false;
  readonly #request: Request;
  readonly #draft: Draft;
  readonly #originId: bigint;

  constructor(request: Request, draft: Draft, originId: bigint, hopsAgreed: boolean) {
    this.#request = request;
    this.#draft = draft;
    this.#originId = originId;
    this.carriesHops = hopsAgreed;
    this.replaces = hopsAgreed;
  }

  begin(): boolean {
    this.#request.send(encodeNamespaceOk("subscribeNamespace", this.#request.id, this.#draft));
    return false;
  }

  active(suffix: string, hops: readonly bigint[]): void {
    const all = this.carriesHops ? [...hops, this.#originId] : undefined;
    this.#request.send(encodeNamespaceEntry(suffix, all, this.#draft));
  }

  ended(suffix: string): void {
    this.#request.send(encodeNamespaceDone(suffix, this.#draft));
  }

  feed(next: () => boolean): Cancel {
    return this.#request.feed(next);
  }

  wake(): void {
    this.#request.wake();
  }
}

/** A PUBLISH_NAMESPACE of ours for each broadcast (14 and 15). */
export class RequestedAnnouncements implements Announcements {
  readonly carriesHops = false;
  readonly replaces = false;
  readonly carriesCost = false;
  readonly #request: Request;
  readonly #draft: Draft;
  readonly #requests: Requests;
  readonly #prefix: string;
  /** Ours under way, by the namespace they name; the remote may refuse them by it. */
  readonly #told: Map<string, Request>;
  readonly #own = new Set<string>();

  constructor(
    request: Request,
    draft: Draft,
    requests: Requests,
    prefix: string,
    told: Map<string, Request>,
  ) {
    this.#request = request;
    this.#draft = draft;
    this.#requests = requests;
    this.#prefix = prefix;
    this.#told = told;
  }

  begin(): boolean {
    this.#request.send(encodeNamespaceOk("subscribeNamespace", this.#request.id, this.#draft));
    return false;
  }

  active(suffix: string): void {
    const namespace = joinPath(this.#prefix, suffix);
    // Another request for namespaces had it told already.
    if (this.#told.has(namespace)) return;
    const told = this.#requests.open((id) => encodePublishNamespace(id, namespace, undefined, this.#draft));
    this.#told.set(namespace, told);
    this.#own.add(suffix);
    const over = () => {
      if (this.#told.get(namespace) === told) this.#told.delete(namespace);
      told.finish();
    };
    told.onEnd = over;
    told.onMessage = ({ type }) => {
      if (type === messageType.namespace || type === messageType.requestError) over();
    };
  }

  ended(suffix: string): void {
    const namespace = joinPath(this.#prefix, suffix);
    const told = this.#told.get(namespace);
    if (!this.#own.delete(suffix) || told === undefined) return;
    this.#told.delete(namespace);
    if (told.id >= 0) told.send(encodePublishNamespaceDone(told.id, namespace, this.#draft));
    told.finish();
  }

  /** The remote allows so many requests: there is room while none of them waits. */
  feed(next: () => boolean): Cancel {
    return this.#request.feed(() => !this.#requests.blocked && next());
  }

  wake(): void {
    this.#request.wake();
  }

  /** Nobody is to be told any more. */
  close(): void {
    for (const suffix of this.#own) this.ended(suffix);
  }
}
