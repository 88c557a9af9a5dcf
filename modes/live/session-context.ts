import type { Cancel, Clock } from "#core/clock.ts";
import type { ControlOwner } from "#wire/live/control-stream.ts";
import type { BidiStream, SendStream, Transport } from "#wire/live/transport.ts";
import type { Grant } from "./grant.ts";
import type { LiveLimits } from "./limits.ts";
import type { LiveMetrics } from "./metrics.ts";
import type { Origin } from "./origin.ts";
import type { SessionTraffic } from "./session-traffic.ts";

/** What the parts of a session share, whatever it speaks. */
export interface SessionContext extends ControlOwner {
  readonly transport: Transport;
  readonly grant: Grant;
  readonly origin: Origin;
  /** This relay's own id. */
  readonly originId: bigint;
  readonly limits: LiveLimits;
  readonly clock: Clock;
  readonly metrics: LiveMetrics;
  readonly traffic: SessionTraffic;
  /** Opens a stream as soon as the remote allows one more, unless it is cancelled before. */
  openBidi(opened: (stream: BidiStream) => void): Cancel;
  openUni(opened: (stream: SendStream) => void): void;
  /** Ends the session with one of our own codes (`liveError`). */
  close(code: number, reason: string): void;
}
