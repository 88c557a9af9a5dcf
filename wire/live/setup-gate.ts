import type { Cancel, Clock } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import { type LiveAcceptor, parseTarget, type TransportKind } from "./acceptor.ts";
import { LiveProtocolError, liveError } from "./error-code.ts";
import { decodeSetup } from "./setup.ts";
import { StreamBuffer } from "./stream-buffer.ts";
import { uniType } from "./stream-type.ts";
import type { BidiStream, ReceiveStream, SendStream, Transport, TransportHandler } from "./transport.ts";
import { isIetf, setupOf } from "./version.ts";

export interface SetupGateLimits {
  /** A client that has not said by then where it wants to is closed. */
  setupTimeoutMs: number;
  /** Bytes kept of streams that came before it was let in. */
  heldMaxBytes: number;
}

/** Streams kept that came before the client was let in. */
const heldStreamsMax = 100;

/** A stream, and what came on it while nobody looked at it. */
interface Held {
  readonly bidi: BidiStream | undefined;
  readonly receive: ReceiveStream;
  readonly chunks: { chunk: Uint8Array; fin: boolean }[];
  resetCode: number | undefined;
  stopCode: number | undefined;
}

/**
 * Lets a client in whose connection named no URL: over raw QUIC, TCP and Unix sockets.
 *
 * From moq-lite 05 on its SETUP says path and token; before, it wants the root. Streams overtake each other, so what
 * comes before that is kept, and seen by the session as if it had just arrived.
 */
export class SetupGate<Admission> implements TransportHandler {
  readonly #transport: Transport;
  readonly #acceptor: LiveAcceptor<Admission>;
  readonly #kind: TransportKind;
  readonly #limits: SetupGateLimits;
  readonly #report: (error: unknown) => void;
  readonly #held: Held[] = [];
  #heldBytes = 0;
  #asked = false;
  #over = false;
  readonly #cancelTimeout: Cancel;

  /** `report` hears what went wrong on our side, without anything of the client. */
  constructor(
    transport: Transport,
    acceptor: LiveAcceptor<Admission>,
    kind: TransportKind,
    limits: SetupGateLimits,
    clock: Clock,
    report: (error: unknown) => void,
  ) {
    this.#transport = transport;
    this.#acceptor = acceptor;
    this.#kind = kind;
    this.#limits = limits;
    this.#report = report;
    this.#cancelTimeout = clock.after(limits.setupTimeoutMs, () =>
      transport.close(liveError.timeout, "no setup in time"),
    );
    transport.handler = this;
  }

  /** The version is known now. */
  start(): void {
    const { version } = this.#transport;
    // Drafts of moq-transport say it as the session begins, which then decides itself.
    if (version === undefined || version < 5 || isIetf(version)) this.#admit("/");
  }

  onUni(receive: ReceiveStream): void {
    const input = new StreamBuffer(this.#limits.heldMaxBytes);
    let type: number | undefined;
    this.#hold(receive, undefined, (chunk, fin) => {
      if (this.#asked) return;
      input.push(chunk);
      type ??= input.takeType();
      if (type !== uniType.setup) return;
      const body = input.takeMessage();
      if (body !== undefined) this.#admit(decodeSetup(body).path ?? "/");
      else if (fin) throw new LiveProtocolError("a setup that ends too early", liveError.decode);
    });
  }

  onBidi(bidi: BidiStream): void {
    this.#hold(bidi.receive, bidi, () => {});
  }

  onPump(): void {}

  onEnd(): void {
    this.#over = true;
    this.#cancelTimeout();
  }

  #hold(
    receive: ReceiveStream,
    bidi: BidiStream | undefined,
    look: (chunk: Uint8Array, fin: boolean) => void,
  ): void {
    const held: Held = { bidi, receive, chunks: [], resetCode: undefined, stopCode: undefined };
    this.#held.push(held);
    receive.onData = (chunk, fin) => {
      this.#heldBytes += chunk.length;
      held.chunks.push({ chunk, fin });
      if (this.#heldBytes > this.#limits.heldMaxBytes)
        return this.#refuse(liveError.bounds, "too much before the setup");
      try {
        look(chunk, fin);
      } catch (error) {
        if (!(error instanceof LiveProtocolError)) throw error;
        this.#refuse(error.code, error.message);
      }
    };
    receive.onReset = (code) => {
      held.resetCode = code;
    };
    if (bidi) {
      bidi.send.onStop = (code) => {
        held.stopCode = code;
      };
    }
    if (this.#held.length > heldStreamsMax)
      this.#refuse(liveError.bounds, "too many streams before the setup");
  }

  #admit(target: string): void {
    if (this.#asked) return;
    this.#asked = true;
    const knock = {
      ...parseTarget(target),
      authorization: undefined,
      transport: this.#kind,
      ...setupOf(this.#transport.version),
      targetInSetup: this.#transport.version !== undefined && isIetf(this.#transport.version),
    };
    this.#acceptor.admit(knock).then(
      (admission) => this.#letIn(admission),
      (error: unknown) => {
        if (!(error instanceof RelayError)) this.#report(error);
        const { code, message } = error instanceof RelayError ? error : new RelayError("internal");
        this.#refuse(
          code === "unauthorized" || code === "forbidden" ? liveError.unauthorized : liveError.bounds,
          message,
        );
      },
    );
  }

  #letIn(admission: Admission): void {
    if (this.#over) return;
    this.#cancelTimeout();
    this.#acceptor.accept(this.#transport, admission);
    const session = this.#transport.handler;
    let ended = false;
    const handler: TransportHandler = {
      onUni: (stream) => session.onUni(stream),
      onBidi: (stream) => session.onBidi(stream),
      onPump: () => session.onPump(),
      onEnd(end) {
        ended = true;
        session.onEnd(end);
      },
    };
    this.#transport.handler = handler;
    for (const held of this.#held.splice(0)) {
      // What an earlier stream brought may have ended the session, which is called no more then.
      if (ended) return;
      replay(held, handler);
    }
    this.#transport.handler = session;
  }

  #refuse(code: number, reason: string): void {
    this.#held.length = 0;
    this.#transport.close(code, reason);
  }
}

/** Shows the session a stream that was kept, as if it had just come. */
function replay({ bidi, receive, chunks, resetCode, stopCode }: Held, handler: TransportHandler): void {
  receive.onData = undefined;
  receive.onReset = undefined;
  if (bidi) {
    bidi.send.onStop = undefined;
    handler.onBidi(bidi);
    if (stopCode !== undefined) callStop(bidi.send, stopCode);
  } else handler.onUni(receive);
  for (const { chunk, fin } of chunks) callData(receive, chunk, fin);
  if (resetCode !== undefined) callReset(receive, resetCode);
}

// The callbacks are whatever the session has set by then, and may change with each call.
const callStop = (stream: SendStream, code: number) => stream.onStop?.(code);
const callData = (stream: ReceiveStream, chunk: Uint8Array, fin: boolean) => stream.onData?.(chunk, fin);
const callReset = (stream: ReceiveStream, code: number) => stream.onReset?.(code);
