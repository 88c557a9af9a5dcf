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
    this.#traffic.groups++;
    this.#body.add(this);
    // Taken when there is room, so that what waits is the group's alone and counts as such.
    this.#stream.output.feed(() => this.#sendNext());
    this.onMore();
  }

  onMore(): void {
    if (typeof this.#body.state !== "number") {
      this.#stream.output.wake();
      return;
    }
    this.#stream.abort(this.#body.state);
    this.close();
  }

  /** False: there is no more for now, or at all. */
  #sendNext(): boolean {
    const at = this.#next;
    if (at < this.#body.chunks.length) {
      this.#next++;
      this.#stream.output.send(this.#body.chunks[at]!);
      this.#traffic.frames += this.#body.chunkFrames[at]!;
      this.#traffic.bytes += this.#body.chunkPayload[at]!;
      return true;
    }
    if (this.#body.state === "complete") {
      this.#stream.output.finish();
      this.close();
    }
    return false;
  }

  close(): void {
    this.#body.remove(this);
    this.#onOver();
  }
}
