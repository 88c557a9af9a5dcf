import type { Clock } from "../../../../core/clock.ts";
import { type MessageSink, Mux } from "../../../../wire/live/mux.ts";
import { recordMinBytes } from "../../../../wire/live/qmux.ts";
import { legacySubprotocol, liteSubprotocols } from "../../../../wire/live/version.ts";
import type { LiveLimits } from "./limits.ts";

/** Bytes handed to the WebSocket before we wait for the network to take them. */
const socketBacklogBytes = 262_144;
/** A WebSocket does not tell when its buffer drains; it is looked at so often, while there is more to send. */
const lookMs = 5;

/** Messages over the platform's WebSocket. */
class WebSocketSink implements MessageSink {
  readonly headroom = 0;
  readonly #socket: WebSocket;
  readonly #clock: Clock;
  readonly #onRoom: () => void;
  #ends: number[] = [];
  #isLooking = false;

  constructor(socket: WebSocket, clock: Clock, onRoom: () => void) {
    this.#socket = socket;
    this.#clock = clock;
    this.#onRoom = onRoom;
  }

  room(): number {
    const room = socketBacklogBytes - this.#socket.bufferedAmount;
    if (room <= 0) this.#look();
    return room;
  }

  take(bytes: number): Uint8Array {
    return new Uint8Array(bytes);
  }

  seal(_buffer: Uint8Array, _start: number, end: number): number {
    this.#ends.push(end);
    return end;
  }

  send(buffer: Uint8Array<ArrayBuffer>): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    let start = 0;
    for (const end of this.#ends) {
      this.#socket.send(buffer.subarray(start, end));
      start = end;
    }
    this.#ends = [];
  }

  end(): void {
    this.#socket.close(1000);
  }

  defer(run: () => void): void {
    queueMicrotask(run);
  }

  #look(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#clock.after(lookMs, () => {
      this.#isLooking = false;
      if (this.#socket.readyState !== this.#socket.OPEN) return;
      if (this.#socket.bufferedAmount > socketBacklogBytes / 2) this.#look();
      else this.#onRoom();
    });
  }
}

/** How an attempt to connect ends. `open` is called in the turn the connection opens, before anything arrives. */
export interface DialEvents<T> {
  open(transport: T): void;
  fail(cause: unknown): void;
}

export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocket;

/** Opens a WebSocket that carries the newest version both sides speak. Answers what gives the attempt up. */
export function dialWebSocket(
  url: URL,
  Socket: WebSocketConstructor,
  limits: LiveLimits,
  clock: Clock,
  { open, fail }: DialEvents<Mux>,
): () => void {
  const target = new URL(url);
  target.protocol = target.protocol.replace(/^http/, "ws");
  const names = liteSubprotocols.map(({ name }) => name);
  const socket = new Socket(target.href, names);
  socket.binaryType = "arraybuffer";
  let mux: Mux | undefined;
  socket.onerror = () => {
    fail(new Error("the WebSocket failed"));
    mux?.lost("the WebSocket failed");
  };
  socket.onclose = ({ code, reason }) => {
    fail(new Error("the WebSocket closed"));
    mux?.lost(reason || "the connection went away", code === 1000 || code === 1001);
  };
  socket.onmessage = ({ data }) => {
    if (data instanceof ArrayBuffer) mux?.receive(new Uint8Array(data));
    else mux?.refuse("text messages are not part of the protocol");
  };
  socket.onopen = () => {
    const agreed = liteSubprotocols.find(({ name }) => name === socket.protocol) ?? legacySubprotocol;
    const sink = new WebSocketSink(socket, clock, () => opened.drained());
    const own = {
      connectionWindowBytes: limits.windowBytes,
      streamWindowBytes: limits.windowBytes / 4,
      streamsMax: limits.streamsMax,
      recordMaxBytes: recordMinBytes,
      idleTimeoutMs: limits.silenceMaxMs,
    };
    const opened = new Mux(agreed.framing, agreed.version, "client", own, sink, clock);
    mux = opened;
    // Only these framings have a ping, so only here silence means anything.
    if (agreed.framing === "qmux-01" || agreed.framing === "qmux-02")
      keepAlive(socket, opened, limits, clock);
    open(opened);
  };
  return () => socket.close();
}

function keepAlive(socket: WebSocket, mux: Mux, limits: LiveLimits, clock: Clock): void {
  let cancel = () => {};
  const ping = () => {
    if (clock.now() - mux.receivedAt > limits.silenceMaxMs) {
      socket.close();
      mux.lost("the relay is silent");
      return;
    }
    mux.ping();
    cancel = clock.after(limits.pingMs, ping);
  };
  socket.addEventListener("close", () => cancel());
  cancel = clock.after(limits.pingMs, ping);
}
