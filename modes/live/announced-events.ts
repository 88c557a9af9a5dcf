import type { Cancel } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import { type Grant, outermost } from "./grant.ts";
import type { Live } from "./live.ts";
import type { Route } from "./origin.ts";
import { joinPath, stripPrefix } from "./path.ts";

/** Between two comments that keep proxies from closing a silent stream. */
const keepAliveMs = 15_000;

const encoder = new TextEncoder();

/**
 * `GET /announced/{prefix}` with `Accept: text/event-stream`: every broadcast there is below the prefix and each change, as
 * server-sent events. `announced` and `unannounced` have the name as JSON, `{"path": …}`, relative to the prefix as in the
 * list; `current` comes once, when all that there was has been told. `end` says why the relay ends the stream: its token
 * expired or is no longer accepted, or the relay goes down. A client that reads slowly is told of a broadcast only what is
 * true of it when it reads.
 *
 * Throws `too_many_waiters` when there are as many streams as there may be.
 */
export function announcedEvents(grant: Grant, signal: AbortSignal, live: Live): Response {
  const feed = new AnnouncedFeed(grant, live);
  const release = live.openFeed(feed);
  if (!release) throw new RelayError("too_many_waiters", { retryAfterSeconds: 5 });
  feed.begin(release, signal);
  return new Response(feed.body, {
    headers: { "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" },
  });
}

class AnnouncedFeed {
  readonly grant: Grant;
  readonly body: ReadableStream<Uint8Array>;
  readonly #live: Live;
  /** What the client believes to be there. */
  readonly #told = new Set<string>();
  /** What it has to be told: whether the name is there. One entry a name bounds it, however slow the client is. */
  readonly #pending = new Map<string, boolean>();
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #stops: Cancel[] = [];
  #cancelBeat: Cancel = () => {};
  #greeted = false;
  #ended = false;

  constructor(grant: Grant, live: Live) {
    this.grant = grant;
    this.#live = live;
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#flush(),
        cancel: () => this.#stop(),
      },
      { highWaterMark: 4 },
    );
  }

  begin(release: Cancel, signal: AbortSignal): void {
    const { grant } = this;
    const { origin } = this.#live.relay;
    const onAbort = () => this.#stop();
    signal.addEventListener("abort", onAbort, { once: true });
    this.#stops.push(release, () => signal.removeEventListener("abort", onAbort));
    for (const prefix of outermost(grant.get)) {
      const watcher = { onRoutes: (path: string, routes: readonly Route[]) => this.#onRoutes(path, routes) };
      this.#stops.push(origin.watch(joinPath(grant.root, prefix), watcher));
    }
    this.#beat();
    if (signal.aborted) this.#stop();
  }

  /** Says why, and ends. */
  close(_code: number, reason: string): void {
    if (this.#ended) return;
    this.#say("end", { reason });
    this.#stop();
    this.#controller?.close();
  }

  #onRoutes(path: string, routes: readonly Route[]): void {
    const { grant } = this;
    if (!grant.cluster && !this.#live.relay.origin.shows(path, grant.root)) return;
    const name = stripPrefix(this.grant.root, path);
    if (name === undefined) return;
    const isThere = routes.length > 0;
    // Not told yet and gone again, or told and back again: nothing happened.
    if (this.#told.has(name) === isThere) this.#pending.delete(name);
    else this.#pending.set(name, isThere);
    if (this.#greeted) this.#flush();
  }

  /** Called when the client has room, and when there is news. */
  #flush(): void {
    while (!this.#ended && (this.#controller?.desiredSize ?? 0) > 0) {
      const next = this.#pending.entries().next();
      if (next.done) break;
      const [name, isThere] = next.value;
      this.#pending.delete(name);
      if (isThere) this.#told.add(name);
      else this.#told.delete(name);
      this.#say(isThere ? "announced" : "unannounced", { path: name });
    }
    if (this.#ended || this.#greeted || this.#pending.size > 0) return;
    this.#greeted = true;
    this.#say("current", { count: this.#told.size });
  }

  #say(event: string, data: object): void {
    this.#controller?.enqueue(encoder.encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`));
  }

  #beat(): void {
    this.#cancelBeat = this.#live.clock.after(keepAliveMs, () => {
      // A client that does not even read the last one needs no further sign of life.
      if ((this.#controller?.desiredSize ?? 0) > 0) this.#controller?.enqueue(encoder.encode(":\n\n"));
      this.#beat();
    });
  }

  #stop(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelBeat();
    for (const stop of this.#stops) stop();
  }
}
