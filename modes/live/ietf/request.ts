import type { Cancel } from "#core/clock.ts";
import { type ControlOutput, type ControlOwner, ControlStream } from "#wire/live/control-stream.ts";
import type { Draft } from "#wire/live/ietf/draft.ts";
import { resetCodeOf } from "#wire/live/ietf/error.ts";
import { ControlBuffer, type Message } from "#wire/live/ietf/message.ts";
import type { BidiStream } from "#wire/live/transport.ts";

/**
 * One request, ours or the remote's, and all that is said about it: on a stream of its own, or among others on the control
 * stream, where it looks the same.
 */
export abstract class Request {
  /** -1 until it is sent. */
  id = -1;
  /** A message about it came. */
  onMessage: (message: Message) => void = () => {};
  /** The remote has no more to say about it. */
  onEnd: () => void = () => {};
  /** The remote gave it up. */
  onAbort: (code: number) => void = () => this.onEnd();

  abstract send(message: Uint8Array): void;
  /** Calls `next` whenever nothing waits to be sent any more: it sends what comes next, and answers whether there was something. */
  abstract feed(next: () => boolean): Cancel;
  /** There is something for a feed to send. */
  abstract wake(): void;
  /** We have no more to say about it. */
  abstract finish(): void;
  /** Gives it up with one of our own codes (`liveError`). */
  abstract abort(code: number): void;
}

/** A request that shares the control stream; whoever ends it says so by a message. */
export class SharedRequest extends Request {
  readonly #output: ControlOutput;
  readonly #onOver: (request: SharedRequest) => void;
  #over = false;

  constructor(output: ControlOutput, onOver: (request: SharedRequest) => void) {
    super();
    this.#output = output;
    this.#onOver = onOver;
  }

  get over(): boolean {
    return this.#over;
  }

  send(message: Uint8Array): void {
    if (!this.#over) this.#output.send(message);
  }

  feed(next: () => boolean): Cancel {
    return this.#output.feed(next);
  }

  wake(): void {
    this.#output.wake();
  }

  finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#onOver(this);
  }

  abort(): void {
    this.finish();
  }
}

/** A request on a stream of its own. */
export class StreamRequest extends Request {
  readonly #owner: ControlOwner;
  readonly #draft: Draft;
  readonly #onOver: (request: StreamRequest) => void;
  #stream: ControlStream | undefined;
  #ended: "no" | "finished" | "aborted" = "no";
  #remoteEnded = false;

  constructor(owner: ControlOwner, draft: Draft, onOver: (request: StreamRequest) => void) {
    super();
    this.#owner = owner;
    this.#draft = draft;
    this.#onOver = onOver;
  }

  get ended(): boolean {
    return this.#ended !== "no";
  }

  /** The stream is there. */
  open(bidi: BidiStream): void {
    const stream = new ControlStream(this.#owner, bidi);
    this.#stream = stream;
    const buffer = new ControlBuffer(this.#draft, this.#owner.controlMaxBytes);
    stream.onInput = (input, fin) => {
      buffer.push(input.takeRest());
      for (let message = buffer.takeMessage(); message !== undefined; message = buffer.takeMessage()) {
        if (this.#ended !== "aborted") this.onMessage(message);
      }
      if (!fin) return;
      this.#remoteEnded = true;
      this.onEnd();
      this.#over();
    };
    stream.onAbort = (code) => {
      this.#remoteEnded = true;
      this.onAbort(code);
      if (this.#ended !== "no") return this.#over();
      this.abort(code);
    };
  }

  send(message: Uint8Array): void {
    if (this.#ended === "no") this.#stream?.output.send(message);
  }

  feed(next: () => boolean): Cancel {
    return this.#stream?.output.feed(next) ?? (() => {});
  }

  wake(): void {
    this.#stream?.output.wake();
  }

  finish(): void {
    if (this.#ended !== "no") return;
    this.#ended = "finished";
    this.#stream?.output.finish();
    this.#over();
  }

  abort(code: number): void {
    if (this.#ended === "aborted") return;
    this.#ended = "aborted";
    this.#stream?.abort(resetCodeOf(code));
    this.#remoteEnded = true;
    this.#over();
  }

  #over(): void {
    if (this.#ended !== "no" && this.#remoteEnded) this.#onOver(this);
  }
}
