import type { Clock } from "#core/clock.ts";
import type { BidiStream, Transport } from "#wire/live/transport.ts";
import type { LiteVersion } from "#wire/live/version.ts";
import type { ControlOwner } from "./control-stream.ts";
import type { Grant } from "./grant.ts";
import type { LiveLimits } from "./limits.ts";
import type { LiveMetrics } from "./metrics.ts";
import type { Origin } from "./origin.ts";
import type { SessionTraffic } from "./session-traffic.ts";

/** What the two halves of a session share. */
export interface SessionContext extends ControlOwner {
  readonly transport: Transport;
  readonly version: LiteVersion;
  readonly grant: Grant;
  readonly origin: Origin;
  /** This relay's own id. */
  readonly originId: bigint;
  readonly limits: LiveLimits;
  readonly clock: Clock;
  readonly metrics: LiveMetrics;
  readonly traffic: SessionTraffic;
  /** Opens a stream as soon as the remote allows one more. */
  openBidi(opened: (stream: BidiStream) => void): void;
}
