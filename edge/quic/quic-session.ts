import type { QUICConnection, QUICStream } from "@matrixai/quic";
import type {
  BidiStream,
  Estimate,
  ReceiveStream,
  SendStream,
  SessionEnd,
  Transport,
  TransportHandler,
} from "#wire/live/transport.ts";
import { isIetf, type LiveVersion } from "#wire/live/version.ts";
import { QuicReceive, QuicSend } from "../webtransport/quic-stream.ts";
import { SessionReceive, SessionSend } from "../webtransport/webtransport-session.ts";
import { nativeOf } from "./quic-native.ts";

const nobody: TransportHandler = { onUni() {}, onBidi() {}, onPump() {}, onEnd() {} };
const [text, utf8] = [new TextDecoder(), new TextEncoder()];

/** A session that has a QUIC connection to itself: its streams carry moq directly, and its close is the connection's. */
export class QuicSession implements Transport {
  readonly version: LiveVersion | undefined;
  readonly role: "client" | "server";
  readonly setupTarget: string | undefined;
  handler: TransportHandler = nobody;
  readonly #quic: QUICConnection;
  #deferred = false;
  #pumping = false;
  #ended = false;

  constructor(
    quic: QUICConnection,
    version: LiveVersion | undefined,
    role: "client" | "server",
    setupTarget?: string,
  ) {
    this.#quic = quic;
    this.version = version;
    this.role = role;
    this.setupTarget = setupTarget;
  }

  get writable(): boolean {
    return this.#pumping && !this.#ended;
  }

  estimate(): Estimate {
    const path = nativeOf(this.#quic)
      .pathStats()
      .find(({ active }) => active);
    if (path === undefined) return { bitsPerSecond: undefined, rttMs: undefined };
    return { bitsPerSecond: path.deliveryRate > 0 ? path.deliveryRate * 8 : undefined, rttMs: path.rtt };
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
    if (this.#ended || nativeOf(this.#quic).peerStreamsLeftUni() === 0) return undefined;
    return this.#sending(this.#quic.newStream("uni"));
  }

  openBidi(): BidiStream | undefined {
    if (this.#ended || nativeOf(this.#quic).peerStreamsLeftBidi() === 0) return undefined;
    const stream = this.#quic.newStream("bidi");
    return { send: this.#sending(stream), receive: this.#receiving(stream) };
  }

  /** A stream that the remote opened. */
  onStream(stream: QUICStream): void {
    if (this.#ended) return;
    const receive = this.#receiving(stream);
    if (stream.type === "uni") this.handler.onUni(receive);
    else this.handler.onBidi({ receive, send: this.#sending(stream) });
  }

  /** The connection is gone; it knows whether the remote said why. */
  lost(): void {
    const told = nativeOf(this.#quic).peerError();
    if (told?.isApp) this.#end({ code: told.errorCode, reason: text.decode(told.reason), clean: true });
    else this.#end({ code: 0, reason: "the connection went away", clean: false });
  }

  close(code: number, reason: string): void {
    if (this.#ended) return;
    this.#end({ code, reason, clean: true });
    const close = { isApp: true, errorCode: code, reason: utf8.encode(reason), force: true } as const;
    this.#quic.stop(close).catch(() => {});
  }

  #sending(stream: QUICStream): SendStream {
    const send = new QuicSend(stream, () => this.wake());
    return this.#mapsCodes ? new SessionSend(send) : send;
  }

  /** Reads from the next turn on: callbacks are set by then. */
  #receiving(stream: QUICStream): ReceiveStream {
    const receive = new QuicReceive(stream);
    void receive.start();
    return this.#mapsCodes ? new SessionReceive(receive) : receive;
  }

  /** moq-relay has the codes of streams as over HTTP/3 here too, if not the close's; moq-transport has them plain. */
  get #mapsCodes(): boolean {
    return this.version === undefined || !isIetf(this.version);
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
