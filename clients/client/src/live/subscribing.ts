import { concatBytes } from "../../../../core/bytes.ts";
import type { Cancel } from "../../../../core/clock.ts";
import { ControlStream } from "../../../../wire/live/control-stream.ts";
import { encodeType } from "../../../../wire/live/encoder.ts";
import { liveError } from "../../../../wire/live/error-code.ts";
import type { StreamBuffer } from "../../../../wire/live/stream-buffer.ts";
import { bidiType } from "../../../../wire/live/stream-type.ts";
import {
  decodeSubscribeReply,
  encodeSubscribe,
  encodeSubscribeUpdate,
  type SubscribeOptions,
} from "../../../../wire/live/subscribe.ts";
import { decodeTrackInfo, encodeTrackName, type TrackInfo } from "../../../../wire/live/track.ts";
import type { BidiStream } from "../../../../wire/live/transport.ts";
import type { ConnectionContext } from "./connection-context.ts";

export interface SubscribeRequest extends SubscribeOptions {
  readonly broadcast: string;
  readonly track: string;
}

/** Where the frames of one group go. */
export interface GroupSink {
  /** False: the group is not wanted any more. */
  onFrame(payload: Uint8Array, timestamp: number): boolean;
  /** `skipped`: the relay left the rest out because a newer group was due. */
  onGroupEnd(how: "complete" | "lost" | "skipped"): void;
}

/** Who asked for a track. */
export interface SubscribingSink {
  /** The publisher has the track; `undefined` from a relay whose version cannot say. */
  onInfo(info: TrackInfo | undefined): void;
  /** A group begins; `undefined`: it is not wanted. */
  onGroup(sequence: number): GroupSink | undefined;
  /** Nothing more will come. `complete`: the publisher ended the track; otherwise why not. */
  onSubscribingEnd(how: "complete" | number): void;
}

/** How long after the end of a subscription groups are still taken, where it was not said which is the last. */
const lateGroupsMs = 500;

/** One subscription of ours on one connection. */
export class Subscribing {
  readonly #connection: ConnectionContext;
  readonly #id: number;
  readonly #request: SubscribeRequest;
  readonly #sink: SubscribingSink;
  readonly #onOver: () => void;
  #stream: ControlStream | undefined;
  #infoStream: ControlStream | undefined;
  #cancelTimeout: Cancel = () => {};
  #replyType: number | undefined;
  /** Behind the last group, once the publisher has said so (05). */
  #endBound: number | undefined;
  #largest = -1;
  #finished = false;
  #over = false;

  constructor(
    connection: ConnectionContext,
    id: number,
    request: SubscribeRequest,
    sink: SubscribingSink,
    onOver: () => void,
  ) {
    this.#connection = connection;
    this.#id = id;
    this.#request = request;
    this.#sink = sink;
    this.#onOver = onOver;
  }

  start(): void {
    const { version, home } = this.#connection;
    this.#cancelTimeout = home.clock.after(home.limits.subscribeMaxMs, () => this.#fail(liveError.timeout));
    if (version >= 5) this.#connection.openBidi((bidi) => this.#askInfo(bidi));
    this.#connection.openBidi((bidi) => {
      if (this.#over) return bidi.send.reset(liveError.cancel);
      const stream = new ControlStream(this.#connection, bidi);
      this.#stream = stream;
      stream.onInput = (input, fin) => this.#onReply(input, fin);
      stream.onAbort = (code) => this.#fail(code || liveError.notFound);
      const subscribe = encodeSubscribe({ id: this.#id, ...this.#request }, version);
      stream.output.send(concatBytes(encodeType(bidiType.subscribe), subscribe));
    });
  }

  update(options: SubscribeOptions): void {
    if (this.#connection.version < 3) return;
    this.#stream?.output.send(encodeSubscribeUpdate(options, this.#connection.version));
  }

  /** Not wanted any more; the sink is not called again. */
  close(): void {
    if (this.#over) return;
    this.#end();
    this.#stream?.output.finish();
    this.#infoStream?.abort(liveError.cancel);
  }

  /** The connection is over. */
  lost(): void {
    this.#fail(liveError.dropped);
  }

  /** A group begins; `undefined`: it is not wanted. */
  openGroup(sequence: number): GroupSink | undefined {
    const group = this.#sink.onGroup(sequence);
    this.#largest = Math.max(this.#largest, sequence);
    this.#completeIfWhole();
    return group;
  }

  #askInfo(bidi: BidiStream): void {
    if (this.#over) {
      bidi.send.reset(liveError.cancel);
      return;
    }
    const stream = new ControlStream(this.#connection, bidi);
    this.#infoStream = stream;
    stream.onAbort = (code) => this.#fail(code || liveError.notFound);
    stream.onInput = (input) => {
      const body = input.takeMessage();
      if (body === undefined) return;
      this.#infoStream = undefined;
      stream.onAbort = () => {};
      // Not before: an end of ours would take the request back.
      stream.output.finish();
      this.#known(decodeTrackInfo(body));
    };
    const { broadcast, track } = this.#request;
    stream.output.send(concatBytes(encodeType(bidiType.track), encodeTrackName({ broadcast, track })));
  }

  #known(info: TrackInfo | undefined): void {
    if (!this.#finished) this.#cancelTimeout();
    this.#sink.onInfo(info);
  }

  #onReply(input: StreamBuffer, fin: boolean): void {
    const { version, home } = this.#connection;
    for (;;) {
      if (version >= 3) this.#replyType ??= input.takeType();
      if (version >= 3 && this.#replyType === undefined) break;
      const body = input.takeMessage();
      if (body === undefined) break;
      // Before 03 the only reply is that the track is there.
      const reply = version < 3 ? ok : decodeSubscribeReply(this.#replyType!, body, version);
      if (reply.kind === "ok") this.#known(undefined);
      if (reply.kind === "end") this.#endBound = reply.group;
      this.#replyType = undefined;
    }
    if (!fin || this.#over) return;
    this.#finished = true;
    this.#stream?.output.finish();
    // Streams overtake each other: the last groups may come after the end was told.
    this.#cancelTimeout();
    this.#cancelTimeout = home.clock.after(lateGroupsMs, () => this.#complete());
    this.#completeIfWhole();
  }

  #completeIfWhole(): void {
    if (this.#finished && this.#endBound !== undefined && this.#largest >= this.#endBound - 1) {
      this.#complete();
    }
  }

  #complete(): void {
    if (this.#over) return;
    this.#end();
    this.#sink.onSubscribingEnd("complete");
  }

  #fail(code: number): void {
    if (this.#over) return;
    this.#end();
    this.#stream?.abort(liveError.cancel);
    this.#infoStream?.abort(liveError.cancel);
    this.#sink.onSubscribingEnd(code);
  }

  #end(): void {
    this.#over = true;
    this.#cancelTimeout();
    this.#onOver();
  }
}

const ok = { kind: "ok" } as const;
