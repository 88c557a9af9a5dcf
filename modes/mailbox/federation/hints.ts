import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { concatBytes } from "#core/bytes.ts";
import type { Clock, Instant } from "#core/clock.ts";
import type { MailboxStore } from "#store/contract/mailbox-store.ts";
import { u64 } from "../signature.ts";
import type { RelayIdentity } from "./relay-identity.ts";

/** Says that a message of a mailbox lies on another relay now. */
export interface Hint {
  readonly blobId: string;
  readonly relayUrl: string;
  readonly expiresAt: Instant;
}

/** Hints that one mailbox keeps; of more, the oldest is forgotten: the message is still found by asking every peer. */
const mostPerMailbox = 200;

/** Hints by mailbox, in the store, each until its message expires. */
export class Hints {
  readonly #store: MailboxStore;
  readonly #clock: Clock;
  readonly #identity: RelayIdentity;
  #held = 0;
  #stored = 0;
  #expired = 0;

  constructor(store: MailboxStore, clock: Clock, identity: RelayIdentity) {
    this.#store = store;
    this.#clock = clock;
    this.#identity = identity;
    this.recount();
  }

  /** Mailboxes with hints: counted by `recount`, and as they come since. */
  get held(): number {
    return this.#held;
  }
  get stored(): number {
    return this.#stored;
  }
  get expired(): number {
    return this.#expired;
  }

  /** After a sweep: what is gone meanwhile expired. */
  recount(): void {
    const held = this.#store.listRecords("hint", this.#clock.now()).length;
    this.#expired += Math.max(0, this.#held - held);
    this.#held = held;
  }

  async add(mailbox: string, hint: Hint): Promise<void> {
    for (;;) {
      const now = this.#clock.now();
      const record = this.#store.getRecord("hint", mailbox, now);
      const hints = [...(record ? decode(record.value, now) : []), hint].slice(-mostPerMailbox);
      const write = {
        value: utf8ToBytes(JSON.stringify(hints)),
        expiresAt: Math.max(...hints.map(({ expiresAt }) => expiresAt)),
        ifVersion: record?.version ?? 0,
      };
      if ((await this.#store.putRecord("hint", mailbox, write, now)) === "conflict") continue;
      this.#stored++;
      if (!record) this.#held++;
      return;
    }
  }

  async drop(mailbox: string): Promise<void> {
    if (await this.#store.removeRecord("hint", mailbox, this.#clock.now())) this.#held--;
  }

  /** What a fetch of these mailboxes is told beside what waits here; undefined if there is nothing. */
  answerFor(mailboxes: readonly string[]): Record<string, unknown> | undefined {
    if (this.#held === 0) return undefined;
    const now = this.#clock.now();
    const hints = mailboxes.flatMap((mailbox) => {
      const record = this.#store.getRecord("hint", mailbox, now);
      return record ? decode(record.value, now) : [];
    });
    if (hints.length === 0) return undefined;
    const told = hints.sort((a, b) => (a.blobId < b.blobId ? -1 : 1)).slice(0, mostPerMailbox);
    return {
      hints: told.map(({ blobId, relayUrl, expiresAt }) => ({
        blob_id: blobId,
        relay_url: relayUrl,
        expires_at_secs: secondsOf(expiresAt),
      })),
      relay_signing_key: this.#identity.signingKey,
      signature: bytesToHex(this.#identity.sign(signedBytes(told))),
    };
  }
}

/** What a relay signs of its hints: sorted by message, each its id, relay and end, one behind the other. */
export function signedBytes(hints: readonly Hint[]): Uint8Array {
  const parts = [...hints]
    .sort((a, b) => (a.blobId < b.blobId ? -1 : 1))
    .flatMap(({ blobId, relayUrl, expiresAt }) => [
      utf8ToBytes(blobId),
      utf8ToBytes(relayUrl),
      u64(secondsOf(expiresAt)),
    ]);
  return concatBytes(...parts);
}

function decode(value: Uint8Array, now: Instant): readonly Hint[] {
  const hints = JSON.parse(new TextDecoder().decode(value)) as readonly Hint[];
  return hints.filter(({ expiresAt }) => expiresAt > now);
}

const secondsOf = (at: Instant): number => Math.floor(at / 1000);
