import { joinBytes } from "../../../../core/bytes.ts";
import { LiveProtocolError, liveError } from "../../../../wire/live/error-code.ts";
import { FrameScanner, type FrameSink } from "../../../../wire/live/frames.ts";
import { decodeGroupHeader } from "../../../../wire/live/group.ts";
import type { StreamBuffer } from "../../../../wire/live/stream-buffer.ts";
import type { ReceiveStream } from "../../../../wire/live/transport.ts";
import { frameClassOf } from "../../../../wire/live/version.ts";
import type { ConnectionContext } from "./connection-context.ts";
import type { GroupSink, Subscribing } from "./subscribing.ts";

/** A Group stream on its way in, cut into frames. */
export class IncomingGroup implements FrameSink {
  readonly #stream: ReceiveStream;
  readonly #header: StreamBuffer;
  readonly #subscribingOf: (subscribeId: number) => Subscribing | undefined;
  readonly #onOver: () => void;
  readonly #scanner: FrameScanner;
  #sink: GroupSink | undefined;
  #timestamp = 0;
  /** Of the frame at hand. */
  #pieces: Uint8Array[] = [];
  #missingBytes = 0;
  #over = false;

  /** The stream's type was read already; `header` has what followed. */
  constructor(
    connection: ConnectionContext,
    stream: ReceiveStream,
    header: StreamBuffer,
    subscribingOf: (subscribeId: number) => Subscribing | undefined,
    onOver: () => void,
  ) {
    this.#stream = stream;
    this.#header = header;
    this.#subscribingOf = subscribingOf;
    this.#onOver = onOver;
    const { limits } = connection.home;
    this.#scanner = new FrameScanner(frameClassOf(connection.version), limits.groupMaxBytes);
    stream.onData = (chunk, fin) => this.onData(chunk, fin);
    stream.onReset = (code) => this.#end(code === liveError.old ? "skipped" : "lost");
  }

  onData(chunk: Uint8Array | undefined, fin: boolean): void {
    try {
      if (this.#sink === undefined) {
        if (chunk !== undefined) this.#header.push(chunk);
        this.#tryHeader(fin);
      } else if (chunk !== undefined) this.#scanner.push(chunk, this);
    } catch (error) {
      if (!(error instanceof LiveProtocolError)) throw error;
      // What is wrong is inside the group, which its publisher wrote; the relay is not to blame.
      this.#refuse(error.code);
      return;
    }
    if (fin) this.#end(this.#scanner.whole ? "complete" : "lost");
  }

  frame(size: number, timestampDelta: number): void {
    this.#timestamp += timestampDelta;
    this.#missingBytes = size;
    if (size === 0) this.#deliver();
  }

  payload(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#missingBytes -= piece.length;
    if (this.#missingBytes === 0) this.#deliver();
  }

  /** The connection is over. */
  lost(): void {
    this.#end("lost");
  }

  #deliver(): void {
    // Into memory of its own: a piece is part of what the network gave us, and may keep much more alive.
    const payload = joinBytes(this.#pieces);
    this.#pieces = [];
    if (!this.#over && !this.#sink!.onFrame(payload, this.#timestamp)) this.#refuse(liveError.cancel);
  }

  #tryHeader(fin: boolean): void {
    const body = this.#header.takeMessage();
    if (body === undefined) {
      if (fin) this.#onOver();
      return;
    }
    const { subscribeId, sequence } = decodeGroupHeader(body);
    this.#sink = this.#subscribingOf(subscribeId)?.openGroup(sequence);
    if (this.#sink === undefined) {
      this.#refuse(liveError.cancel);
      return;
    }
    const rest = this.#header.takeRest();
    if (rest.length > 0) this.#scanner.push(rest, this);
  }

  #refuse(code: number): void {
    this.#stream.stop(code);
    this.#end("lost");
  }

  #end(how: "complete" | "lost" | "skipped"): void {
    if (this.#over) return;
    this.#over = true;
    this.#sink?.onGroupEnd(how);
    this.#onOver();
  }
}
