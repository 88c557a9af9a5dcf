import { concatBytes } from "../../../../core/bytes.ts";
import {
  decodeAnnounceInit,
  decodeAnnouncement,
  decodeAnnounceOk,
  encodeAnnounceRequest,
} from "../../../../wire/live/announce.ts";
import { ControlStream } from "../../../../wire/live/control-stream.ts";
import { encodeType } from "../../../../wire/live/encoder.ts";
import { LiveProtocolError, liveError } from "../../../../wire/live/error-code.ts";
import { joinPath, normalizePath } from "../../../../wire/live/path.ts";
import { bidiType } from "../../../../wire/live/stream-type.ts";
import type { ConnectionContext } from "./connection-context.ts";

/** Who learns what a relay announces. */
export interface Watcher {
  onAnnounced(path: string, active: boolean): void;
  /** The relay refused the watch or ended it, or the connection is over: nothing is known any more. */
  onWatchLost(): void;
}

/** One Announce stream of ours. */
export class Watch {
  readonly #connection: ConnectionContext;
  readonly #prefix: string;
  readonly #watcher: Watcher;
  readonly #onOver: () => void;
  readonly #active = new Set<string>();
  #stream: ControlStream | undefined;
  #over = false;

  constructor(connection: ConnectionContext, prefix: string, watcher: Watcher, onOver: () => void) {
    this.#connection = connection;
    this.#prefix = prefix;
    this.#watcher = watcher;
    this.#onOver = onOver;
  }

  start(): void {
    const { version, home } = this.#connection;
    this.#connection.openBidi((bidi) => {
      if (this.#over) return bidi.send.reset(liveError.cancel);
      const stream = new ControlStream(this.#connection, bidi);
      this.#stream = stream;
      const request = { prefix: this.#prefix, excludeHop: home.originId };
      stream.output.send(concatBytes(encodeType(bidiType.announce), encodeAnnounceRequest(request, version)));
      let isFirst = version <= 2 || version >= 5;
      stream.onAbort = () => this.lost();
      stream.onInput = (input, fin) => {
        for (let body = input.takeMessage(); body !== undefined; body = input.takeMessage()) {
          if (!isFirst) {
            const { active, suffix } = decodeAnnouncement(body, version);
            this.#tell(suffix, active);
          } else if (version >= 5) decodeAnnounceOk(body);
          else for (const suffix of decodeAnnounceInit(body)) this.#tell(suffix, true);
          isFirst = false;
        }
        if (fin) this.lost();
      };
    });
  }

  close(): void {
    if (!this.#end()) return;
    this.#stream?.output.finish();
  }

  lost(): void {
    if (!this.#end()) return;
    this.#stream?.output.finish();
    this.#watcher.onWatchLost();
  }

  #tell(suffix: string, active: boolean): void {
    const path = normalizePath(joinPath(this.#prefix, suffix));
    if (path === undefined || this.#over) return;
    if (active) this.#active.add(path);
    else this.#active.delete(path);
    if (this.#active.size > this.#connection.home.limits.announcementsMax) {
      throw new LiveProtocolError("too many broadcasts are announced", liveError.bounds);
    }
    this.#watcher.onAnnounced(path, active);
  }

  #end(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#onOver();
    return true;
  }
}
