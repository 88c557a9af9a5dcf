import { once } from "node:events";
import WebSocket from "ws";
import { type Clock, systemClock } from "#core/clock.ts";
import { type MessageSink, Mux, type MuxLimits } from "#wire/live/mux.ts";
import { legacySubprotocol, subprotocols } from "#wire/live/version.ts";
import { pairLimits } from "./live-pair.ts";

/** What a relay answers to an upgrade: 101 with the subprotocol it chose, or why not. */
export interface Answered {
  status: number;
  chosen: string;
  headers: Record<string, string | string[] | undefined>;
  socket: WebSocket | undefined;
}

/**
 * Asks for a WebSocket that offers `offered`, and waits for the answer. `onOpen` has it in the turn it opens, before
 * anything arrives.
 */
export async function knock(
  url: URL,
  offered: readonly string[],
  {
    headers = {},
    onOpen = () => {},
  }: { headers?: Record<string, string>; onOpen?(socket: WebSocket): void } = {},
): Promise<Answered> {
  const target = new URL(url);
  target.protocol = target.protocol.replace(/^http/, "ws");
  const socket = new WebSocket(target, [...offered], { headers, perMessageDeflate: false });
  const { promise, resolve, reject } = Promise.withResolvers<Answered>();
  let answered: Record<string, string | string[] | undefined> = {};
  socket.on("upgrade", (response) => {
    answered = response.headers;
  });
  socket.on("open", () => {
    onOpen(socket);
    resolve({ status: 101, chosen: socket.protocol, headers: answered, socket });
  });
  socket.on("unexpected-response", (request, response) => {
    resolve({ status: response.statusCode!, chosen: "", headers: response.headers, socket: undefined });
    request.destroy();
  });
  socket.on("error", reject);
  return await promise;
}

/** The messages of a mux as those of a WebSocket. */
class SocketSink implements MessageSink {
  readonly headroom = 0;
  readonly #socket: WebSocket;
  readonly #onRoom: () => void;
  #ends: number[] = [];

  constructor(socket: WebSocket, onRoom: () => void) {
    this.#socket = socket;
    this.#onRoom = onRoom;
  }

  room(): number {
    return 1_000_000 - this.#socket.bufferedAmount;
  }

  take(bytes: number): Uint8Array {
    return new Uint8Array(bytes);
  }

  seal(_buffer: Uint8Array, _start: number, end: number): number {
    this.#ends.push(end);
    return end;
  }

  send(buffer: Uint8Array): void {
    let start = 0;
    for (const end of this.#ends) {
      this.#socket.send(buffer.subarray(start, end), () => this.#onRoom());
      start = end;
    }
    this.#ends = [];
  }

  end(): void {
    this.#socket.close(1000);
  }

  defer(run: () => void): void {
    setImmediate(run);
  }
}

/** A client's end of a connection with a relay. */
export interface RawConnection {
  socket: WebSocket;
  mux: Mux;
  closed: Promise<unknown>;
}

/** The client's end over an open WebSocket; `open` sets its handler before anything arrives. */
export function muxOver(
  socket: WebSocket,
  open: (mux: Mux) => void,
  limits: Partial<MuxLimits> = {},
  clock: Clock = systemClock(),
): RawConnection {
  const known = subprotocols.find(({ name }) => name === socket.protocol) ?? legacySubprotocol;
  const sink = new SocketSink(socket, () => mux.drained());
  const mux = new Mux(known.framing, known.version, "client", { ...pairLimits, ...limits }, sink, clock);
  const closed = once(socket, "close");
  socket.on("message", (data: Buffer, isBinary: boolean) => {
    if (isBinary) mux.receive(data);
    else mux.refuse("text");
  });
  socket.on("close", (code) => mux.lost("closed", code === 1000 || code === 1001));
  open(mux);
  return { socket, mux, closed };
}
