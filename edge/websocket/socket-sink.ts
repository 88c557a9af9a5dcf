import type { Duplex } from "node:stream";
import type { MessageSink } from "#wire/live/mux.ts";
import type { SlabPool } from "./slab-pool.ts";

/** Bytes handed to the socket before we wait for the system to take them. */
const socketBacklogBytes = 65_536;

/** What stands before a message on the wire. */
export interface MessageHeader {
  /** Bytes kept free for it. */
  readonly headroom: number;
  /** Puts it before the message in `start` to `end`; answers where the message ends now. */
  seal(buffer: Uint8Array, start: number, end: number): number;
}

/** Two bytes, and two more for a length of 126 and up (RFC 6455, 5.2); server frames are not masked. */
export const webSocketHeader: MessageHeader = {
  headroom: 4,
  seal(buffer, start, end) {
    const length = end - start;
    let at = start - 4;
    buffer[at++] = 0x82;
    if (length < 126) {
      buffer[at++] = length;
      buffer.copyWithin(at, start, end);
      return at + length;
    }
    buffer[at++] = 126;
    buffer[at++] = length >>> 8;
    buffer[at] = length & 0xff;
    return end;
  },
};

/**
 * Writes messages straight to the socket, many in one write.
 *
 * Over WebSocket, `ws` keeps the handshake, reading, pings and the close. Both write whole frames at a time, so they
 * never mix.
 */
export class SocketSink implements MessageSink {
  readonly #socket: Duplex;
  readonly #header: MessageHeader;
  readonly #pool: SlabPool;
  readonly #close: () => void;
  readonly #onRoom: () => void;
  #waiting = false;

  /** `onRoom` is called when there is room again after `room` has said that there is none. */
  constructor(socket: Duplex, header: MessageHeader, pool: SlabPool, close: () => void, onRoom: () => void) {
    this.#onRoom = onRoom;
    this.#socket = socket;
    this.#header = header;
    this.#pool = pool;
    this.#close = close;
  }

  get headroom(): number {
    return this.#header.headroom;
  }

  room(): number {
    const room = this.#socket.writable ? socketBacklogBytes - this.#socket.writableLength : 0;
    this.#waiting = room <= 0;
    return room;
  }

  take(bytes: number): Uint8Array {
    return this.#pool.take(bytes);
  }

  seal(buffer: Uint8Array, start: number, end: number): number {
    return this.#header.seal(buffer, start, end);
  }

  send(buffer: Uint8Array, bytes: number): void {
    const release = this.#pool.commit(bytes);
    this.#socket.write(buffer.subarray(0, bytes), () => {
      release();
      if (this.#waiting && this.room() > 0) this.#onRoom();
    });
  }

  end(): void {
    this.#close();
  }

  defer(run: () => void): void {
    setImmediate(run);
  }
}
