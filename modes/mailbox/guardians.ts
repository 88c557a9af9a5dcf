import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { concatBytes } from "#core/bytes.ts";
import type { Clock } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import type { MailboxStore } from "#store/contract/mailbox-store.ts";
import { decodeBase64 } from "#wire/base64.ts";
import { isHex64 } from "./hex64.ts";
import { keepRecord } from "./keep-record.ts";
import { type Members, ShapeError, stringMember, unsignedMember } from "./members.ts";
import { isSignedBy, isTimely, signedWindowMs, u64 } from "./signature.ts";

const setTtlMs = 365 * 86_400_000;
const maxEntries = 10;
const maxEntryBytes = 256;
const maxSetBytes = 2048;
const refuse = (text: string) => new RelayError("bad_request", { text });
const unsigned = () => new RelayError("unauthorized", { text: "invalid guardian signature" });

/** The name under which the owner of a key keeps a guardian set. */
export function guardianHashOf(designator: Uint8Array): string {
  return bytesToHex(sha256(concatBytes(designator, utf8ToBytes("guardians"))));
}

export function parseGuardianHash(members: Members): string {
  const hash = stringMember(members, "guardian_hash");
  if (!isHex64(hash)) throw refuse("guardian_hash must be 64 hex characters");
  return hash.toLowerCase();
}

/** Sets of opaque entries, each replaced whole; changed by the owner of the key that names them. */
export class Guardians {
  readonly #store: MailboxStore;
  readonly #clock: Clock;
  readonly #open: boolean;

  /** `open` also takes changes that nobody signed, as early clients send them. */
  constructor(store: MailboxStore, clock: Clock, open: boolean) {
    this.#store = store;
    this.#clock = clock;
    this.#open = open;
  }

  async replace(hash: string, members: Members): Promise<void> {
    const entries = parseEntries(members);
    await this.#authorize("guardian-store", hash, members);
    const now = this.#clock.now();
    const value = utf8ToBytes(JSON.stringify(entries));
    await keepRecord(this.#store, "guardians", hash, { value, expiresAt: now + setTtlMs }, now);
  }

  query(hash: string): readonly { data: string }[] {
    const record = this.#store.getRecord("guardians", hash, this.#clock.now());
    if (!record) return [];
    return (JSON.parse(new TextDecoder().decode(record.value)) as string[]).map((data) => ({ data }));
  }

  async remove(hash: string, members: Members): Promise<boolean> {
    await this.#authorize("guardian-delete", hash, members);
    return this.#store.removeRecord("guardians", hash, this.#clock.now());
  }

  /** The signature is its own replay nonce: it covers a time, and is good once. */
  async #authorize(domain: string, hash: string, members: Members): Promise<void> {
    if (this.#open && members.signature === undefined) return;
    const key = hexMember(members, "designator_pk", 32);
    const signature = hexMember(members, "signature", 64);
    const timestamp = unsignedMember(members, "timestamp");
    const now = this.#clock.now();
    const message = concatBytes(utf8ToBytes(domain), key, hexToBytes(hash), u64(timestamp));
    if (!isTimely(timestamp, now) || guardianHashOf(key) !== hash) throw unsigned();
    if (!(await isSignedBy(key, signature, message))) throw unsigned();
    const expiresAt = timestamp * 1000 + signedWindowMs + 1000;
    const write = { value: new Uint8Array(), expiresAt, ifVersion: 0 };
    const spent = await this.#store.putRecord("spent", `guardian ${bytesToHex(signature)}`, write, now);
    if (spent !== "stored") throw unsigned();
  }
}

function parseEntries(members: Members): readonly string[] {
  const { entries } = members;
  if (!Array.isArray(entries)) throw new ShapeError("`entries` must be a list");
  if (entries.length > maxEntries) throw refuse(`too many entries (max ${maxEntries})`);
  let total = 0;
  return entries.map((entry: unknown) => {
    if (typeof entry !== "object" || entry === null) throw new ShapeError("`entries` must hold objects");
    const encoded = stringMember(entry as Members, "data");
    const bytes = decodeBase64(encoded);
    if (!bytes) throw refuse("invalid base64 in entries");
    total += bytes.byteLength;
    if (bytes.byteLength > maxEntryBytes || total > maxSetBytes) throw refuse("entries are too large");
    return encoded;
  });
}

function hexMember(members: Members, name: string, length: number): Uint8Array {
  const text = stringMember(members, name);
  if (text.length !== 2 * length || !/^[0-9a-fA-F]*$/.test(text)) throw unsigned();
  return hexToBytes(text);
}
