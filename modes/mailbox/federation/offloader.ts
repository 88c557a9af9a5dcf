import type { BlobHead } from "#store/contract/mailbox-store.ts";
import { isReceivedBlobId } from "../blob-id.ts";
import type { FederationContext } from "./context.ts";
import type { Hints } from "./hints.ts";
import type { OutboundSession } from "./outbound-session.ts";

/** Messages that one peer is offered at once. */
const batchBlobs = 10;
/** Messages looked at to find a batch of our own. */
const lookBlobs = 500;

/** Gives the oldest messages to peers while this relay is too full. */
export class Offloader {
  readonly #context: FederationContext;
  readonly #hints: Hints;
  readonly #peers: () => Iterable<OutboundSession>;
  #running = false;

  constructor(context: FederationContext, hints: Hints, peers: () => Iterable<OutboundSession>) {
    this.#context = context;
    this.#hints = hints;
    this.#peers = peers;
  }

  /**
   * Until there is room, or no peer takes any more, or every message of ours was tried. A message stays here until a peer
   * has accepted it; what was refused or not answered is offered again the next time.
   */
  async run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      let after = 0;
      for (;;) {
        if (!this.#isTooFull()) return;
        const peer = this.#emptiest();
        if (!peer) return;
        const batch = this.#oldest(after);
        if (!batch) return;
        after = batch.last;
        await Promise.all(batch.own.map((head) => this.#give(peer, head)));
      }
    } finally {
      this.#running = false;
    }
  }

  #isTooFull(): boolean {
    const { used, max } = this.#context.capacity();
    return used >= max * this.#context.config.federationOffloadThreshold;
  }

  #emptiest(): OutboundSession | undefined {
    return [...this.#peers()].filter((peer) => peer.takes).sort((a, b) => a.fill - b.fill)[0];
  }

  /** The oldest of our own behind a position, and the position up to which they were looked at. */
  #oldest(after: number): { readonly own: readonly BlobHead[]; readonly last: number } | undefined {
    const { store, clock } = this.#context;
    const heads = store.oldest(after, lookBlobs, clock.now());
    if (heads.length === 0) return undefined;
    const own: BlobHead[] = [];
    let last = after;
    for (const head of heads) {
      last = head.position;
      // What a peer gave us goes no further: nothing travels in circles.
      if (!isReceivedBlobId(head.blobId)) own.push(head);
      if (own.length === batchBlobs) break;
    }
    return { own, last };
  }

  async #give(peer: OutboundSession, { position, mailbox, blobId, createdAt }: BlobHead): Promise<void> {
    const { store, clock, config } = this.#context;
    const [data] = store.read([position]);
    // Its owner acknowledged it meanwhile.
    if (!data) return;
    if ((await peer.offer({ blobId, mailbox, createdAt, data })) !== "accepted") return;
    const expiresAt = createdAt * 1000 + config.blobTtlMs;
    // First the hint, then the end of our copy: at no moment is it nowhere.
    await this.#hints.add(mailbox, { blobId, relayUrl: peer.url, expiresAt });
    await store.remove(mailbox, blobId, clock.now());
  }
}
