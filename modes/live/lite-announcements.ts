import type { Cancel } from "#core/clock.ts";
import {
  encodeAnnounceInit,
  encodeAnnouncement,
  encodeAnnounceOk,
  encodeNumberedAnnouncement,
  type PricedWay,
} from "#wire/live/announce.ts";
import type { ControlOutput } from "#wire/live/control-stream.ts";
import type { LiteVersion } from "#wire/live/version.ts";
import type { Announcements } from "./announcer.ts";

/** What moq-lite says of broadcasts, on the stream that asked for them. */
export class LiteAnnouncements implements Announcements {
  readonly carriesHops: boolean;
  /** The older versions must see an end between. */
  readonly replaces: boolean;
  readonly carriesCost: boolean;
  readonly #output: ControlOutput;
  readonly #version: LiteVersion;
  readonly #originId: bigint;
  /** Numbers of what is announced, by suffix (06). */
  readonly #numbers = new Map<string, number>();
  #nextNumber = 0;

  constructor(output: ControlOutput, version: LiteVersion, originId: bigint) {
    this.#output = output;
    this.#version = version;
    this.#originId = originId;
    this.carriesHops = version >= 4;
    this.replaces = version >= 5;
    this.carriesCost = version >= 6;
  }

  begin(suffixes: readonly string[]): boolean {
    if (this.#version <= 2) {
      this.#output.send(encodeAnnounceInit(suffixes));
      return true;
    }
    if (this.#version >= 5) this.#output.send(encodeAnnounceOk(this.#originId, suffixes.length));
    return false;
  }

  active(suffix: string, hops: readonly bigint[], cost: number): void {
    if (this.#version >= 6) {
      this.#announce(suffix, { hops: [...hops], cost });
      return;
    }
    // Up to 04 the sender is the last hop; in 05 ANNOUNCE_OK has named it once.
    const all = this.#version >= 5 ? [...hops] : [...hops, this.#originId];
    this.#output.send(encodeAnnouncement({ active: true, suffix, hops: all }, this.#version));
  }

  ended(suffix: string): void {
    const number = this.#numbers.get(suffix);
    if (number !== undefined) {
      this.#numbers.delete(suffix);
      this.#output.send(encodeNumberedAnnouncement({ kind: "end", number }));
      return;
    }
    this.#output.send(encodeAnnouncement({ active: false, suffix, hops: [] }, this.#version));
  }

  feed(next: () => boolean): Cancel {
    return this.#output.feed(next);
  }

  wake(): void {
    this.#output.wake();
  }

  #announce(suffix: string, way: PricedWay): void {
    const number = this.#numbers.get(suffix);
    if (number !== undefined) {
      this.#output.send(encodeNumberedAnnouncement({ kind: "update", number, ...way }));
      return;
    }
    this.#numbers.set(suffix, this.#nextNumber++);
    this.#output.send(encodeNumberedAnnouncement({ kind: "start", suffix, ...way }));
  }
}
