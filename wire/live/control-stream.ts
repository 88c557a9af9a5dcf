import type { Cancel } from "#core/clock.ts";
import { LiveProtocolError, liveError } from "./error-code.ts";
import { StreamBuffer } from "./stream-buffer.ts";
import type { BidiStream, SendStream } from "./transport.ts";

/** The session a control stream belongs to. */
export interface ControlOwner {
  readonly controlMaxBytes: number;
  /** The stream has something to send: pump it. */
  wakeControl(stream: ControlOutput): void;
  /** A rule was broken that ends the session. */
  fail(error: LiveProtocolError): void;
}

/** Messages on their way out: kept until the transport takes them, no more than the owner allows. */
export class ControlOutput {
  readonly #owner: ControlOwner;
  readonly #stream: SendStream;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #sentOfFirst = 0;
  #fin = false;
  readonly #feeds = new Set<() => boolean>();

  constructor(owner: ControlOwner, stream: SendStream) {
    this.#owner = owner;
    this.#stream = stream;
  }

  get done(): boolean {
    return this.#stream.done;
  }

  /** Calls `next` whenever nothing waits any more: it sends what comes next, and answers whether there was something. */
  feed(next: () => boolean): Cancel {
    this.#feeds.add(next);
    this.wake();
    return () => this.#feeds.delete(next);
  }

  /** There is something for a feed to send. */
  wake(): void {
    if (!this.#fin && !this.#stream.done) this.#owner.wakeControl(this);
  }

  send(message: Uint8Array): void {
    if (this.#fin || this.#stream.done) return;
    this.#waiting.push(message);
    this.#waitingBytes += message.length;
    if (this.#waitingBytes > this.#owner.controlMaxBytes + message.length) {
      this.#owner.fail(new LiveProtocolError("a control stream is not being read", liveError.lagged));
      return;
    }
    this.#owner.wakeControl(this);
  }

  finish(): void {
    if (this.#fin) return;
    this.#fin = true;
    this.#owner.wakeControl(this);
  }

  reset(code: number): void {
    this.#waiting = [];
    this.#stream.reset(code);
  }

  /** Writes what it can; true once nothing waits. Called in the transport's pump. */
  pump(): boolean {
    if (this.#stream.done) return true;
    do {
      for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
        const last = this.#fin && this.#waiting.length === 1;
        const taken = this.#stream.write(first, this.#sentOfFirst, last);
        this.#sentOfFirst += taken;
        this.#waitingBytes -= taken;
        if (this.#sentOfFirst < first.length) return false;
        this.#waiting.shift();
        this.#sentOfFirst = 0;
      }
    } while (this.#fed());
    if (!this.#fin || this.#stream.done) return true;
    this.#stream.write(nothing, 0, true);
    return this.#stream.done;
  }

  /** Whether there was something to send. */
  #fed(): boolean {
    if (this.#fin) return false;
    for (const next of this.#feeds) if (next()) return true;
    return false;
  }
}

const nothing = new Uint8Array(0);

/**
 * A bidirectional stream of messages.
 *
 * `onInput` is called when bytes or the end came, and takes whole messages off the buffer; what it throws as
 * `LiveProtocolError` ends the session.
 */
export class ControlStream {
  readonly output: ControlOutput;
  readonly #stream: BidiStream;
  onInput: (input: StreamBuffer, fin: boolean) => void = (input) => void input.takeRest();
  /** The remote gave the stream up, or will read no more of it. */
  onAbort: (code: number) => void = () => {};

  constructor(owner: ControlOwner, stream: BidiStream) {
    this.#stream = stream;
    this.output = new ControlOutput(owner, stream.send);
    const input = new StreamBuffer(owner.controlMaxBytes);
    stream.receive.onData = (chunk, fin) => {
      try {
        input.push(chunk);
        this.onInput(input, fin);
      } catch (error) {
        if (!(error instanceof LiveProtocolError)) throw error;
        owner.fail(error);
      }
    };
    stream.receive.onReset = (code) => this.onAbort(code);
    stream.send.onStop = (code) => this.onAbort(code);
  }

  /** Gives both directions up. */
  abort(code: number): void {
    this.output.reset(code);
    this.#stream.receive.stop(code);
  }
}
