import type { WebSocketConstructor } from "#clients/client/src/live/websocket-transport.ts";
import type { Clock } from "#core/clock.ts";
import type { Grant } from "#modes/live/grant.ts";
import type { Relay } from "#modes/live/relay.ts";
import { Mux } from "#wire/live/mux.ts";
import { subprotocols } from "#wire/live/version.ts";
import { openGrant, Pipe, pairLimits, relayOn } from "./live-pair.ts";
import { settle } from "./sim-clock.ts";

/**
 * A relay in memory, with the real core, and the WebSocket that leads to it. Connections can be refused, stalled and
 * cut; nothing looks at the wall.
 */
export class SimLiveRelay {
  relay: Relay;
  /** What is agreed upon of what a client offers. */
  subprotocol = "qmux-02.moq-lite-05";
  grant: Grant = openGrant();
  /** What becomes of each message on its way to a client. */
  tamper: (message: Uint8Array) => Uint8Array = (message) => message;
  /** Nobody answers at its address. */
  isDown = false;
  /** Connections that were opened, the latest last. */
  readonly sockets: SimSocket[] = [];
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.relay = relayOn(clock);
  }

  /** To be passed as the client's `WebSocket`. */
  get WebSocket(): WebSocketConstructor {
    const open = (url: string, offered: readonly string[]) => this.#open(url, offered);
    return class {
      constructor(url: string, offered: string[]) {
        // biome-ignore lint/correctness/noConstructorReturn: stands in for the platform's class
        return open(url, offered);
      }
    } as unknown as WebSocketConstructor;
  }

  /** A new process at the same address. */
  restart(): void {
    for (const socket of this.sockets) socket.cut();
    this.relay = relayOn(this.#clock);
  }

  #open(url: string, offered: readonly string[]): SimSocket {
    const agreed = subprotocols.find(({ name }) => name === this.subprotocol)!;
    const socket = new SimSocket(url, offered);
    queueMicrotask(() => {
      if (this.isDown) return socket.fail();
      const pipe = new Pipe();
      const server = new Mux(agreed.framing, agreed.version, "server", pairLimits, pipe, this.#clock);
      this.sockets.push(socket);
      this.relay.accept(server, this.grant);
      socket.connect(server, pipe, agreed.name, (message) => this.tamper(message));
    });
    return socket;
  }
}

type Listener<E> = ((event: E) => void) | null;

/** The client's end of a connection in memory: as much of a WebSocket as our client uses. */
export class SimSocket {
  readonly OPEN = 1;
  readonly url: string;
  readonly offered: readonly string[];
  readyState = 0;
  protocol = "";
  binaryType = "blob";
  onopen: Listener<object> = null;
  onmessage: Listener<{ data: unknown }> = null;
  onerror: Listener<object> = null;
  onclose: Listener<{ code: number; reason: string }> = null;
  readonly #closeListeners: (() => void)[] = [];
  #server: Mux | undefined;
  #toClient: Pipe | undefined;
  /** Takes what is sent, and lets none of it through. */
  isStalled = false;
  #stalled: ArrayBuffer[] = [];

  constructor(url: string, offered: readonly string[]) {
    this.url = url;
    this.offered = offered;
  }

  get bufferedAmount(): number {
    return this.#stalled.reduce((sum, message) => sum + message.byteLength, 0);
  }

  addEventListener(_type: "close", listener: () => void): void {
    this.#closeListeners.push(listener);
  }

  send(message: Uint8Array): void {
    const copy = message.slice().buffer as ArrayBuffer;
    if (this.isStalled) this.#stalled.push(copy);
    else queueMicrotask(() => this.#server!.receive(new Uint8Array(copy)));
  }

  close(code = 1000): void {
    if (this.readyState === 3) return;
    queueMicrotask(() => {
      this.#server?.lost("the client closed", true);
      this.#closed(code);
    });
  }

  /** The connection breaks: neither side hears anything of it but that. */
  cut(): void {
    if (this.readyState !== 1) return;
    this.#server!.lost("the connection went away");
    this.#closed(1006);
  }

  /** Nothing gets through any more, and neither side is told. */
  freeze(): void {
    this.isStalled = true;
    this.#toClient!.stalled = true;
  }

  /** What waited goes on its way. */
  flow(): void {
    this.isStalled = false;
    for (const message of this.#stalled.splice(0)) this.#server!.receive(new Uint8Array(message));
  }

  /** A message that is none of the protocol's. */
  receive(data: unknown): void {
    this.onmessage?.({ data });
  }

  fail(): void {
    this.onerror?.({});
    this.#closed(1006);
  }

  connect(server: Mux, toClient: Pipe, protocol: string, tamper: (message: Uint8Array) => Uint8Array): void {
    this.#server = server;
    this.#toClient = toClient;
    this.protocol = protocol;
    this.readyState = 1;
    const client: Pick<Mux, "receive" | "lost"> = {
      receive: (message) => this.receive(tamper(message.slice()).slice().buffer),
      lost: () => this.#closed(1000),
    };
    toClient.peer = client as Mux;
    this.onopen?.({});
  }

  #closed(code: number): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose?.({ code, reason: "" });
    for (const listener of this.#closeListeners) listener();
  }
}

/** Lets messages that are under way arrive, and what they cause. */
export async function deliver(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await settle();
}
