/** A connection with another relay, as the rules see it. */
export interface PeerLink {
  /** Sends one frame. What the other side does not take is dropped with the connection. */
  send(frame: Uint8Array): void;
  /** Ends it; `lost` follows. */
  close(): void;
}

/** The rules' side of a connection. */
export interface PeerSession {
  /** Is the handshake over? */
  readonly isEstablished: boolean;
  /** One frame. The next comes when this one is done with. Does not reject. */
  receive(frame: Uint8Array): Promise<void>;
  /** A sign of life that is no message. */
  heard(): void;
  /** The connection is gone. */
  lost(): void;
}
