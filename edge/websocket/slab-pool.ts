/** A connection whose remote does not read keeps a slab from being used again: so they are small. */
const slabBytes = 128 * 1024;
/** Slabs that are kept for the next turn. */
const freeMax = 128;

/** A slab, and how many writes of it the system has still to take. */
interface Slab {
  readonly bytes: Buffer;
  used: number;
  writing: number;
}

/**
 * Memory that all connections write their outgoing batches into, one after the other within a turn.
 *
 * What the system takes at once, as it mostly does, costs no connection a buffer of its own.
 */
export class SlabPool {
  readonly #free: Slab[] = [];
  #current: Slab = newSlab(slabBytes);
  /** The slab that `take` last handed out. */
  #taken: Slab = this.#current;

  /** At least `bytes` to write into, until `commit`. */
  take(bytes: number): Buffer {
    if (bytes > slabBytes) this.#taken = newSlab(bytes);
    else {
      if (this.#current.used + bytes > slabBytes) this.#current = this.#free.pop() ?? newSlab(slabBytes);
      this.#taken = this.#current;
    }
    return this.#taken.bytes.subarray(this.#taken.used, this.#taken.used + bytes);
  }

  /** The first `bytes` of what was taken are being written; call what it answers once they are. */
  commit(bytes: number): () => void {
    const slab = this.#taken;
    slab.used += bytes;
    slab.writing++;
    return () => {
      if (--slab.writing > 0) return;
      slab.used = 0;
      if (slab !== this.#current && slab.bytes.length === slabBytes && this.#free.length < freeMax)
        this.#free.push(slab);
    };
  }
}

const newSlab = (bytes: number): Slab => ({ bytes: Buffer.allocUnsafeSlow(bytes), used: 0, writing: 0 });
