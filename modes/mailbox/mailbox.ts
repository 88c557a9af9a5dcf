import type { Cancel, Clock, Entropy } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import type { ValuesOf } from "#core/options.ts";
import { isMailboxName, type MailboxStore } from "#store/contract/mailbox-store.ts";
import { decodeBase64, encodeBase64 } from "#wire/base64.ts";
import { Arrivals } from "./arrivals.ts";
import { newBlobId } from "./blob-id.ts";
import { bucketOfCaller, type Caller } from "./caller.ts";
import { Cursors } from "./cursor.ts";
import { Escrow } from "./escrow.ts";
import { Exchange, isCode, isWrongCode } from "./exchange.ts";
import type { Hints } from "./federation/hints.ts";
import { Guardians, parseGuardianHash } from "./guardians.ts";
import { isHex64 } from "./hex64.ts";
import { Idempotency } from "./idempotency.ts";
import { Limiter } from "./limiter.ts";
import { type Members, optionalString, optionalUnsigned, stringMember, stringsMember } from "./members.ts";
import type { mailboxOptions } from "./options.ts";
import { type Page, pageOf } from "./page.ts";
import { verifyPurge } from "./purge.ts";
import { parseProof, parseQuery, Recovery } from "./recovery.ts";
import { Traffic } from "./traffic.ts";
import { judgeVersion, type VersionVerdict, versionPolicyOf } from "./version-policy.ts";

export type MailboxConfig = ValuesOf<typeof mailboxOptions>;
/** What an endpoint answers with 200. */
export type Answer = Readonly<Record<string, unknown>>;
type Action = (members: Members, caller: Caller) => Answer | Promise<Answer>;

const maxFetchTokens = 100;
const maxRegisterTokens = 1900;
const refuse = (text: string) => new RelayError("bad_request", { text });

/** Everything that happened, in numbers alone. */
export interface MailboxCounts {
  readonly created: number;
  readonly delivered: number;
  readonly expired: number;
  readonly rateLimited: number;
  readonly proofs: number;
}

/**
 * The mailbox mode: sealed blobs that wait for their owner, and what the same clients need beside them. Each action
 * takes the members of a JSON object and gives those of the answer; how they came is the bindings' business.
 */
export class Mailbox {
  readonly config: MailboxConfig;
  readonly traffic: Traffic;
  readonly #store: MailboxStore;
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly #arrivals: Arrivals;
  readonly #cursors: Cursors;
  readonly #exchange: Exchange;
  readonly #escrow: Escrow;
  readonly #recovery: Recovery;
  readonly #guardians: Guardians;
  readonly #idempotency: Idempotency;
  /** Where messages went that a peer has now; undefined without federation. */
  readonly #hints: Hints | undefined;
  /** By mailbox and what is done with it: senders, readers and purgers do not share. */
  readonly #main: Limiter;
  readonly #perSource: Limiter | undefined;
  readonly #queries: Limiter;
  /** What many share whose address is unknown or does not matter: offers, guesses, escrow and queries, each apart. */
  readonly #shared: Limiter;
  readonly #guesses: Limiter;
  #versionChangedAt = 0;
  #created = 0;
  #delivered = 0;
  #expired = 0;
  #proofs = 0;

  readonly #actions: Readonly<Record<string, Action>>;

