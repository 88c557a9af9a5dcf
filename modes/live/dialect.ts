import type { LiveProtocolError } from "#wire/live/error-code.ts";
import type { BidiStream, ReceiveStream } from "#wire/live/transport.ts";
import type { LiveVersion } from "#wire/live/version.ts";
import type { TrackSource } from "./track.ts";

/** What a session does once it is known what both sides speak: moq-lite, or moq-transport. */
export interface Dialect {
  readonly version: LiveVersion;
  /** The remote as a source of tracks. */
  readonly source: TrackSource;
  /** Bytes of shared groups that the remote has still to get. */
  readonly backlogBytes: number;
  start(): void;
  onUni(stream: ReceiveStream): void;
  onBidi(stream: BidiStream): void;
  /** A datagram came; absent where they mean nothing. */
  onDatagram?(datagram: Uint8Array): void;
  /** Writes groups, after all control messages. */
  pump(): void;
  /** Asks the remote to go elsewhere, where its version can be asked; `uri` may be empty. */
  goaway(uri: string): void;
  /** What the session is closed with for a broken rule. */
  closeCodeOf(error: LiveProtocolError): number;
  /** The session is over. `clean`: the remote said goodbye. */
  close(clean: boolean): void;
}
