import type { Instant } from "#core/clock.ts";

/** A message as it is kept: immutable, replaced whole by the next `put`. */
export interface Entry {
  readonly id: string;
  /** Tells this message from every other ever stored under the id, restarts included. Positive and rising. */
  readonly version: number;
  /** Dropped when acknowledged. */
  readonly body: Uint8Array | undefined;
  /** As the producer sent it; undefined if it sent none. */
  readonly contentType: string | undefined;
  readonly acked: boolean;
  /** From this moment on the entry is gone. */
  readonly expiresAt: Instant;
}

export interface Message {
  readonly body: Uint8Array;
  readonly contentType: string | undefined;
  readonly expiresAt: Instant;
}

export interface RendezvousLimits {
  /** Entries held at once, acknowledged ones included. */
  readonly maxEntries: number;
  /** Bytes of bodies, content types and ids held at once. */
  readonly maxStoreBytes: number;
  /** Entries held at once for one source; 0 sets no share. */
  readonly maxEntriesPerClient: number;
}

/** `replaced` is the live entry that the new one took the place of. */
export type PutOutcome =
  | { readonly kind: "stored"; readonly entry: Entry; readonly replaced: Entry | undefined }
  | { readonly kind: "full" }
  | { readonly kind: "over-share" };

/** `version` is the message's that stands acknowledged. */
export type AckOutcome =
  | { readonly kind: "acked" | "already-acked"; readonly version: number }
  | { readonly kind: "missing" | "version-mismatch" };

/**
 * What the rendezvous mode keeps: at most one message for each id.
 *
 * - A promise resolves only after the change is as durable as the engine makes it, and nobody reads a change before.
 * - Operations on one id take effect in the order in which they were called.
 * - A live entry is never dropped to make room: expired ones go first, then acknowledged ones, oldest first; then `put`
 *   answers `full`. Replacing an id needs no room for another entry.
 * - An entry is gone at `expiresAt`, swept or not.
 * - `storage_unavailable` (`RelayError`) when the engine could not keep the change; then it did not happen.
 */
export interface RendezvousStore extends AsyncDisposable {
  get(id: string, now: Instant): Entry | undefined | Promise<Entry | undefined>;
  /** `source` names who is charged for the entry while this process runs; it is never stored. */
  put(id: string, message: Message, source: string | undefined, now: Instant): Promise<PutOutcome>;
  /** Drops the body and keeps the flag until expiry. With a `version`, only that message is acknowledged. */
  ack(id: string, version: number | undefined, now: Instant): Promise<AckOutcome>;
  /** Drops what expired before `now`. Resolves to how many entries went. */
  sweep(now: Instant): Promise<number>;
  /** Entries and bytes held, expired but unswept ones included. */
  usage(): { readonly entries: number; readonly bytes: number };
}
