import type { Clock } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import type { MailboxStore } from "#store/contract/mailbox-store.ts";
import { decodeBase64, encodeBase64 } from "#wire/base64.ts";
import { isHex64 } from "./hex64.ts";
import { keepRecord } from "./keep-record.ts";
import { type Members, stringMember, stringsMember } from "./members.ts";

const proofTtlMs = 90 * 86_400_000;
const maxProofBytes = 4096;
const maxQueryHashes = 50;
const refuse = (text: string) => new RelayError("bad_request", { text });

export interface Proof {
  readonly keyHash: string;
  readonly data: Uint8Array;
}

export function parseProof(members: Members): Proof {
  const keyHash = stringMember(members, "key_hash");
  const encoded = stringMember(members, "proof_data");
  if (!isHex64(keyHash)) throw refuse("key_hash must be 64 hex characters (32 bytes)");
  const data = decodeBase64(encoded);
  if (!data) throw refuse("invalid base64 in proof_data");
  if (data.byteLength > maxProofBytes) throw refuse(`proof_data exceeds ${maxProofBytes} byte limit`);
  return { keyHash: keyHash.toLowerCase(), data };
}

/** The hashes asked for, each once, lower case. */
export function parseQuery(members: Members): readonly string[] {
  const hashes = stringsMember(members, "key_hashes");
  if (hashes.length > maxQueryHashes) throw refuse(`too many key_hashes (max ${maxQueryHashes})`);
  if (!hashes.every(isHex64)) throw refuse("invalid key_hash");
  return [...new Set(hashes.map((hash) => hash.toLowerCase()))];
}

/** Proofs by which people vouch for somebody who lost a key: opaque, for 90 days, by the lost key's hash. */
export class Recovery {
  readonly #store: MailboxStore;
  readonly #clock: Clock;
  readonly #overwrite: boolean;
  #held = 0;

  constructor(store: MailboxStore, clock: Clock, overwrite: boolean) {
    this.#store = store;
    this.#clock = clock;
    this.#overwrite = overwrite;
    this.recount();
  }

  /** How many are held: counted by `recount`, and as they come since. */
  get held(): number {
    return this.#held;
  }

  recount(): void {
    this.#held = this.#store.listRecords("proof", this.#clock.now()).length;
  }

  async store({ keyHash, data }: Proof): Promise<void> {
    const now = this.#clock.now();
    const isNew = this.#store.getRecord("proof", keyHash, now) === undefined;
    const write = { value: data, expiresAt: now + proofTtlMs };
    const condition = this.#overwrite ? {} : { ifVersion: 0 };
    const outcome = await keepRecord(this.#store, "proof", keyHash, { ...write, ...condition }, now);
    if (outcome === "conflict" && !this.#holds(keyHash, data)) throw refuse("proof already stored");
    if (isNew && outcome === "stored") this.#held++;
  }

  query(keyHashes: readonly string[]): readonly Record<string, unknown>[] {
    const now = this.#clock.now();
    return keyHashes.flatMap((keyHash) => {
      const record = this.#store.getRecord("proof", keyHash, now);
      if (!record) return [];
      return [
        {
          key_hash: keyHash,
          proof_data: encodeBase64(record.value),
          created_at: record.createdAt,
          expires_at: record.createdAt + proofTtlMs / 1000,
        },
      ];
    });
  }

  #holds(keyHash: string, data: Uint8Array): boolean {
    const held = this.#store.getRecord("proof", keyHash, this.#clock.now())?.value;
    return held?.byteLength === data.byteLength && held.every((byte, at) => byte === data[at]);
  }
}
