import { type IncomingMessage, type Server, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { Clock } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import { type LiveAcceptor, parseTarget } from "#wire/live/acceptor.ts";
import { datagramMaxBytes } from "#wire/live/datagram.ts";
import { Mux, type MuxLimits } from "#wire/live/mux.ts";
import {
  chooseSubprotocol,
  legacySubprotocol,
  protocolNames,
  type Subprotocol,
  setupOf,
  subprotocolsOf,
} from "#wire/live/version.ts";
import { clientCertificateOf } from "../http/client-certificate.ts";
import { type Beating, Heartbeat, type HeartbeatOptions } from "./heartbeat.ts";
import { SlabPool } from "./slab-pool.ts";
import { SocketSink, webSocketHeader } from "./socket-sink.ts";

export interface LiveWebSocketOptions extends MuxLimits, HeartbeatOptions {
  /** Largest message of a framing that has no limit of its own; bytes. */
  messageMaxBytes: number;
}

export const defaultLiveWebSocketOptions: LiveWebSocketOptions = {
  connectionWindowBytes: 16 * 1024 * 1024,
  streamWindowBytes: 2 * 1024 * 1024,
  streamsMax: 10_000,
  recordMaxBytes: 65_536,
  datagramMaxBytes,
  idleTimeoutMs: 30_000,
  messageMaxBytes: 16 * 1024 * 1024,
  pingIntervalMs: 5_000,
  silenceMaxMs: 30_000,
};

/** Accepts WebSocket sessions of live on the `upgrade` event of an HTTP server. */
export class LiveWebSocket<Admission> {
  readonly #acceptor: LiveAcceptor<Admission>;
  readonly #options: LiveWebSocketOptions;
  readonly #subprotocols: readonly Subprotocol[];
  readonly #clock: Clock;
  readonly #pool = new SlabPool();
  readonly #server: WebSocketServer;
  readonly #heartbeat: Heartbeat;
  readonly #report: (error: unknown) => void;

  /** `report` hears what went wrong on our side, without anything of the request. */
  constructor(
    acceptor: LiveAcceptor<Admission>,
    options: LiveWebSocketOptions,
    clock: Clock,
    report: (error: unknown) => void,
  ) {
    this.#report = report;
    this.#acceptor = acceptor;
    this.#options = options;
    this.#subprotocols = subprotocolsOf(acceptor.names ?? protocolNames);
    this.#clock = clock;
    this.#heartbeat = new Heartbeat(options, clock);
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: options.messageMaxBytes,
      skipUTF8Validation: true,
      handleProtocols: (offered) => chooseSubprotocol(offered, this.#subprotocols)?.name ?? false,
    });
  }

  get connectionCount(): number {
    return this.#heartbeat.count;
  }

  /** Takes every upgrade of `server`. Answers what detaches it again. */
  attach(server: Server): () => void {
    const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      void this.upgrade(request, socket, head);
    server.on("upgrade", onUpgrade);
    return () => server.off("upgrade", onUpgrade);
  }

  /** Answers one upgrade: with a session, or with why not. */
  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const onError = () => socket.destroy();
    socket.on("error", onError);
    const subprotocol = offeredSubprotocol(request, this.#subprotocols);
    if (subprotocol === undefined) return refuse(socket, 400, "None of the offered subprotocols is known.");
    let admission: Admission;
    try {
      admission = await this.#acceptor.admit({
        ...parseTarget(request.url ?? "/"),
        authorization: request.headers.authorization,
        host: request.headers.host,
        transport: "websocket",
        clientCertificate: clientCertificateOf(socket),
        ...setupOf(subprotocol.version),
      });
    } catch (error) {
      if (!(error instanceof RelayError)) this.#report(error);
      const refusal = error instanceof RelayError ? error : new RelayError("internal");
      return refuse(socket, refusal.status, refusal.message, refusal.authenticate);
    }
    if (socket.destroyed) return;
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      socket.off("error", onError);
      this.#open(webSocket, socket, subprotocol, admission);
    });
  }

  #open(webSocket: WebSocket, socket: Duplex, subprotocol: Subprotocol, admission: Admission): void {
    const close = () => webSocket.close(1000);
    const sink = new SocketSink(socket, webSocketHeader, this.#pool, close, () => mux.drained());
    const mux = new Mux(subprotocol.framing, subprotocol.version, "server", this.#options, sink, this.#clock);
    let heardAt = this.#clock.now();
    const hear = () => {
      heardAt = this.#clock.now();
    };
    const connection: Beating = {
      heardAt: () => Math.max(heardAt, mux.receivedAt),
      ping() {
        webSocket.ping();
        mux.ping();
      },
      drop: () => webSocket.terminate(),
    };
    webSocket.on("message", (data: Buffer, isBinary: boolean) => {
      if (isBinary) mux.receive(data);
      else mux.refuse("text messages are not part of the protocol");
    });
    webSocket.on("ping", hear);
    webSocket.on("pong", hear);
    webSocket.on("error", () => mux.lost("the WebSocket failed"));
    webSocket.on("close", (code: number) => {
      this.#heartbeat.remove(connection);
      mux.lost("the connection went away", saidGoodbye(code));
    });
    this.#heartbeat.add(connection);
    this.#acceptor.accept(mux, admission);
  }
}

/** A browser that leaves the page closes with 1001; a connection that broke has no code (RFC 6455, 7.4.1). */
export const saidGoodbye = (code: number): boolean => code === 1000 || code === 1001;

/** What both sides speak; `undefined` if the client offers something, but nothing we know. */
function offeredSubprotocol(request: IncomingMessage, ours: readonly Subprotocol[]): Subprotocol | undefined {
  const header = request.headers["sec-websocket-protocol"];
  if (header === undefined) return legacySubprotocol;
  return chooseSubprotocol(
    header.split(",").map((name) => name.trim()),
    ours,
  );
}

function refuse(socket: Duplex, status: number, message: string, authenticate?: string): void {
  const challenge = authenticate === undefined ? "" : `www-authenticate: ${authenticate}\r\n`;
  // The HTTP server lets go of an upgraded socket: without this a client could keep it open for ever.
  socket.once("finish", () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: text/plain\r\nconnection: close\r\n` +
      `${challenge}access-control-allow-origin: *\r\ncontent-length: ${Buffer.byteLength(message)}\r\n\r\n${message}`,
  );
}
