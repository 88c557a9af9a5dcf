import type { LiveVersion } from "./version.ts";

/** Why a session ended. `clean`: the remote said goodbye; otherwise the connection just went away. */
export interface SessionEnd {
  code: number;
  reason: string;
  clean: boolean;
}

/** What a transport knows of the way to the remote; `undefined`: not known. */
export interface Estimate {
  /** What could be sent. */
  bitsPerSecond: number | undefined;
  /** From a byte's sending to word of its arrival. */
  rttMs: number | undefined;
}

/** The sending half of a stream. Nothing but `reset` is called after a FIN or a reset. */
export interface SendStream {
  /** The FIN or a reset has gone. */
  readonly done: boolean;
  /**
   * Takes the bytes of `chunk` from index `from` on, as many as flow control and the connection's buffer allow, and
   * answers how many; they are copied. With `fin`, taking the last of them ends the stream, unless no room was left for
   * the FIN: `done` tells.
   *
   * Call it from `TransportHandler.onPump` only; elsewhere it takes nothing.
   */
  write(chunk: Uint8Array, from: number, fin: boolean): number;
  /** Gives the stream up; what was not sent yet is lost. */
  reset(code: number): void;
  /** The remote asks to be sent no more. The transport answers with a reset by itself. */
  onStop: ((code: number) => void) | undefined;
}

/** The receiving half of a stream. Chunks are the receiver's to keep, and never change. */
export interface ReceiveStream {
  onData: ((chunk: Uint8Array, fin: boolean) => void) | undefined;
  onReset: ((code: number) => void) | undefined;
  /** Asks the remote to stop; no callback is called afterwards. */
  stop(code: number): void;
}

export interface BidiStream {
  readonly send: SendStream;
  readonly receive: ReceiveStream;
}

/** What a session is told by its transport. */
export interface TransportHandler {
  /** The remote opened a stream; its callbacks are set before this returns. */
  onUni(stream: ReceiveStream): void;
  onBidi(stream: BidiStream): void;
  /** There is room: open and write what waits, most urgent first. Called after `wake`, and when room returns. */
  onPump(): void;
  /** Called once; nothing is called after it. */
  onEnd(end: SessionEnd): void;
}

/**
 * The one port between live and whatever carries it: streams over one connection, without promises.
 *
 * Data is pulled: a session says `wake`, is pumped at the end of the turn, and writes until the transport takes no
 * more. So nothing is queued for a slow remote but references to what all share.
 */
export interface Transport {
  /** The version that the connection's handshake named; `undefined` where SETUP decides. */
  readonly version: LiveVersion | undefined;
  /** Who opened the connection. */
  readonly role: "client" | "server";
  /** Path and query that a client says in its SETUP; `undefined` where the connection's handshake had a URL. */
  readonly setupTarget?: string | undefined;
  handler: TransportHandler;
  /** Whether anything more can be written in this pump. */
  readonly writable: boolean;
  /** `undefined` while the remote allows no further stream; try again when pumped. */
  openUni(): SendStream | undefined;
  openBidi(): BidiStream | undefined;
  /** What is known of the way to the remote; absent where nothing ever is. */
  readonly estimate?: (() => Estimate) | undefined;
  /** Asks to be pumped at the end of this turn. */
  wake(): void;
  /** Tells the remote and ends; `onEnd` is called before it returns. A second call does nothing. */
  close(code: number, reason: string): void;
}
