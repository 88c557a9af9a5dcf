import type { ControlStream } from "#wire/live/control-stream.ts";
import { liveError } from "#wire/live/error-code.ts";
import {
  decodeSubscribeUpdate,
  encodeSubscribeDrop,
  encodeSubscribeEnd,
  encodeSubscribeOk,
  encodeSubscribeStart,
  type SubscribeOptions,
} from "#wire/live/subscribe.ts";
import type { LiteVersion } from "#wire/live/version.ts";
import type { Serving, ServingAnswers } from "./serving.ts";

/** What moq-lite says of a subscription, on the stream that asked for it. */
export class LiteAnswers implements ServingAnswers {
  readonly #stream: ControlStream;
  readonly #version: LiteVersion;

  constructor(stream: ControlStream, version: LiteVersion) {
    this.#stream = stream;
    this.#version = version;
  }

  /** Hears what the remote says of it from now on. */
  listen(serving: Serving): void {
    this.#stream.onInput = (input, fin) => {
      for (let body = input.takeMessage(); body !== undefined; body = input.takeMessage()) {
        serving.update(decodeSubscribeUpdate(body, this.#version));
      }
      if (fin) serving.leave();
    };
    this.#stream.onAbort = () => {
      serving.close();
      this.#stream.abort(liveError.cancel);
    };
  }

  taken(options: SubscribeOptions): void {
    // Up to 04 clients wait for the answer, and give up after ten seconds: it is not made to wait for the publisher.
    if (this.#version < 5) this.#stream.output.send(encodeSubscribeOk(options, this.#version));
  }

  missing(from: number, to: number): void {
    if (this.#version !== 3 && this.#version !== 4) return;
    this.#stream.output.send(encodeSubscribeDrop(from, to, liveError.old, this.#version));
  }

  first(sequence: number): void {
    if (this.#version >= 5) this.#stream.output.send(encodeSubscribeStart(sequence));
  }

  ended(bound: number): void {
    if (this.#version >= 5) this.#stream.output.send(encodeSubscribeEnd(bound));
    this.#stream.output.finish();
  }

  failed(code: number): void {
    this.#stream.abort(code);
  }

  left(): void {
    this.#stream.output.finish();
  }
}
