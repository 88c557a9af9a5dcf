import type { Clock, Entropy } from "#core/clock.ts";
import type { ValuesOf } from "#core/options.ts";
import type { MailboxStore, PutOutcome } from "#store/contract/mailbox-store.ts";
import { decodeFrame, encodeFrame } from "#wire/federation/frame.ts";
import { encodeMessage, type PeerMessage, parseMessage } from "#wire/federation/message.ts";
import { bucketOf, pad } from "#wire/mailbox/padding.ts";
import { newBlobId, receivedBlobId } from "../blob-id.ts";
import type { Hints } from "./hints.ts";
import type { federationOptions } from "./options.ts";
import type { RelayIdentity } from "./relay-identity.ts";

export type FederationConfig = ValuesOf<typeof federationOptions> & {
  readonly maxStorageBytes: number;
  readonly maxMessageSizeBytes: number;
  readonly blobTtlMs: number;
};

/** Everything that happened between relays, in numbers alone. */
export interface FederationCounts {
  sent: number;
  received: number;
  rejected: number;
  rateLimited: number;
  drainNotices: number;
  /** Messages that fit no frame and so stay. */
  tooLarge: number;
}

export interface FederationSetup {
  readonly config: FederationConfig;
  readonly store: MailboxStore;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly identity: RelayIdentity;
  readonly hints: Hints;
  /** Wakes fetches that wait for a message in this mailbox. */
  readonly announce: (mailbox: string) => void;
  readonly report: (error: unknown) => void;
}

/** What the sessions with other relays share. */
export class FederationContext {
  readonly config: FederationConfig;
  readonly store: MailboxStore;
  readonly clock: Clock;
  readonly identity: RelayIdentity;
  readonly report: (error: unknown) => void;
  readonly counts: FederationCounts = {
    sent: 0,
    received: 0,
    rejected: 0,
    rateLimited: 0,
    drainNotices: 0,
    tooLarge: 0,
  };
  readonly #entropy: Entropy;
  readonly #announce: (mailbox: string) => void;

  constructor({ config, store, clock, entropy, identity, announce, report }: FederationSetup) {
    this.config = config;
    this.store = store;
    this.clock = clock;
    this.identity = identity;
    this.report = report;
    this.#entropy = entropy;
    this.#announce = announce;
  }

  capacity(): { readonly used: number; readonly max: number } {
    return { used: this.store.usage().bytes, max: this.config.maxStorageBytes };
  }

  encode(message: PeerMessage): Uint8Array {
    const nowSeconds = Math.floor(this.clock.now() / 1000);
    return encodeFrame(encodeMessage(message, newBlobId(this.#entropy), nowSeconds), this.#entropy);
  }

  decode(frame: Uint8Array): PeerMessage | undefined {
    const json = decodeFrame(frame);
    return json === undefined ? undefined : parseMessage(json);
  }

  /** The padded form in which a message travels. */
  pad(data: Uint8Array): Uint8Array {
    return pad(data, bucketOf(data.byteLength), this.#entropy);
  }

  async keep(mailbox: string, data: Uint8Array, createdAt: number): Promise<PutOutcome> {
    const blobId = receivedBlobId(this.#entropy);
    const outcome = await this.store.put(mailbox, blobId, data, this.clock.now(), createdAt);
    if (outcome === "stored") this.#announce(mailbox);
    return outcome;
  }
}
