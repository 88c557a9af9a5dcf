import type { Instant } from "#core/clock.ts";

export interface Expiry {
  readonly at: Instant;
  readonly id: string;
  readonly version: number;
}

/** A binary heap, soonest first. What it names may have been replaced since: the reader compares versions. */
export class ExpiryQueue {
  readonly #heap: Expiry[] = [];

  get size(): number {
    return this.#heap.length;
  }

  peek(): Expiry | undefined {
    return this.#heap[0];
  }

  /** Forgets what is stale. */
  keep(wanted: (expiry: Expiry) => boolean): void {
    // A sorted array is a heap.
    const kept = this.#heap.filter(wanted).sort((a, b) => a.at - b.at);
    this.#heap.length = 0;
    for (const expiry of kept) this.#heap.push(expiry);
  }

  push(expiry: Expiry): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(expiry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]!.at <= expiry.at) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = expiry;
  }

  pop(): Expiry | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.at < heap[child]!.at) child++;
      if (heap[child]!.at >= last.at) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}
