import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { PeerMessage } from "#wire/federation/message.ts";
import type { PeerLink, PeerSession } from "#wire/federation/peer-link.ts";
import type { FederationContext } from "./context.ts";
import { Silence } from "./silence.ts";

/** What became of a message that was offered: `lost` says that nobody knows. */
export type Offered = "accepted" | "refused" | "lost" | "too-large";

export interface OfferedBlob {
  readonly blobId: string;
  readonly mailbox: string;
  readonly createdAt: number;
  readonly data: Uint8Array;
}

/** What a WebSocket message of the original may have beyond the largest message. */
const frameSpareBytes = 256;

/** A relay that we called: we may give it messages. */
export class OutboundSession implements PeerSession {
  readonly url: string;
  readonly #context: FederationContext;
  readonly #link: PeerLink;
  readonly #silence: Silence;
  readonly #onLost: () => void;
  readonly #offered = new Map<string, (outcome: Offered) => void>();
  #used = 0;
  #max = 0;
  #established = false;
  #draining = false;

  constructor(context: FederationContext, url: string, link: PeerLink, onLost: () => void) {
    this.url = url;
    this.#context = context;
    this.#link = link;
    this.#onLost = onLost;
    const { clock, config, identity } = context;
    this.#silence = new Silence(clock, config.federationPeerTimeoutMs, () => link.close());
    this.tell({ type: "PeerHandshake", relay_id: identity.relayId, version: 1, listen_addr: "" });
  }

  get isEstablished(): boolean {
    return this.#established;
  }

  /** How full it is, 0 to 1, as far as it is known. */
  get fill(): number {
    return this.#max === 0 ? 1 : this.#used / this.#max;
  }

  /** May it be given messages? */
  get takes(): boolean {
    return this.#established && !this.#draining && this.fill < this.#context.config.federationOffloadRefuse;
  }

  heard(): void {
    if (this.#established) this.#silence.heard();
  }

  lost(): void {
    this.#silence.stop();
    for (const settle of this.#offered.values()) settle("lost");
    this.#offered.clear();
    this.#established = false;
    this.#onLost();
  }

  async receive(frame: Uint8Array): Promise<void> {
    this.heard();
    const message = this.#context.decode(frame);
    if (!this.#established) return this.#greeted(message);
    if (message?.type === "OffloadAck") {
      this.#offered.get(message.blob_id)?.(message.accepted ? "accepted" : "refused");
      this.#offered.delete(message.blob_id);
    } else if (message?.type === "CapacityReport") {
      this.#used = message.used_bytes;
      this.#max = message.max_bytes;
    } else if (message?.type === "DrainNotice") {
      this.#context.counts.drainNotices++;
      this.#draining = true;
      this.tell({ type: "DrainAck" });
    }
  }

  tell(message: PeerMessage): void {
    this.#link.send(this.#context.encode(message));
  }

  /** Resolves when the peer answered, or will not any more. */
  async offer({ blobId, mailbox, createdAt, data }: OfferedBlob): Promise<Offered> {
    const { config, clock, counts } = this.#context;
    const padded = this.#context.pad(data);
    const frame = this.#context.encode({
      type: "OffloadBlob",
      blob_id: blobId,
      routing_id: mailbox,
      data: padded,
      created_at_secs: createdAt,
      integrity_hash: bytesToHex(sha256(padded)),
      hop_count: 0,
    });
    // A peer as we are configured takes no larger one; it would drop the connection.
    if (frame.byteLength > config.maxMessageSizeBytes + frameSpareBytes) {
      counts.tooLarge++;
      return "too-large";
    }
    return await new Promise((resolve) => {
      const cancel = clock.after(config.federationAckTimeoutMs, () => {
        this.#offered.delete(blobId);
        resolve("lost");
      });
      this.#offered.set(blobId, (outcome) => {
        cancel();
        if (outcome === "accepted") {
          counts.sent++;
          this.#used += data.byteLength;
        }
        resolve(outcome);
      });
      this.#link.send(frame);
    });
  }

  #greeted(message: PeerMessage | undefined): void {
    const { identity, config } = this.#context;
    // Our own id says that we called ourselves, by whatever name.
    const isPeer =
      message?.type === "PeerHandshakeAck" && message.accepted && message.relay_id !== identity.relayId;
    if (!isPeer) {
      this.#link.close();
      return;
    }
    this.#established = true;
    this.#used = message.capacity_used_bytes;
    this.#max = message.capacity_max_bytes;
    this.#silence.allow(4 * config.federationPeerTimeoutMs);
  }
}
