import type { ControlStream } from "#wire/live/control-stream.ts";
import type { BodyReader, GroupBody } from "./group.ts";
import type { Traffic } from "./traffic.ts";

/** Answers one Fetch stream with the frames of one group, those to come included. */
export class FetchServing implements BodyReader {
  readonly #stream: ControlStream;
  readonly #body: GroupBody;
  readonly #traffic: Traffic;
  readonly #onOver: () => void;
  #next = 0;

  constructor(stream: ControlStream, body: GroupBody, traffic: Traffic, onOver: () => void) {
    this.#stream = stream;
    this.#body = body;
    this.#traffic = traffic;
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
    this.#traffic.groups++;
    this.#body.add(this);
    this.onMore();
  }

  onMore(): void {
    while (this.#next < this.#body.chunks.length) {
      const at = this.#next++;
      this.#stream.output.send(this.#body.chunks[at]!);
      this.#traffic.frames += this.#body.chunkFrames[at]!;
      this.#traffic.bytes += this.#body.chunkPayload[at]!;
    }
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
