import {
  decodeAnnounceRequest,
  encodeAnnounceInit,
  encodeAnnouncement,
  encodeAnnounceOk,
} from "../../../../wire/live/announce.ts";
import type { ControlStream } from "../../../../wire/live/control-stream.ts";
import { normalizePath, stripPrefix } from "../../../../wire/live/path.ts";
import type { LiteVersion } from "../../../../wire/live/version.ts";

/** Answers one Announce stream of the relay's: what we publish below a prefix, and every change. */
export class Announcer {
  readonly #stream: ControlStream;
  readonly #version: LiteVersion;
  readonly #originId: bigint;
  readonly #prefix: string;

  constructor(stream: ControlStream, request: Uint8Array, version: LiteVersion, originId: bigint) {
    this.#stream = stream;
    this.#version = version;
    this.#originId = originId;
    this.#prefix = normalizePath(decodeAnnounceRequest(request, version).prefix) ?? "";
  }

  start(paths: Iterable<string>): void {
    const suffixes = [...paths].flatMap((path) => stripPrefix(this.#prefix, path) ?? []);
    const { output } = this.#stream;
    if (this.#version <= 2) {
      output.send(encodeAnnounceInit(suffixes));
      return;
    }
    if (this.#version >= 5) output.send(encodeAnnounceOk(this.#originId, suffixes.length));
    for (const suffix of suffixes) this.#send(true, suffix);
  }

  announce(path: string): void {
    const suffix = stripPrefix(this.#prefix, path);
    if (suffix !== undefined) this.#send(true, suffix);
  }

  unannounce(path: string): void {
    const suffix = stripPrefix(this.#prefix, path);
    if (suffix !== undefined) this.#send(false, suffix);
  }

  #send(active: boolean, suffix: string): void {
    // Up to 04 the sender is the last hop; in 05 ANNOUNCE_OK has named it once.
    const hops = active && this.#version < 5 ? [this.#originId] : [];
    this.#stream.output.send(encodeAnnouncement({ active, suffix, hops }, this.#version));
  }
}
