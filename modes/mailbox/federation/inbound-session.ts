import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { isMailboxName } from "#store/contract/mailbox-store.ts";
import type { PeerMessage } from "#wire/federation/message.ts";
import type { PeerLink, PeerSession } from "#wire/federation/peer-link.ts";
import { bucketOf, unpad } from "#wire/mailbox/padding.ts";
import type { Limiter } from "../limiter.ts";
import type { FederationContext } from "./context.ts";
import { Silence } from "./silence.ts";

type OffloadBlob = PeerMessage & { readonly type: "OffloadBlob" };

/** How long a message that was taken is known again, should its sender not have heard of it. */
const knownMs = 7 * 86_400_000;

/** A relay that called us: it may give us messages. What it says of itself is believed and changes nothing else. */
export class InboundSession implements PeerSession {
  readonly #context: FederationContext;
  readonly #link: PeerLink;
  readonly #silence: Silence;
  readonly #limiter: Limiter;
  readonly #onLost: () => void;
  #relayId: string | undefined;

  constructor(context: FederationContext, link: PeerLink, limiter: Limiter, onLost: () => void) {
    this.#context = context;
    this.#link = link;
    this.#limiter = limiter;
    this.#onLost = onLost;
    const { clock, config } = context;
    this.#silence = new Silence(clock, config.federationPeerTimeoutMs, () => link.close());
  }

  get isEstablished(): boolean {
    return this.#relayId !== undefined;
  }

  heard(): void {
    // Until it greeted, only its greeting counts.
    if (this.isEstablished) this.#silence.heard();
  }

  lost(): void {
    this.#silence.stop();
    this.#onLost();
  }

  async receive(frame: Uint8Array): Promise<void> {
    this.heard();
    const message = this.#context.decode(frame);
    if (this.#relayId === undefined) return this.#greet(message);
    try {
      this.#limiter.take(this.#relayId);
    } catch {
      this.#context.counts.rateLimited++;
      // Told, and not passed over in silence: the original waits for this answer for ever.
      if (message?.type === "OffloadBlob") this.#answer(message, "rate limited");
      return;
    }
    if (message?.type === "DrainNotice") {
      this.#context.counts.drainNotices++;
      this.tell({ type: "DrainAck" });
    }
    if (message?.type !== "OffloadBlob") return;
    let refusal: string | undefined;
    try {
      refusal = await this.#take(message, this.#relayId);
    } catch (error) {
      this.#context.report(error);
      refusal = "storage unavailable";
    }
    this.#answer(message, refusal);
  }

  tell(message: PeerMessage): void {
    this.#link.send(this.#context.encode(message));
  }

  #greet(message: PeerMessage | undefined): void {
    const { config, identity } = this.#context;
    if (message?.type !== "PeerHandshake") {
      this.#link.close();
      return;
    }
    const allowed = config.federationAllow;
    const accepted = message.version === 1 && (allowed.length === 0 || allowed.includes(message.relay_id));
    const { used, max } = accepted ? this.#context.capacity() : { used: 0, max: 0 };
    this.tell({
      type: "PeerHandshakeAck",
      relay_id: identity.relayId,
      version: 1,
      accepted,
      capacity_used_bytes: used,
      capacity_max_bytes: max,
    });
    if (!accepted) {
      this.#link.close();
      return;
    }
    this.#relayId = message.relay_id;
    this.#silence.allow(2 * config.federationPeerTimeoutMs);
  }

  #answer({ blob_id }: OffloadBlob, refusal: string | undefined): void {
    const { counts } = this.#context;
    if (refusal === undefined) counts.received++;
    else counts.rejected++;
    this.tell({ type: "OffloadAck", blob_id, accepted: refusal === undefined, reason: refusal ?? null });
  }

  /** Why the message is not taken; undefined where it is, now or before. */
  async #take(message: OffloadBlob, relayId: string): Promise<string | undefined> {
    const { store, clock, config } = this.#context;
    if (message.hop_count >= 1) return "hop_count too high";
    const hash = bytesToHex(sha256(message.data));
    if (message.integrity_hash !== hash) return "integrity check failed";
    const mailbox = message.routing_id.toLowerCase();
    if (!isMailboxName(mailbox)) return "routing_id must be 64 hex characters";
    const now = clock.now();
    // A sender that did not hear our answer sends again: the message is here once all the same.
    const known = `offload ${bytesToHex(sha256(new TextEncoder().encode(`${relayId}\n${message.blob_id}\n${hash}`)))}`;
    if (store.getRecord("spent", known, now)) return undefined;
    const { used, max } = this.#context.capacity();
    if (used >= max * config.federationOffloadRefuse) return "at capacity";
    const seconds = Math.floor(now / 1000);
    const oldest = Math.ceil((now - config.blobTtlMs) / 1000);
    const createdAt = Math.min(Math.max(message.created_at_secs, oldest), seconds);
    const outcome = await this.#context.keep(mailbox, unpadded(message.data), createdAt);
    if (outcome === "mailbox-full") return "quota exceeded for recipient";
    if (outcome === "storage-full") return "at capacity";
    const write = { value: new Uint8Array(), expiresAt: now + knownMs };
    await store.putRecord("spent", known, write, now);
    return undefined;
  }
}

/** Peers pad; early ones did not. Only what is padded to the smallest size that holds it is taken for padded. */
function unpadded(data: Uint8Array): Uint8Array {
  const inner = unpad(data);
  return inner && bucketOf(inner.byteLength) === data.byteLength ? inner : data;
}
