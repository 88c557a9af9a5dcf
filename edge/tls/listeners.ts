import type { Cancel } from "#core/clock.ts";

/** Those who want to be called. */
export class Listeners {
  readonly #calls = new Set<() => void>();

  add(call: () => void): Cancel {
    this.#calls.add(call);
    return () => void this.#calls.delete(call);
  }

  call(): void {
    for (const call of [...this.#calls]) call();
  }
}
