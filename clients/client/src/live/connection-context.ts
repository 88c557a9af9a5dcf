import type { ControlOwner } from "../../../../wire/live/control-stream.ts";
import type { BidiStream } from "../../../../wire/live/transport.ts";
import type { LiteVersion } from "../../../../wire/live/version.ts";
import type { PublisherHome } from "./broadcast.ts";

/** What the parts of a connection need of it. */
export interface ConnectionContext extends ControlOwner {
  readonly home: PublisherHome & { readonly originId: bigint };
  readonly version: LiteVersion;
  /** Opens a stream as soon as the relay allows one; never, once the connection is over. */
  openBidi(opened: (stream: BidiStream) => void): void;
}
