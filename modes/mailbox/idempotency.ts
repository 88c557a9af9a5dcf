import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import type { Clock } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import type { MailboxStore } from "#store/contract/mailbox-store.ts";

const keptMs = 600_000;
const keyMaxLength = 255;

/** Sends that were named by their sender: repeated within ten minutes, each is done once. */
export class Idempotency {
  readonly #store: MailboxStore;
  readonly #clock: Clock;
  readonly #underWay = new Map<string, Promise<string>>();

  constructor(store: MailboxStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** What `send` resolved to when it was done under this name before, for this mailbox and these bytes; else does it. */
  async once(name: string, mailbox: string, data: Uint8Array, send: () => Promise<string>): Promise<string> {
    if (name.length > keyMaxLength)
      throw new RelayError("bad_request", { text: "idempotency key is too long" });
    // The bytes belong to it: under one name, another message is another message and not lost.
    const key = `send ${bytesToHex(sha256(utf8ToBytes(`${mailbox} ${bytesToHex(sha256(data))} ${name}`)))}`;
    const known = this.#store.getRecord("spent", key, this.#clock.now());
    if (known) return new TextDecoder().decode(known.value);
    let doing = this.#underWay.get(key);
    if (!doing) {
      doing = this.#do(key, send).finally(() => this.#underWay.delete(key));
      this.#underWay.set(key, doing);
    }
    return doing;
  }

  /** First the message, then the note: a crash in between may repeat a message, and loses none. */
  async #do(key: string, send: () => Promise<string>): Promise<string> {
    const blobId = await send();
    const now = this.#clock.now();
    await this.#store.putRecord("spent", key, { value: utf8ToBytes(blobId), expiresAt: now + keptMs }, now);
    return blobId;
  }
}
