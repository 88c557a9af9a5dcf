import type { Clock } from "#core/clock.ts";

/** Wakes fetches that wait for a message in one of their mailboxes. */
export class Arrivals {
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #clock: Clock;
  readonly #places: number;
  #taken = 0;
  #draining = false;

  /** At most `places` wait at once. */
  constructor(clock: Clock, places: number) {
    this.#clock = clock;
    this.#places = places;
  }

  get waiters(): number {
    return this.#taken;
  }

  /**
   * Resolves as soon as `look` finds something after an announcement, or with what it finds at the end of the wait, or
   * when the client is gone, or at once where there is no place left.
   */
  async waitFor<T>(
    mailboxes: readonly string[],
    waitMs: number,
    signal: AbortSignal,
    look: () => T | undefined,
  ): Promise<T | undefined> {
    if (this.#draining || this.#taken >= this.#places || signal.aborted) return look();
    return await new Promise((resolve, reject) => {
      this.#taken++;
      const leave = () => {
        this.#taken--;
        cancel();
        signal.removeEventListener("abort", end);
        for (const mailbox of mailboxes) this.#leave(mailbox, wake);
      };
      const attempt = (last: boolean) => {
        let found: T | undefined;
        try {
          found = look();
        } catch (error) {
          leave();
          return reject(error);
        }
        if (found === undefined && !last && !this.#draining) return;
        leave();
        resolve(found);
      };
      const wake = () => attempt(false);
      const end = () => attempt(true);
      const cancel = this.#clock.after(waitMs, end);
      signal.addEventListener("abort", end, { once: true });
      for (const mailbox of mailboxes) this.#join(mailbox, wake);
      // Listened first, now look: a message put between the two would go unnoticed until the next.
      wake();
    });
  }

  announce(mailbox: string): void {
    for (const wake of [...(this.#waiting.get(mailbox) ?? [])]) wake();
  }

  /** Answers everybody who waits as if their time were up; nobody waits any more. */
  drain(): void {
    this.#draining = true;
    for (const wakes of [...this.#waiting.values()]) for (const wake of [...wakes]) wake();
  }

  #join(mailbox: string, wake: () => void): void {
    const wakes = this.#waiting.get(mailbox) ?? new Set();
    this.#waiting.set(mailbox, wakes.add(wake));
  }

  #leave(mailbox: string, wake: () => void): void {
    const wakes = this.#waiting.get(mailbox);
    wakes?.delete(wake);
    if (wakes?.size === 0) this.#waiting.delete(mailbox);
  }
}
