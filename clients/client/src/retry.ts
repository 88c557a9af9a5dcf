import { type BackoffLimits, pause, pauseMs } from "../../../core/backoff.ts";
import type { Clock, Entropy, Instant } from "../../../core/clock.ts";
import { PosternError } from "./errors.ts";

/** An attempt that did not do it and may the next time. */
export interface Trouble {
  readonly kind: "trouble";
  /** The HTTP status; absent when there was no answer at all. */
  readonly status?: number;
  /** The least to wait before the next attempt. */
  readonly retryAfterMs?: number;
  /** The relay is in order, but what it has is not for us. */
  readonly unreadable?: true;
}

export interface Patience {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly limits: BackoffLimits;
  /** When to give up; `Infinity` for never. */
  readonly endsAt: Instant;
  readonly signal: AbortSignal | undefined;
  /** Told of each attempt that failed and will be repeated after `pauseMs`. */
  readonly onTrouble: ((trouble: Trouble, pauseMs: number) => void) | undefined;
  /** The error of time running out while the relay was in order. */
  readonly late: "timed_out" | "relay_unreachable";
}

/** A relay that says "nothing" sooner than this did not wait: asking again at once would be a busy loop. */
const heldMinMs = 1_000;

/**
 * Attempts until one gives a value: after trouble with a pause, after `again` (a full wait without result) at once.
 * Each attempt is aborted when the time is up.
 *
 * Rejects with PosternError `aborted`, `relay_unreachable` or `late`, and with what `attempt` rejects with.
 */
export async function persist<T>(
  { clock, entropy, limits, endsAt, signal, onTrouble, late }: Patience,
  attempt: (
    signal: AbortSignal,
  ) => Promise<{ readonly kind: "value"; readonly value: T } | "again" | Trouble>,
): Promise<T> {
  const stop = new AbortController();
  const abort = () => stop.abort();
  const disarm = Number.isFinite(endsAt) ? clock.after(endsAt - clock.now(), abort) : () => {};
  signal?.addEventListener("abort", abort, { once: true });
  const giveUp = (trouble: Trouble | undefined) => {
    if (signal?.aborted) return new PosternError("aborted", { cause: signal.reason });
    const details = trouble?.status === undefined ? {} : { status: trouble.status };
    return new PosternError(trouble && !trouble.unreadable ? "relay_unreachable" : late, { details });
  };
  try {
    let failures = 0;
    let last: Trouble | undefined;
    for (;;) {
      if (signal?.aborted || clock.now() >= endsAt) throw giveUp(last);
      const startedAt = clock.now();
      const answer = await attempt(stop.signal);
      if (answer !== "again" && answer.kind === "value") return answer.value;
      // What an aborted attempt says is about the abort; that the relay held it for a while is a good sign.
      if (stop.signal.aborted) throw giveUp(clock.now() - startedAt >= heldMinMs ? undefined : last);
      last = answer === "again" ? undefined : answer;
      const waited = answer === "again" && clock.now() - startedAt >= heldMinMs;
      failures = waited ? 0 : failures + 1;
      const ms = waited ? 0 : pauseMs(failures, limits, entropy, last?.retryAfterMs);
      if (last) onTrouble?.(last, ms);
      // A pause beyond the end would only put off the same answer.
      if (clock.now() + ms >= endsAt && last) throw giveUp(last);
      if (ms > 0) await pause(clock, ms, stop.signal);
    }
  } finally {
    disarm();
    signal?.removeEventListener("abort", abort);
  }
}
