import WebSocket from "ws";
import type { Clock } from "#core/clock.ts";
import { type MessageSink, Mux, type MuxLimits } from "#wire/live/mux.ts";
import { legacySubprotocol, type ProtocolName, protocolNames, subprotocolsOf } from "#wire/live/version.ts";
import { type Beating, Heartbeat, type HeartbeatOptions } from "./heartbeat.ts";
import { saidGoodbye } from "./live-websocket.ts";

export interface DialOptions extends MuxLimits, HeartbeatOptions {
  messageMaxBytes: number;
  /** How long the other side may take to answer. */
  connectTimeoutMs: number;
  /** Whether its certificate must be one that is trusted here. */
  verify: boolean;
  /** The versions to offer, what we like best first; all that are final where it is left out. */
  names?: readonly ProtocolName[] | undefined;
}

/** Bytes handed to the WebSocket before we wait for the system to take them. */
const socketBacklogBytes = 262_144;

/** Messages over a WebSocket that we opened; `ws` masks and sends them. */
class ClientSink implements MessageSink {
  readonly headroom = 0;
  readonly #socket: WebSocket;
  readonly #onRoom: () => void;
  #ends: number[] = [];
  #waiting = false;

  constructor(socket: WebSocket, onRoom: () => void) {
    this.#socket = socket;
    this.#onRoom = onRoom;
  }

  room(): number {
    const room = socketBacklogBytes - this.#socket.bufferedAmount;
    this.#waiting ||= room <= 0;
    return room;
  }

  take(bytes: number): Uint8Array {
    return new Uint8Array(bytes);
  }

  seal(_buffer: Uint8Array, _start: number, end: number): number {
    this.#ends.push(end);
    return end;
  }

  send(buffer: Uint8Array): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    let start = 0;
    for (const end of this.#ends) {
      this.#socket.send(buffer.subarray(start, end), { binary: true }, () => this.#sent());
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

  #sent(): void {
    if (!this.#waiting || this.#socket.bufferedAmount >= socketBacklogBytes / 2) return;
    this.#waiting = false;
    this.#onRoom();
  }
}

/** The other side answered, but with no WebSocket. */
class NoWebSocketError extends Error {
  override readonly name = "NoWebSocketError";
  readonly status: number;

  constructor(status: number) {
    super(`the other side answered ${status}`);
    this.status = status;
  }
}

/**
 * Opens a WebSocket session of live with another relay, in the newest version both speak. Rejects if there is none.
 *
 * `open` is given the transport in the turn the connection opens, before anything arrives, and sets its handler.
 */
export async function dialWebSocket(
  url: URL,
  options: DialOptions,
  clock: Clock,
  open: (transport: Mux) => void,
): Promise<void> {
  try {
    await dialOnce(url, options, clock, open);
  } catch (error) {
    if (!(error instanceof NoWebSocketError) || error.status !== 404 || url.pathname !== "/") throw error;
    // moq-relay 0.10 has its root one empty part further down.
    const below = new URL(url);
    below.pathname = "//";
    await dialOnce(below, options, clock, open);
  }
}

function dialOnce(
  url: URL,
  options: DialOptions,
  clock: Clock,
  open: (transport: Mux) => void,
): Promise<void> {
  const subprotocols = subprotocolsOf(options.names ?? protocolNames);
  const target = new URL(url);
  target.protocol = target.protocol.replace(/^http/, "ws");
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(
      target,
      subprotocols.map(({ name }) => name),
      {
        maxPayload: options.messageMaxBytes,
        rejectUnauthorized: options.verify,
        perMessageDeflate: false,
        handshakeTimeout: options.connectTimeoutMs,
        skipUTF8Validation: true,
      },
    );
    let mux: Mux | undefined;
    socket.on("error", (error) => {
      reject(error);
      mux?.lost("the WebSocket failed");
    });
    socket.on("unexpected-response", (request, { statusCode }) => {
      reject(new NoWebSocketError(statusCode!));
      request.destroy();
    });
    socket.on("close", (code) => mux?.lost("the connection went away", saidGoodbye(code)));
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      if (isBinary) mux?.receive(data);
      else mux?.refuse("text messages are not part of the protocol");
    });
    socket.on("open", () => {
      const agreed = subprotocols.find(({ name }) => name === socket.protocol) ?? legacySubprotocol;
      const sink = new ClientSink(socket, () => mux?.drained());
      const opened = new Mux(agreed.framing, agreed.version, "client", options, sink, clock);
      mux = opened;
      let heardAt = clock.now();
      const hear = () => {
        heardAt = clock.now();
      };
      // Framings without a ping of their own are silent where nothing is published.
      socket.on("ping", hear);
      socket.on("pong", hear);
      const heartbeat = new Heartbeat(options, clock);
      const connection: Beating = {
        heardAt: () => Math.max(heardAt, opened.receivedAt),
        ping() {
          socket.ping();
          opened.ping();
        },
        drop: () => socket.terminate(),
      };
      heartbeat.add(connection);
      socket.on("close", () => heartbeat.remove(connection));
      open(opened);
      resolve();
    });
  });
}
