import type { QUICConnection } from "@matrixai/quic";

/** What of the library's native connection it keeps to itself, and we need. */
export interface QuicNative {
  /** Streams that the remote still lets us open. */
  peerStreamsLeftUni(): number;
  peerStreamsLeftBidi(): number;
  /** What the remote closed the connection with. */
  peerError(): { isApp: boolean; errorCode: number; reason: Uint8Array } | null;
  /** One a path: round trip in ms, and bytes a second that arrived. */
  pathStats(): { active: boolean; rtt: number; deliveryRate: number }[];
  /** The protocol that was agreed upon in the handshake (ALPN). */
  applicationProto(): Uint8Array;
}

export const nativeOf = (quic: QUICConnection): QuicNative => (quic as unknown as { conn: QuicNative }).conn;

/** Name of the protocol that the handshake agreed upon. */
export const protocolOf = (quic: QUICConnection): string =>
  new TextDecoder().decode(nativeOf(quic).applicationProto());
