import type {
  BidiStream,
  ReceiveStream,
  SendStream,
  SessionEnd,
  Transport,
  TransportHandler,
} from "#wire/live/transport.ts";
import type { LiveVersion } from "#wire/live/version.ts";
import type { NativeBidi, NativeSession } from "./moq-binding.ts";
import { MoqReceive, MoqSend } from "./moq-stream.ts";

/** Streams that were asked for and are not open yet: more wait until the remote allows them. */
const openingMax = 16;

/** One WebTransport session of the native library, ours or a client's. */
export class MoqSession implements Transport {
  readonly version: LiveVersion | undefined;
  readonly role: "client" | "server";
  handler!: TransportHandler;
  readonly #native: NativeSession;
  #opening = 0;
  #deferred = false;
  #pumping = false;
  #ended = false;

  /** As a server the library cannot select a protocol: then there is no version, and SETUP decides. */
  constructor(native: NativeSession, role: "client" | "server", version: LiveVersion | undefined) {
    this.#native = native;
    this.role = role;
    this.version = version;
  }

  /** Takes streams until the session is over, and resolves then. The handler is set by then. */
  async run(): Promise<void> {
    void this.#take(
      () => this.#native.acceptUni(),
      (stream) => this.#receive(new MoqReceive(stream), (receive) => this.handler.onUni(receive)),
    );
    void this.#take(
      () => this.#native.acceptBi(),
      (stream) => this.#onBidi(stream),
    );
    const { closeCode, reason } = await this.#native.closed();
    // Its own words for what no CLOSE told.
    const lost = reason.startsWith("connection error");
    this.#end({ code: closeCode, reason, clean: !lost });
  }

  get writable(): boolean {
    return this.#pumping && !this.#ended;
  }

  wake(): void {
    if (this.#deferred || this.#ended) return;
    this.#deferred = true;
    setImmediate(() => {
      this.#deferred = false;
      this.#pump();
    });
  }

  openUni(): SendStream | undefined {
    const opening = this.#open(() => this.#native.openUni());
    return opening && new MoqSend(opening, () => this.wake());
  }

  openBidi(): BidiStream | undefined {
    const opening = this.#open(() => this.#native.openBi());
    if (opening === undefined) return undefined;
    const send = new MoqSend(
      opening.then((stream) => stream.takeSend()),
      () => this.wake(),
    );
    const receive = new MoqReceive({
      read: async (maxBytes) => (await received).read(maxBytes),
      stop: async (code) => (await received).stop(code),
    });
    const received = opening.then((stream) => stream.takeRecv());
    void receive.start();
    return { send, receive };
  }

  close(code: number, reason: string): void {
    if (this.#ended) return;
    this.#native.close(code, reason);
    this.#end({ code, reason, clean: true });
  }

  #open<T>(open: () => Promise<T>): Promise<T> | undefined {
    if (this.#opening >= openingMax) return undefined;
    this.#opening++;
    const opening = open();
    const opened = () => {
      if (this.#opening-- === openingMax) this.wake();
    };
    opening.then(opened, opened);
    return opening;
  }

  async #take<T>(accept: () => Promise<T>, use: (stream: T) => void): Promise<void> {
    while (!this.#ended) {
      // It fails when the session is over; `closed` tells why.
      const stream = await accept().catch(() => undefined);
      if (stream === undefined || this.#ended) return;
      use(stream);
    }
  }

  #onBidi(stream: NativeBidi): void {
    const send = new MoqSend(Promise.resolve(stream.takeSend()), () => this.wake());
    this.#receive(new MoqReceive(stream.takeRecv()), (receive) => this.handler.onBidi({ send, receive }));
  }

  #receive(receive: MoqReceive, tell: (receive: ReceiveStream) => void): void {
    tell(receive);
    void receive.start();
  }

  #pump(): void {
    if (this.#ended || this.#pumping) return;
    this.#pumping = true;
    try {
      this.handler.onPump();
    } finally {
      this.#pumping = false;
    }
  }

  #end(end: SessionEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.handler.onEnd(end);
  }
}
