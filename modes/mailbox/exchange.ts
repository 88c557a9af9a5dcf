import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import type { Clock, Entropy, Instant } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import type { MailboxStore, StoredRecord } from "#store/contract/mailbox-store.ts";
import { keepRecord } from "./keep-record.ts";

/** Bytes of UTF-8 that a payload or a response may have. */
export const exchangeMaxBytes = 65_536;
const shortestTtlSeconds = 30;
const longestTtlSeconds = 3600;
const codeTries = 100;
/** How long a finished exchange answers the same again to whoever has its secret. */
const repeatMs = 60_000;

export interface ExchangeLimits {
  readonly exchangeMaxOffers: number;
  readonly exchangeDefaultTtlMs: number;
}

export interface OfferRequest {
  readonly payload: string;
  readonly expiresSecs: number | undefined;
  /** 6, or 8 to 10 for a code that nobody guesses. */
  readonly codeDigits: number;
  /** Completing then takes the secret that the offer was answered with. */
  readonly withSecret: boolean;
}

interface Offer {
  readonly payload: string;
  readonly response?: string;
  /** Hash of the completion secret. */
  readonly secretHash?: string;
}

const refuse = (text: string) => new RelayError("bad_request", { text });
/** One text for a code that never was, one that expired and one whose secret is missing. */
const unknownCode = () => refuse("invalid or expired code");

/** Six digits, or eight to ten; byte for byte, so that no other script's digits pass. */
export function isCode(code: string): boolean {
  return /^(?:\d{6}|\d{8,10})$/.test(code) && code.length <= 10;
}

/** Was it a wrong code? Only these count as guesses. */
export function isWrongCode(error: unknown): boolean {
  return error instanceof RelayError && error.message === "invalid or expired code";
}

/**
 * Short codes by which two people who can talk to each other swap two opaque strings: an offer is open, then claimed,
 * then completed and gone. Offers are in the store and survive a restart; here is only which codes are taken.
 */
export class Exchange {
  readonly #limits: ExchangeLimits;
  readonly #store: MailboxStore;
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  /** When each code in use is free again. */
  readonly #codes = new Map<string, Instant>();

  constructor(limits: ExchangeLimits, store: MailboxStore, clock: Clock, entropy: Entropy) {
    this.#limits = limits;
    this.#store = store;
    this.#clock = clock;
    this.#entropy = entropy;
    for (const { key, expiresAt } of store.listRecords("offer", clock.now()))
      this.#codes.set(key, expiresAt!);
  }

  get open(): number {
    return this.#codes.size;
  }

