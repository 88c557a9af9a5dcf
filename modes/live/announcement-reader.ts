import {
  decodeAnnounceInit,
  decodeAnnouncement,
  decodeAnnounceOk,
  decodeNumberedAnnouncement,
  type NumberedAnnouncement,
} from "#wire/live/announce.ts";
import { LiveProtocolError, liveError } from "#wire/live/error-code.ts";
import type { StreamBuffer } from "#wire/live/stream-buffer.ts";
import type { LiteVersion } from "#wire/live/version.ts";
import { joinPath } from "./path.ts";
import type { AnnouncedHere } from "./remote-broadcasts.ts";

/** Reads what the remote announces below a prefix, on the stream where it was asked. */
export class AnnouncementReader {
  readonly #version: LiteVersion;
  readonly #prefix: string;
  readonly #here: AnnouncedHere;
  /** Most broadcasts that a remote may announce. */
  readonly #max: number;
  /** The first message is another: what is there at once, or who answers. */
  #first: boolean;
  #responder: bigint | undefined;
  #type: number | undefined;
  /** What is announced by number, and the numbers by name (06). */
  readonly #names = new Map<number, string>();
  readonly #numbers = new Map<string, number>();
  #nextNumber = 0;

  constructor(version: LiteVersion, prefix: string, here: AnnouncedHere, max: number) {
    this.#version = version;
    this.#prefix = prefix;
    this.#here = here;
    this.#max = max;
    this.#first = version <= 2 || version >= 5;
  }

  /** Takes all whole messages off the buffer. */
  read(input: StreamBuffer): void {
    for (;;) {
      const typed = this.#version >= 6 && !this.#first;
      if (typed) this.#type ??= input.takeType();
      if (typed && this.#type === undefined) return;
      const body = input.takeMessage();
      if (body === undefined) return;
      if (this.#first) this.#readFirst(body);
      else if (typed) this.#onNumbered(decodeNumberedAnnouncement(this.#type!, body));
      else this.#onAnnouncement(body);
      this.#type = undefined;
      this.#first = false;
    }
  }

  #readFirst(body: Uint8Array): void {
    if (this.#version >= 5) this.#responder = decodeAnnounceOk(body).origin;
    else
      for (const suffix of decodeAnnounceInit(body)) this.#here.announce(joinPath(this.#prefix, suffix), []);
  }

  #onAnnouncement(body: Uint8Array): void {
    const { active, suffix, hops } = decodeAnnouncement(body, this.#version);
    const name = joinPath(this.#prefix, suffix);
    if (active) this.#here.announce(name, this.#withResponder(hops));
    else this.#here.end(name);
  }

  #onNumbered(announcement: NumberedAnnouncement): void {
    const name = this.#nameOf(announcement);
    if (announcement.kind === "end") {
      this.#names.delete(announcement.number);
      this.#numbers.delete(name);
      this.#here.end(name);
      return;
    }
    this.#here.announce(name, this.#withResponder(announcement.hops), announcement.cost);
  }

  /** The name that is meant: a start gives it the next number. */
  #nameOf(announcement: NumberedAnnouncement): string {
    if (announcement.kind !== "start") {
      const name = this.#names.get(announcement.number);
      if (name === undefined) throw new LiveProtocolError("an announcement with this number is not there");
      return name;
    }
    const name = joinPath(this.#prefix, announcement.suffix);
    if (this.#numbers.has(name))
      throw new LiveProtocolError("a broadcast is announced twice", liveError.duplicate);
    // Those that may not be published have a number as well.
    if (this.#names.size >= this.#max)
      throw new LiveProtocolError("too many broadcasts are announced", liveError.bounds);
    this.#names.set(this.#nextNumber, name);
    this.#numbers.set(name, this.#nextNumber++);
    return name;
  }

  /** Up to 04 the remote is among the hops already, where its version has any. */
  #withResponder(hops: bigint[]): bigint[] {
    return this.#responder === undefined ? hops : [...hops, this.#responder];
  }
}
