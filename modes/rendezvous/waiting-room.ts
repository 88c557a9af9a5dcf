import { RelayError } from "#core/errors.ts";

export interface WaitingRoomLimits {
  readonly maxWaitersPerId: number;
  readonly maxWaiters: number;
  readonly maxWaitersPerClient: number;
}

/** A place taken in the waiting room. Leaving frees it at once; leaving again does nothing. */
export interface Place<Event> {
  leave(): void;
  readonly notify: (event: Event) => void;
}

/** How many wait, over all rooms that share the bounds. */
export class WaiterCount {
  readonly #limits: WaitingRoomLimits;
  readonly #perSource = new Map<string, number>();
  #total = 0;

  constructor(limits: WaitingRoomLimits) {
    this.#limits = limits;
  }

  get total(): number {
    return this.#total;
  }

  /** Throws `too_many_waiters` when one more would be over a bound. */
  take(source: string | undefined): void {
    const ofSource = source === undefined ? 0 : (this.#perSource.get(source) ?? 0);
    const share = this.#limits.maxWaitersPerClient;
    if (this.#total >= this.#limits.maxWaiters || (share > 0 && ofSource >= share)) {
      throw new RelayError("too_many_waiters", { retryAfterSeconds: 1 });
    }
    this.#total++;
    if (source !== undefined) this.#perSource.set(source, ofSource + 1);
  }

  give(source: string | undefined): void {
    this.#total--;
    if (source === undefined) return;
    const left = this.#perSource.get(source)! - 1;
    if (left === 0) this.#perSource.delete(source);
    else this.#perSource.set(source, left);
  }
}

/** Who waits for what happens to an id. */
export class WaitingRoom<Event> {
  readonly #limits: WaitingRoomLimits;
  readonly #count: WaiterCount;
  readonly #places = new Map<string, Set<Place<Event>>>();

  constructor(limits: WaitingRoomLimits, count: WaiterCount) {
    this.#limits = limits;
    this.#count = count;
  }

  /** From the return on, `notify` hears every event of the id. Throws `too_many_waiters` when the room is full. */
  join(id: string, source: string | undefined, notify: (event: Event) => void): Place<Event> {
    const places = this.#places.get(id);
    if (places && places.size >= this.#limits.maxWaitersPerId) {
      throw new RelayError("too_many_waiters", { retryAfterSeconds: 1 });
    }
    this.#count.take(source);
    const place: Place<Event> = { notify, leave: () => this.#leave(id, source, place) };
    if (places) places.add(place);
    else this.#places.set(id, new Set([place]));
    return place;
  }

  /** Tells everybody who waits on the id now. */
  announce(id: string, event: Event): void {
    const places = this.#places.get(id);
    if (places) for (const place of [...places]) place.notify(event);
  }

  /** Tells everybody. */
  announceAll(event: Event): void {
    for (const id of [...this.#places.keys()]) this.announce(id, event);
  }

  #leave(id: string, source: string | undefined, place: Place<Event>): void {
    const places = this.#places.get(id);
    if (!places?.delete(place)) return;
    if (places.size === 0) this.#places.delete(id);
    this.#count.give(source);
  }
}
