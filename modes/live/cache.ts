import type { Group } from "./group.ts";

/**
 * Counts the memory of all groups, from their first byte until nobody writes, reads or holds them, and says which must
 * go. So what a slow subscriber has still to read counts too, and is the first to go.
 */
export class GroupCache {
  readonly #maxBytes: number;
  /** Groups that are no track's latest, in the order they ceased to be. */
  readonly #old = new Map<Group, () => void>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Counts what a group takes, or takes more. False: there is no room even without the old groups. */
  grow(bytes: number): boolean {
    this.#bytes += bytes;
    while (this.#bytes > this.#maxBytes) {
      const oldest = this.#old.values().next();
      if (oldest.done) return false;
      oldest.value();
    }
    return true;
  }

  /** The group may be asked to go from now on: `evict` drops it and calls `release`. */
  supersede(group: Group, evict: () => void): void {
    this.#old.set(group, evict);
  }

  /** The group is gone, with all the weight it has. */
  release(group: Group): void {
    this.#old.delete(group);
    this.#bytes -= group.weightBytes;
  }
}