  private constructor(
    config: MailboxConfig,
    store: MailboxStore,
    clock: Clock,
    entropy: Entropy,
    hints: Hints | undefined,
  ) {
    this.config = config;
    this.#hints = hints;
    this.traffic = new Traffic(clock);
    this.#store = store;
    this.#clock = clock;
    this.#entropy = entropy;
    this.#arrivals = new Arrivals(clock, config.maxFetchWaiters);
    this.#cursors = new Cursors(entropy);
    this.#exchange = new Exchange(config, store, clock, entropy);
    this.#escrow = new Escrow(clock, config.escrowMaxBytes);
    this.#recovery = new Recovery(store, clock, config.recoveryOverwrite);
    this.#idempotency = new Idempotency(store, clock);
    this.#guardians = new Guardians(store, clock, config.guardians === "open");
    this.#main = new Limiter(config.mailboxRateLimit, clock);
    const perSource = config.mailboxClientRateLimit;
    this.#perSource = perSource === 0 ? undefined : new Limiter(perSource, clock);
    this.#queries = new Limiter(config.recoveryRateLimit, clock);
    this.#shared = new Limiter(config.ohttpExchangeRateLimit, clock);
    this.#guesses = new Limiter(config.exchangeGuessLimit, clock);
    const guardianActions: Record<string, Action> = {
      guardian_store: (members, caller) => this.#guardianStore(members, caller),
      guardian_query: (members, caller) => this.#guardianQuery(members, caller),
      guardian_delete: (members, caller) => this.#guardianDelete(members, caller),
    };
    this.#actions = {
      send: (members) => this.#send(members),
      fetch: (members, caller) => this.#fetch(members, caller),
      ack: (members, caller) => this.#ack(members, caller),
      register: (members) => this.#register(members),
      purge: (members, caller) => this.#purge(members, caller),
      exchange_offer: (members, caller) => this.#offer(members, caller),
      exchange_claim: (members, caller) => this.#claim(members, caller),
      exchange_complete: (members, caller) => this.#complete(members, caller),
      recovery_store: (members, caller) => this.#recoveryStore(members, caller),
      recovery_query: (members, caller) => this.#recoveryQuery(members, caller),
      ...(config.guardians === "off" ? {} : guardianActions),
    };
  }

  /** Reads what earlier runs left in the store. */
  static async open(
    config: MailboxConfig,
    store: MailboxStore,
    clock: Clock,
    entropy: Entropy,
    hints?: Hints,
  ): Promise<Mailbox> {
    const mailbox = new Mailbox(config, store, clock, entropy, hints);
    await mailbox.#loadVersionPolicy();
    return mailbox;
  }

  /** The names of the actions that have an endpoint. */
  get actions(): readonly string[] {
    return Object.keys(this.#actions);
  }

  /**
   * Does one action. Throws `ShapeError` for members that are missing or mistyped, and `RelayError`.
   * `escrow` exists behind OHTTP only.
   */
  async perform(action: string, members: Members, caller: Caller): Promise<Answer> {
    if (action === "escrow" && caller.oblivious) return this.#putInEscrow(members);
    const perform = Object.hasOwn(this.#actions, action) ? this.#actions[action] : undefined;
    if (!perform) throw new TypeError("no such action");
    return perform(members, caller);
  }

  has(action: string): boolean {
    return action === "escrow" || Object.hasOwn(this.#actions, action);
  }

  /** One request more from a client whose address is known. Throws `rate_limited`. */
  admit(caller: Caller): void {
    if (caller.source !== undefined && !caller.oblivious) this.#perSource?.take(caller.source);
  }

  judgeVersion(version: number): VersionVerdict {
    return judgeVersion(versionPolicyOf(this.config), this.#versionChangedAt, version, this.#clock.now());
  }

  /** Waits as long as the operator wants sends and fetches to be blurred. */
  async jitter(): Promise<void> {
    const { deliveryJitterMinMs: least, deliveryJitterMaxMs: most } = this.config;
    if (most === 0) return;
    const draw = new DataView(this.#entropy.bytes(4).buffer).getUint32(0) / 2 ** 32;
    await new Promise<void>((resolve) =>
      this.#clock.after(least + draw * Math.max(0, most - least), resolve),
    );
  }

  /** Drops what expired, again and again, until the returned function is called. */
  sweepRegularly(report: (error: unknown) => void): Cancel {
    let cancel: Cancel;
    const arm = () => {
      cancel = this.#clock.after(this.config.cleanupIntervalMs, () => {
        arm();
        this.sweep().catch(report);
      });
    };
    arm();
    return () => cancel();
  }

  async sweep(): Promise<void> {
    this.#exchange.sweep();
    this.#escrow.sweep();
    const { blobs } = await this.#store.sweep(this.#clock.now());
    this.#expired += blobs;
    this.#recovery.recount();
    this.#hints?.recount();
  }

  /** Wakes fetches that wait for a message in this mailbox: one came by another way than a send. */
  announce(mailbox: string): void {
    this.#arrivals.announce(mailbox);
  }

  /** Answers every fetch that waits; no fetch waits any more. */
  drain(): void {
    this.#arrivals.drain();
  }

  get waiters(): number {
    return this.#arrivals.waiters;
  }

  /** Recovery proofs, those that expired since the last sweep included. */
  get proofsHeld(): number {
    return this.#recovery.held;
  }

  get openOffers(): number {
    return this.#exchange.open;
  }

  counts(): MailboxCounts {
    const limiters = [this.#main, this.#perSource, this.#queries, this.#shared, this.#guesses];
    return {
      created: this.#created,
      delivered: this.#delivered,
      expired: this.#expired,
      rateLimited: limiters.reduce((sum, limiter) => sum + (limiter?.refused ?? 0), 0),
      proofs: this.#proofs,
    };
  }

  async #send(members: Members): Promise<Answer> {
    const recipient = stringMember(members, "recipient_id");
    const ciphertext = stringMember(members, "ciphertext");
    if (!isHex64(recipient)) throw refuse("recipient_id must be 64 hex characters");
    const mailbox = recipient.toLowerCase();
    // Checked before it is charged: a bucket is never named by what a remote made up.
    this.#main.take(`send ${mailbox}`);
    const data = decodeBase64(ciphertext);
    if (!data) throw refuse("ciphertext must be valid base64");
    if (data.byteLength > this.config.maxMessageSizeBytes) {
      throw new RelayError("body_too_large", { text: "ciphertext is too large" });
    }
    const name = optionalString(members, "idempotency_key");
    const store = () => this.#keep(mailbox, data);
    const blobId = await (name === undefined ? store() : this.#idempotency.once(name, mailbox, data, store));
    await this.jitter();
    return { status: "ok", blob_id: blobId };
  }

  async #keep(mailbox: string, data: Uint8Array): Promise<string> {
    const blobId = newBlobId(this.#entropy);
    const outcome = await this.#store.put(mailbox, blobId, data, this.#clock.now());
    if (outcome === "mailbox-full") throw new RelayError("quota_exceeded", { retryAfterSeconds: 10 });
    if (outcome === "storage-full") throw new RelayError("storage_quota_exceeded", { retryAfterSeconds: 10 });
    this.#created++;
    this.#arrivals.announce(mailbox);
    return blobId;
  }

  async #fetch(members: Members, caller: Caller): Promise<Answer> {
    const tokens = stringsMember(members, "mailbox_tokens");
    if (tokens.length < 1 || tokens.length > maxFetchTokens) {
      throw refuse(`mailbox_tokens must contain 1-${maxFetchTokens} entries`);
    }
    const after = this.#cursors.open(optionalString(members, "after") ?? "");
    /** Canonical names, and each as its caller spells it. */
    const spelling = new Map(tokens.map((token) => [token.toLowerCase(), token]));
    const mailboxes = [...spelling.keys()].filter(isMailboxName);
    const waitSeconds = optionalUnsigned(members, "wait") ?? 0;
    const waitMs = Math.min(Math.max(caller.waitMs, waitSeconds * 1000), this.config.fetchWaitMs);
    const named = mailboxes[0] ?? "";
    this.#takeAsReader(caller, `fetch ${named}`);
    const look = () => this.#page(mailboxes, after, caller.oblivious);
    const page = waitMs === 0 ? look() : await this.#arrivals.waitFor(mailboxes, waitMs, caller.signal, look);
    await this.jitter();
    return this.#fetched(page ?? { heads: [], oversized: [], truncated: false }, spelling);
  }

  /** Undefined where nothing waits. */
  #page(mailboxes: readonly string[], after: number, oblivious: boolean): Page | undefined {
    const list = (limit: number) => this.#store.list(mailboxes, after, limit, this.#clock.now());
    return pageOf(list, oblivious);
  }

  #fetched({ heads, oversized, truncated }: Page, spelling: ReadonlyMap<string, string>): Answer {
    const bodies = this.#store.read(heads.map(({ position }) => position));
    // One that was acknowledged since it was listed is left out.
    const blobs = heads.flatMap(({ blobId, mailbox, createdAt }, at) => {
      const data = bodies[at];
      if (!data) return [];
      return [
        {
          blob_id: blobId,
          ciphertext: encodeBase64(data),
          created_at: createdAt,
          mailbox_token: spelling.get(mailbox),
        },
      ];
    });
    this.#delivered += blobs.length;
    const last = heads.at(-1);
    const forwarding = this.#hints?.answerFor([...spelling.keys()]);
    return {
      status: "ok",
      truncated,
      blobs,
      ...(forwarding ? { forwarding_hints: forwarding } : {}),
      ...(truncated && last ? { cursor: this.#cursors.seal(last.position) } : {}),
      ...(oversized.length > 0
        ? {
            oversized: oversized.map(({ blobId, mailbox, size, createdAt }) => ({
              blob_id: blobId,
              mailbox_token: spelling.get(mailbox),
              size,
              created_at: createdAt,
            })),
          }
        : {}),
    };
  }

  async #ack(members: Members, caller: Caller): Promise<Answer> {
    const mailbox = stringMember(members, "recipient_id").toLowerCase();
    const blobId = stringMember(members, "blob_id");
    this.#takeAsReader(caller, `ack ${isMailboxName(mailbox) ? mailbox : ""}`);
    const where = this.config.ackMatch === "id" ? undefined : mailbox;
    const acknowledged = await this.#store.remove(where, blobId, this.#clock.now());
    return { status: "ok", acknowledged };
  }

  #register(members: Members): Answer {
    const tokens = stringsMember(members, "mailbox_tokens");
    if (tokens.length > maxRegisterTokens) {
      throw refuse(`too many mailbox_tokens: ${tokens.length} (max ${maxRegisterTokens})`);
    }
    const wrong = tokens.findIndex((token) => !isHex64(token));
    if (wrong >= 0) throw refuse(`mailbox_tokens[${wrong}] must be 64 hex characters`);
    return { status: "ok", accepted: tokens.length, registered: tokens.length };
  }

  async #purge(members: Members, caller: Caller): Promise<Answer> {
    const now = this.#clock.now();
    const request = await verifyPurge(members, this.config.purgeBinding, now);
    const replayed = () => new RelayError("unauthorized", { text: "purge token replay detected" });
    if (this.#store.getRecord("spent", request.purgeToken, now)) throw replayed();
    // After verification: forgeries cannot spend the owner's budget.
    this.#takeOf(caller, `purge ${isMailboxName(request.mailbox) ? request.mailbox : ""}`);
    const { mailbox, purgeToken, replayableUntil } = request;
    const deleted = await this.#store.purge(mailbox, purgeToken, replayableUntil, now);
    if (deleted === undefined) throw replayed();
    await this.#hints?.drop(mailbox);
    return { status: "ok", blobs_deleted: deleted };
  }

  /** Takes one request of a kind. Whoever sits at a known address has a bucket of their own, and cannot spend the owner's. */
  #takeOf(caller: Caller, kind: string): void {
    this.#main.take(`${kind} ${caller.oblivious ? "" : (caller.source ?? "")}`);
  }

  /**
   * As `#takeOf`, and nothing behind OHTTP: whoever knows a mailbox's name could keep its owner from reading that way, and
   * whoever changes names is not held back by a limit for each.
   */
  #takeAsReader(caller: Caller, kind: string): void {
    if (!caller.oblivious) this.#takeOf(caller, kind);
  }

  async #offer(members: Members, caller: Caller): Promise<Answer> {
    const payload = stringMember(members, "payload");
    const expiresSecs = optionalUnsigned(members, "expires_secs");
    const codeDigits = optionalUnsigned(members, "code_digits") ?? 6;
    if (!isCode("0".repeat(Math.min(codeDigits, 16)))) throw refuse("code_digits must be 6, 8, 9 or 10");
    if (caller.oblivious) this.#shared.take("offer");
    else this.#main.take(`exchange offer ${caller.source ?? ""}`);
    const withSecret = members.completion_secret === true;
    const { code, secret } = await this.#exchange.offer({ payload, expiresSecs, codeDigits, withSecret });
    return { status: "ok", code, ...(secret ? { completion_secret: secret } : {}) };
  }

  async #claim(members: Members, caller: Caller): Promise<Answer> {
    const code = stringMember(members, "code");
    const response = stringMember(members, "response");
    return this.#guarded(code, caller, async () => ({
      status: "ok",
      payload: await this.#exchange.claim(code, response),
    }));
  }

  async #complete(members: Members, caller: Caller): Promise<Answer> {
    const code = stringMember(members, "code");
    const secret = optionalString(members, "completion_secret");
    return this.#guarded(code, caller, async () => ({
      status: "ok",
      response: await this.#exchange.complete(code, secret),
    }));
  }

  /**
   * Charges wrong codes to whoever tries them, and refuses before looking once that is spent: a guess beyond the
   * budget learns nothing. Right codes cost nobody else anything.
   */
  async #guarded(code: string, caller: Caller, attempt: () => Promise<Answer>): Promise<Answer> {
    if (isCode(code)) this.#main.take(`exchange ${code}`);
    const budgets = this.#guessBudgets(code, caller);
    for (const [limiter, key] of budgets) limiter.check(key);
    try {
      return await attempt();
    } catch (error) {
      if (isWrongCode(error)) for (const [limiter, key] of budgets) limiter.charge(key);
      throw error;
    }
  }

  /**
   * A share for each address, and a bound on all of them together: many addresses must not buy many guesses
   * (`docs/decisions/0012-exchange-guesses.md`). Long codes are apart: who guesses at short ones does not stop them.
   */
  #guessBudgets(code: string, caller: Caller): readonly (readonly [Limiter, string])[] {
    const length = code.length > 6 ? "long" : "short";
    const key = `${length} ${bucketOfCaller(caller)}`;
    if (caller.oblivious) return [[this.#shared, key]];
    if (caller.source === undefined) return [[this.#main, key]];
    return [
      [this.#guesses, key],
      [this.#shared, `${length} direct`],
    ];
  }

  #putInEscrow(members: Members): Answer {
    this.#shared.take("escrow");
    return this.#escrow.perform(members);
  }

  async #recoveryStore(members: Members, caller: Caller): Promise<Answer> {
    const proof = parseProof(members);
    this.#takeOf(caller, `recovery ${proof.keyHash}`);
    await this.#recovery.store(proof);
    this.#proofs++;
    return { status: "ok" };
  }

  #recoveryQuery(members: Members, caller: Caller): Answer {
    const hashes = parseQuery(members);
    if (caller.oblivious) {
      this.#shared.take("recovery");
      for (const hash of hashes) this.#queries.take(`hash ${hash}`);
    } else this.#queries.take(`source ${caller.source ?? ""}`);
    return { status: "ok", proofs: this.#recovery.query(hashes) };
  }

  async #guardianStore(members: Members, caller: Caller): Promise<Answer> {
    const hash = parseGuardianHash(members);
    this.#takeOf(caller, `guardian ${hash}`);
    await this.#guardians.replace(hash, members);
    return { status: "ok" };
  }

  #guardianQuery(members: Members, caller: Caller): Answer {
    const hash = parseGuardianHash(members);
    this.#takeOf(caller, `guardian query ${hash}`);
    return { status: "ok", guardians: this.#guardians.query(hash) };
  }

  async #guardianDelete(members: Members, caller: Caller): Promise<Answer> {
    const hash = parseGuardianHash(members);
    this.#takeOf(caller, `guardian delete ${hash}`);
    return { status: "ok", deleted: await this.#guardians.remove(hash, members) };
  }

  /** The grace period starts anew each time the oldest version is raised; the store remembers when that was. */
  async #loadVersionPolicy(): Promise<void> {
    const now = this.#clock.now();
    const { min } = versionPolicyOf(this.config);
    const record = this.#store.getRecord("setting", "min_version", now);
    const known =
      record && (JSON.parse(new TextDecoder().decode(record.value)) as { min: number; at: number });
    this.#versionChangedAt = known && known.min >= min ? known.at : now;
    if (known?.min === min) return;
    const value = new TextEncoder().encode(JSON.stringify({ min, at: this.#versionChangedAt }));
    await this.#store.putRecord("setting", "min_version", { value, expiresAt: undefined }, now);
  }
}
