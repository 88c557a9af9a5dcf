import type { Instant } from "#core/clock.ts";
import type {
  AckOutcome,
  Entry,
  Message,
  PutOutcome,
  RendezvousLimits,
} from "#store/contract/rendezvous-store.ts";
import { type Expiry, ExpiryQueue } from "./expiry-queue.ts";

interface Held {
  entry: Entry;
  readonly source: string | undefined;
  bytes: number;
}

function bytesOf(entry: Entry): number {
  // An id costs two bytes a character at most; exactness is not worth encoding it once more.
  return (entry.body?.byteLength ?? 0) + (entry.contentType?.length ?? 0) + 2 * entry.id.length;
}

/** Told of every change, in order: an engine that writes elsewhere too follows along. */
export interface ChangeLog {
  put(entry: Entry): void;
  ack(entry: Entry): void;
  drop(id: string): void;
}

const nobody: ChangeLog = { put() {}, ack() {}, drop() {} };

/** The rules of the rendezvous store over a map: what is kept, who makes room, who is refused. */
export class RendezvousState {
  readonly #limits: RendezvousLimits;
  readonly #log: ChangeLog;
  readonly #held = new Map<string, Held>();
  readonly #expiry = new ExpiryQueue();
  /** Acknowledged ids, oldest acknowledgement first. */
  readonly #acked = new Set<string>();
  readonly #perSource = new Map<string, number>();
  #bytes = 0;
  #ackedBytes = 0;
  #lastVersion = 0;

  constructor(limits: RendezvousLimits, log: ChangeLog = nobody) {
    this.#limits = limits;
    this.#log = log;
  }

  get(id: string, now: Instant): Entry | undefined {
    const entry = this.#held.get(id)?.entry;
    return entry !== undefined && entry.expiresAt > now ? entry : undefined;
  }

  put(id: string, message: Message, source: string | undefined, now: Instant): PutOutcome {
    let before = this.#held.get(id);
    if (before && before.entry.expiresAt <= now) {
      this.#drop(id);
      before = undefined;
    }
    // Versions also rise across restarts, because time does.
    const version = Math.max(this.#lastVersion + 1, now * 1000);
    const entry: Entry = { id, version, acked: false, ...message };
    const held: Held = { entry, source, bytes: bytesOf(entry) };
    if (this.#overShare(source, before)) return { kind: "over-share" };
    if (!this.#makeRoom(before ? 0 : 1, held.bytes - (before?.bytes ?? 0), id, now)) return { kind: "full" };
    this.#lastVersion = version;
    this.#remove(id);
    this.#insert(held);
    this.#log.put(entry);
    return { kind: "stored", entry, replaced: before?.entry };
  }

  ack(id: string, version: number | undefined, now: Instant): AckOutcome {
    const held = this.#held.get(id);
    if (!held || held.entry.expiresAt <= now) return { kind: "missing" };
    if (version !== undefined && held.entry.version !== version) return { kind: "version-mismatch" };
    if (held.entry.acked) return { kind: "already-acked", version: held.entry.version };
    held.entry = { ...held.entry, acked: true, body: undefined };
    const bytes = bytesOf(held.entry);
    this.#bytes += bytes - held.bytes;
    this.#ackedBytes += bytes;
    held.bytes = bytes;
    this.#acked.add(id);
    this.#log.ack(held.entry);
    return { kind: "acked", version: held.entry.version };
  }

  sweep(now: Instant): number {
    let dropped = 0;
    while (this.#dropOneExpired(now)) dropped++;
    return dropped;
  }

  usage() {
    return { entries: this.#held.size, bytes: this.#bytes };
  }

  /** Takes in what an engine found on its disk; nothing is charged and nothing is logged. */
  restore(entries: Iterable<Entry>): void {
    for (const entry of entries) {
      this.#lastVersion = Math.max(this.#lastVersion, entry.version);
      this.#insert({ entry, source: undefined, bytes: bytesOf(entry) });
    }
  }

  #overShare(source: string | undefined, before: Held | undefined): boolean {
    const share = this.#limits.maxEntriesPerClient;
    if (share === 0 || source === undefined || before?.source === source) return false;
    return (this.#perSource.get(source) ?? 0) >= share;
  }

  #makeRoom(entries: number, bytes: number, keep: string, now: Instant): boolean {
    const { maxEntries, maxStoreBytes } = this.#limits;
    const lacks = (size: number, held: number) =>
      size + entries > maxEntries || (bytes > 0 && held + bytes > maxStoreBytes);
    const lacking = () => lacks(this.#held.size, this.#bytes);
    while (lacking() && this.#dropOneExpired(now));
    // An acknowledgement is given up only where that really makes the room.
    if (lacks(this.#held.size - this.#acked.size, this.#bytes - this.#ackedBytes)) return false;
    for (const id of this.#acked) {
      if (!lacking()) break;
      if (id !== keep) this.#drop(id);
    }
    return !lacking();
  }

  #dropOneExpired(now: Instant): boolean {
    for (let next = this.#expiry.peek(); next && next.at <= now; next = this.#expiry.peek()) {
      this.#expiry.pop();
      if (!this.#isHeld(next)) continue;
      this.#drop(next.id);
      return true;
    }
    return false;
  }

  /** The queue may still name a message that was replaced since. */
  #isHeld({ id, version }: Expiry): boolean {
    return this.#held.get(id)?.entry.version === version;
  }

  #drop(id: string): void {
    this.#remove(id);
    this.#log.drop(id);
  }

  #insert(held: Held): void {
    const { entry, source } = held;
    this.#held.set(entry.id, held);
    this.#bytes += held.bytes;
    if (entry.acked) {
      this.#acked.add(entry.id);
      this.#ackedBytes += held.bytes;
    }
    if (this.#expiry.size > 2 * this.#held.size + 1024) this.#expiry.keep((expiry) => this.#isHeld(expiry));
    this.#expiry.push({ at: entry.expiresAt, id: entry.id, version: entry.version });
    if (source !== undefined) this.#perSource.set(source, (this.#perSource.get(source) ?? 0) + 1);
  }

  #remove(id: string): void {
    const held = this.#held.get(id);
    if (!held) return;
    this.#held.delete(id);
    this.#bytes -= held.bytes;
    if (this.#acked.delete(id)) this.#ackedBytes -= held.bytes;
    if (held.source === undefined) return;
    const left = this.#perSource.get(held.source)! - 1;
    if (left === 0) this.#perSource.delete(held.source);
    else this.#perSource.set(held.source, left);
  }
}
