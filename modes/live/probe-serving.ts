import type { Cancel } from "#core/clock.ts";
import type { ControlStream } from "#wire/live/control-stream.ts";
import { encodeProbe } from "#wire/live/probe.ts";
import type { Estimate } from "#wire/live/transport.ts";
import type { LiteVersion } from "#wire/live/version.ts";
import type { SessionContext } from "./session-context.ts";

/** How often the transport is asked; the original looks every 100 ms, and sends no more often than here. */
const lookEveryMs = 500;
/** A report this old is repeated. */
const reportEveryMs = 10_000;
/** A change by this part of a value is told at once, a smaller one the later the smaller it is. */
const changeAtOnce = 0.25;

/** Answers one Probe stream: tells the remote what is known of the way to it, as often as that changes. */
export class ProbeServing {
  readonly #session: SessionContext;
  readonly #stream: ControlStream;
  readonly #version: LiteVersion;
  readonly #estimate: () => Estimate;
  #told: Estimate | undefined;
  #toldAt = 0;
  #cancel: Cancel = () => {};

  constructor(
    session: SessionContext,
    stream: ControlStream,
    version: LiteVersion,
    estimate: () => Estimate,
  ) {
    this.#session = session;
    this.#stream = stream;
    this.#version = version;
    this.#estimate = estimate;
  }

  start(): void {
    const now = this.#session.clock.now();
    const next = this.#estimate();
    if (this.#told === undefined || this.#matters(this.#told, next, now - this.#toldAt)) {
      this.#stream.output.send(encodeProbe(next, this.#version));
      this.#told = next;
      this.#toldAt = now;
    }
    this.#cancel = this.#session.clock.after(lookEveryMs, () => this.start());
  }

  close(): void {
    this.#cancel();
  }

  #matters(told: Estimate, next: Estimate, ageMs: number): boolean {
    if (ageMs >= reportEveryMs) return true;
    const threshold = changeAtOnce * (1 - ageMs / reportEveryMs);
    return (
      moved(told.bitsPerSecond, next.bitsPerSecond, threshold) || moved(told.rttMs, next.rttMs, changeAtOnce)
    );
  }
}

/** To be known, and to be known no more, is always a change. */
function moved(before: number | undefined, now: number | undefined, threshold: number): boolean {
  if (before === undefined || now === undefined) return before !== now;
  return Math.abs(now - before) >= threshold * Math.max(before, 1);
}
