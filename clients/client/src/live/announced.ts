import type { Cancel, Clock } from "../../../../core/clock.ts";
import type { PosternError } from "../errors.ts";
import type { Connection } from "./connection.ts";
import type { Watcher } from "./watch.ts";

/** A broadcast came or went. */
export interface Announcement {
  /** Relative to the session's URL. */
  readonly path: string;
  readonly active: boolean;
}

/** After another connection took over, what the relay has not named by then is gone. */
const renameMs = 1_000;

/**
 * Broadcasts as they come and go, for one reader. A slow one is told how things stand, and not what happened in
 * between: so what waits is never more than there are broadcasts.
 */
export interface Announced {
  [Symbol.asyncIterator](): AsyncIterator<Announcement, undefined>;
  close(): void;
}

/** A reader's view of the broadcasts, as its session and the connection of the moment see it. */
export class OwnAnnounced implements Announced, Watcher {
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #onOver: (announced: OwnAnnounced) => void;
  /** What is there, what the reader knows of, and what it is told next. */
  readonly #active = new Set<string>();
  readonly #told = new Set<string>();
  readonly #news = new Map<string, boolean>();
  #unnamed = new Set<string>();
  #cancelWatch: Cancel = () => {};
  #cancelRename: Cancel = () => {};
  #wake: () => void = () => {};
  #end: { error: PosternError | undefined } | undefined;

  constructor(prefix: string, clock: Clock, onOver: (announced: OwnAnnounced) => void) {
    this.#prefix = prefix;
    this.#clock = clock;
    this.#onOver = onOver;
  }

  attach(connection: Connection): void {
    this.#cancelWatch();
    this.#cancelRename();
    this.#unnamed = new Set(this.#active);
    this.#cancelWatch = connection.watch(this.#prefix, this);
    this.#cancelRename = this.#clock.after(renameMs, () => {
      for (const path of this.#unnamed) this.onAnnounced(path, false);
    });
  }

  sessionEnded(error: PosternError | undefined): void {
    this.#finish(error);
  }

  close(): void {
    this.#finish(undefined);
  }

  onAnnounced(path: string, active: boolean): void {
    this.#unnamed.delete(path);
    if (active) this.#active.add(path);
    else this.#active.delete(path);
    if (this.#told.has(path) === active) this.#news.delete(path);
    else this.#news.set(path, active);
    this.#wake();
  }

  onWatchLost(): void {
    for (const path of [...this.#active]) this.onAnnounced(path, false);
  }

  [Symbol.asyncIterator](): AsyncIterator<Announcement, undefined> {
    return {
      next: () => this.#next(),
      return: async () => {
        this.close();
        return { done: true, value: undefined };
      },
    };
  }

  async #next(): Promise<IteratorResult<Announcement, undefined>> {
    for (;;) {
      const [first] = this.#news;
      if (first !== undefined) {
        const [path, active] = first;
        this.#news.delete(path);
        if (active) this.#told.add(path);
        else this.#told.delete(path);
        return { done: false, value: { path, active } };
      }
      if (this.#end !== undefined) {
        const { error } = this.#end;
        this.#end = { error: undefined };
        if (error !== undefined) throw error;
        return { done: true, value: undefined };
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #finish(error: PosternError | undefined): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    this.#cancelWatch();
    this.#cancelRename();
    this.#news.clear();
    this.#onOver(this);
    this.#wake();
  }
}
