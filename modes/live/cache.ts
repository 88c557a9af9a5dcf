import type { Group } from "./group.ts";

/** Counts the bytes of all held groups and says which must go. */
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

  /** Counts bytes added to a held group. False: there is no room even without the old groups. */
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

  /** The group is held no longer. */
  release(group: Group): void {
    this.#old.delete(group);
    this.#bytes -= group.bytes;
  }
}
