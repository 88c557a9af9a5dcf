import type { QUICConnection } from "@matrixai/quic";
import { nativeOf } from "./quic-native.ts";

/** Datagrams the library holds at most for its congestion control: what waits longer had better be lost. */
const queuedMax = 16;

type Listener = (datagram: Uint8Array) => void;
const listeners = new WeakMap<object, Listener>();

/** Tells `listener` of the connection's datagrams from now on. */
export function listenForDatagrams(quic: QUICConnection, listener: Listener): void {
  listeners.set(quic, listener);
}

/** Takes the datagrams that have arrived off the library, whether or not anybody listens. */
export function takeDatagrams(quic: QUICConnection): void {
  const listener = listeners.get(quic);
  const native = nativeOf(quic);
  for (let next = native.dgramRecvVec(); next !== null; next = native.dgramRecvVec()) listener?.(next);
}

/** Largest datagram that can be sent on the connection; 0: none. */
export const datagramMaxBytesOf = (quic: QUICConnection): number => nativeOf(quic).dgramMaxWritableLen() ?? 0;

/** The library keeps to itself how what it was given gets on its way. */
type Flushed = { send(): Promise<void> };

/** The sending side of a connection's datagrams. */
export class QuicDatagrams {
  readonly #quic: QUICConnection;
  #sent = false;

  constructor(quic: QUICConnection) {
    this.#quic = quic;
  }

  /** Takes one, to be sent with the next `flush`; false: there is no room now. */
  send(datagram: Uint8Array): boolean {
    const native = nativeOf(this.#quic);
    if (native.dgramSendQueueLen() >= queuedMax) {
      this.flush();
      return false;
    }
    try {
      native.dgramSendVec(datagram);
    } catch {
      // The connection is going away, and it with it.
      return true;
    }
    this.#sent = true;
    return true;
  }

  flush(): void {
    if (!this.#sent) return;
    this.#sent = false;
    // That it failed the connection itself tells, by its end.
    (this.#quic as unknown as Flushed).send().catch(() => {});
  }
}
