import type { ControlStream } from "./control-stream.ts";
import type { BodyReader, GroupBody } from "./group.ts";

/** Answers one Fetch stream with the frames of one group, those to come included. */
export class FetchServing implements BodyReader {
  readonly #stream: ControlStream;
  readonly #body: GroupBody;
  readonly #onOver: () => void;
  #next = 0;

  constructor(stream: ControlStream, body: GroupBody, onOver: () => void) {
    this.#stream = stream;
    this.#body = body;
    this.#onOver = onOver;
  }

  start(): void {
    this.#stream.onInput = (input) => void input.takeRest();
    this.#stream.onAbort = (code) => {
      this.close();
      this.#stream.abort(code);
    };
    // The answer is one group at most, which the cache holds anyway: only references wait here.
    this.#stream.output.unbounded = true;
    this.#body.add(this);
    this.onMore();
  }

  onMore(): void {
    while (this.#next < this.#body.chunks.length) this.#stream.output.send(this.#body.chunks[this.#next++]!);
    if (this.#body.state === "open") return;
    if (this.#body.state === "complete") this.#stream.output.finish();
    else this.#stream.abort(this.#body.state);
    this.close();
  }

  close(): void {
    this.#body.remove(this);
    this.#onOver();
  }
}