  /** Resolves to the code under which the payload can be claimed. */
  async offer(request: OfferRequest): Promise<{ code: string; secret: string | undefined }> {
    const { payload, expiresSecs, codeDigits, withSecret } = request;
    assertSize(payload);
    if (expiresSecs !== undefined && (expiresSecs < shortestTtlSeconds || expiresSecs > longestTtlSeconds)) {
      throw refuse(`TTL must be between ${shortestTtlSeconds} and ${longestTtlSeconds} seconds`);
    }
    const ttlMs = expiresSecs === undefined ? this.#limits.exchangeDefaultTtlMs : expiresSecs * 1000;
    // Expired is strictly after its last moment.
    const expiresAt = this.#clock.now() + ttlMs + 1;
    this.#assertPlace(ttlMs);
    const code = this.#freeCode(codeDigits);
    if (code === undefined) throw refuse("too many offers");
    const secret = withSecret ? bytesToHex(this.#entropy.bytes(16)) : undefined;
    const offer: Offer = { payload, ...(secret ? { secretHash: hashOf(secret) } : {}) };
    // Taken before it is written: nobody else draws it meanwhile.
    this.#codes.set(code, expiresAt);
    const outcome = await this.#write(code, offer, expiresAt, 0).catch((error) => {
      this.#codes.delete(code);
      throw error;
    });
    if (outcome === "stored") return { code, secret };
    this.#codes.delete(code);
    throw refuse("too many offers");
  }

  /** Resolves to the offer's payload, and leaves the response for whoever completes. */
  async claim(code: string, response: string): Promise<string> {
    assertCode(code);
    assertSize(response);
    const found = this.#find(code);
    if (!found) throw unknownCode();
    if (found.offer.response !== undefined) throw refuse("already claimed");
    const claimed = { ...found.offer, response };
    const outcome = await this.#write(code, claimed, found.record.expiresAt!, found.record.version);
    // Somebody else was first, or the offer ended meanwhile.
    if (outcome === "conflict") throw this.#find(code) ? refuse("already claimed") : unknownCode();
    return found.offer.payload;
  }

  /** Resolves to the response, once; with a secret again for a minute, in case the answer was lost. */
  async complete(code: string, secret: string | undefined): Promise<string> {
    assertCode(code);
    // Hashed before anything is known, so that time does not tell a wrong secret from a wrong code.
    const givenHash = hashOf(secret ?? "");
    const found = this.#find(code);
    if (!found) throw unknownCode();
    const { offer, record } = found;
    if (offer.secretHash !== undefined && offer.secretHash !== givenHash) throw unknownCode();
    if (offer.response === undefined) throw refuse("not yet claimed");
    if (offer.secretHash === undefined) {
      if (!(await this.#store.removeRecord("offer", code, this.#clock.now(), record.version)))
        throw unknownCode();
      this.#codes.delete(code);
      return offer.response;
    }
    const until = Math.min(record.expiresAt!, this.#clock.now() + repeatMs);
    if (until < record.expiresAt!) {
      this.#codes.set(code, until);
      await this.#write(code, offer, until, record.version);
    }
    return offer.response;
  }

  /** Frees the codes of offers that ended. */
  sweep(): void {
    const now = this.#clock.now();
    for (const [code, expiresAt] of this.#codes) if (expiresAt <= now) this.#codes.delete(code);
  }

  #find(code: string): { offer: Offer; record: StoredRecord } | undefined {
    const record = this.#store.getRecord("offer", code, this.#clock.now());
    return record && { offer: JSON.parse(new TextDecoder().decode(record.value)) as Offer, record };
  }

  #write(code: string, offer: Offer, expiresAt: Instant, ifVersion: number) {
    const value = utf8ToBytes(JSON.stringify(offer));
    return keepRecord(this.#store, "offer", code, { value, expiresAt, ifVersion }, this.#clock.now());
  }

  /** Long offers may take half of the places: whoever hoards them cannot keep everybody else out. */
  #assertPlace(ttlMs: number): void {
    const { exchangeMaxOffers, exchangeDefaultTtlMs } = this.#limits;
    const places = ttlMs > exchangeDefaultTtlMs ? Math.ceil(exchangeMaxOffers / 2) : exchangeMaxOffers;
    if (this.#codes.size < places) return;
    this.sweep();
    if (this.#codes.size >= places) throw refuse("too many offers");
  }

  #freeCode(digits: number): string | undefined {
    const now = this.#clock.now();
    for (let tries = 0; tries < codeTries; tries++) {
      const code = this.#randomCode(digits);
      if ((this.#codes.get(code) ?? 0) <= now) return code;
    }
    return undefined;
  }

  /** Uniform: a draw beyond the last whole multiple is drawn again. */
  #randomCode(digits: number): string {
    const codes = 10 ** digits;
    const draws = 2 ** 48;
    for (;;) {
      const bytes = this.#entropy.bytes(6);
      const draw = bytes.reduce((value, byte) => value * 256 + byte, 0);
      if (draw < draws - (draws % codes)) return String(draw % codes).padStart(digits, "0");
    }
  }
}

function assertCode(code: string): void {
  if (!isCode(code)) throw refuse("code must be exactly 6 digits");
}

function assertSize(text: string): void {
  if (text.length > exchangeMaxBytes || utf8ToBytes(text).byteLength > exchangeMaxBytes) {
    throw refuse("payload too large");
  }
}

function hashOf(secret: string): string {
  return bytesToHex(sha256(utf8ToBytes(secret)));
}
