import { bytesToHex } from "@noble/hashes/utils.js";
import { type Clock, type Entropy, systemClock, systemEntropy } from "../../../core/clock.ts";
import { decodeBase64, encodeBase64 } from "../../../wire/base64.ts";
import { bucketOf, pad, unpad } from "../../../wire/mailbox/padding.ts";
import { ohttpKeysType } from "../../../wire/ohttp/media-types.ts";
import { PosternError } from "./errors.ts";
import { type Fetch, platformFetch } from "./inbox-http.ts";
import { exchangeCapsule, Keys, type OhttpFetchOptions, parseOhttpRelay, refusalDetails } from "./ohttp.ts";
import { parseRelay } from "./relay-url.ts";

export { isPosternError, PosternError } from "./errors.ts";
export { createOhttpFetch, type OhttpFetchOptions } from "./ohttp.ts";

export interface MailboxOptions {
  /** The relay's base URL. */
  readonly relay: string | URL;
  /**
   * Sends everything in OHTTP capsules. `relayUrl` is an OHTTP relay in front of the mailbox relay; without one the
   * capsules go straight to it, which hides their content from proxies but not the sender from the relay.
   *
   * The gateway's key is asked for where the capsules go, so that the mailbox relay sees nobody who asks for it. An OHTTP
   * relay could answer a key of its own and read along: pass `keyConfig` where you have the key from somewhere else.
   */
  readonly ohttp?: boolean | Partial<Pick<OhttpFetchOptions, "relayUrl" | "keyConfig">>;
  readonly fetch?: Fetch;
  readonly clock?: Clock;
  readonly entropy?: Entropy;
}

/** A message that waits, as the relay hands it out; it stays until it is acknowledged. */
export interface WaitingMessage {
  readonly mailbox: string;
  readonly blobId: string;
  readonly ciphertext: Uint8Array<ArrayBuffer>;
  /** Whole seconds since 1970. */
  readonly createdAt: number;
}

export interface Fetched {
  readonly messages: readonly WaitingMessage[];
  /** There is more: acknowledge these and fetch again, or go on after `cursor`. */
  readonly truncated: boolean;
  readonly cursor: string | undefined;
  /** Messages too large to come through OHTTP; fetch them directly, or acknowledge them. */
  readonly oversized: readonly OversizedMessage[];
}

export interface OversizedMessage {
  readonly mailbox: string;
  readonly blobId: string;
  /** Bytes of ciphertext. */
  readonly size: number;
  /** Seconds since 1970. */
  readonly createdAt: number;
}

export interface FetchOptions {
  /** Goes on after the last page. */
  readonly cursor?: string;
  /** Waits as long for a message if there is none. */
  readonly waitSeconds?: number;
  readonly signal?: AbortSignal;
}

/** An Ed25519 key that can sign. */
export interface Signer {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  sign(message: Uint8Array): Promise<Uint8Array> | Uint8Array;
}

export interface RecoveryProof {
  readonly keyHash: string;
  readonly proof: Uint8Array<ArrayBuffer>;
  readonly createdAt: number;
  readonly expiresAt: number;
}

export interface OfferOptions {
  /** 30 to 3600; the relay's own default otherwise. */
  readonly ttlSeconds?: number;
  /** 6, or 8 to 10 for a code that nobody guesses. */
  readonly codeDigits?: number;
  /** Makes completing take the secret that comes with the code. */
  readonly withSecret?: boolean;
}

/** Mailboxes at one relay: `mailbox` is always 64 hex digits. Everything here may be called at any time, in any number. */
export interface Mailbox {
  /** Leaves sealed bytes. Resolves to the message's id, once the relay has it on disk. */
  send(mailbox: string, ciphertext: Uint8Array, signal?: AbortSignal): Promise<string>;
  /** What waits in up to 100 mailboxes, oldest first. */
  fetch(mailboxes: readonly string[], options?: FetchOptions): Promise<Fetched>;
  /** Removes a message. False if it was gone. */
  ack(mailbox: string, blobId: string, signal?: AbortSignal): Promise<boolean>;
  /** Empties a mailbox. Resolves to the number of messages that went. */
  purge(mailbox: string, signer: Signer, signal?: AbortSignal): Promise<number>;
  storeProof(keyHash: string, proof: Uint8Array): Promise<void>;
  queryProofs(keyHashes: readonly string[]): Promise<readonly RecoveryProof[]>;
  /** Offers a text under a short code for somebody who is told the code. */
  offer(payload: string, options?: OfferOptions): Promise<{ code: string; secret: string | undefined }>;
  /** The text offered under a code; `response` goes back to whoever offered it. */
  claim(code: string, response: string): Promise<string>;
  /** The response of whoever claimed; undefined while nobody did. */
  complete(code: string, secret?: string): Promise<string | undefined>;
}

type Json = Record<string, unknown>;
type Perform = (action: string, members: Json, signal?: AbortSignal, waitSeconds?: number) => Promise<Json>;

const paths: Readonly<Record<string, string>> = {
  exchange_offer: "exchange/offer",
  exchange_claim: "exchange/claim",
  exchange_complete: "exchange/complete",
  recovery_store: "recovery/store",
  recovery_query: "recovery/query",
};

/**
 * @throws PosternError `option_invalid` here; `relay_refused`, `relay_unreachable` and `aborted` from each call. A
 * refusal's sentence is the relay's.
 */
export function createMailbox(options: MailboxOptions): Mailbox {
  const relay = parseRelay(options.relay).replace(/\/$/, "");
  const { fetch = platformFetch, clock = systemClock(), entropy = systemEntropy } = options;
  const perform = options.ohttp
    ? performInCapsules(relay, options.ohttp === true ? {} : options.ohttp, fetch, entropy)
    : performDirectly(relay, fetch);
  return {
    async send(mailbox, ciphertext, signal) {
      const answer = await perform(
        "send",
        { recipient_id: mailbox, ciphertext: encodeBase64(ciphertext) },
        signal,
      );
      return text(answer.blob_id);
    },
    async fetch(mailboxes, { cursor, waitSeconds, signal } = {}) {
      const members = { mailbox_tokens: mailboxes, ...(cursor === undefined ? {} : { after: cursor }) };
      return fetchedOf(await perform("fetch", members, signal, waitSeconds));
    },
    async ack(mailbox, blobId, signal) {
      const answer = await perform("ack", { recipient_id: mailbox, blob_id: blobId }, signal);
      return answer.acknowledged === true;
    },
    async purge(mailbox, signer, signal) {
      const answer = await perform("purge", await signedPurge(mailbox, signer, clock, entropy), signal);
      return Number(answer.blobs_deleted);
    },
    async storeProof(keyHash, proof) {
      await perform("recovery_store", { key_hash: keyHash, proof_data: encodeBase64(proof) });
    },
    async queryProofs(keyHashes) {
      const { proofs } = await perform("recovery_query", { key_hashes: keyHashes });
      return list(proofs).map((proof) => ({
        keyHash: text(proof.key_hash),
        proof: bytes(proof.proof_data),
        createdAt: Number(proof.created_at),
        expiresAt: Number(proof.expires_at),
      }));
    },
    async offer(payload, { ttlSeconds, codeDigits, withSecret } = {}) {
      const answer = await perform("exchange_offer", {
        payload,
        ...(ttlSeconds === undefined ? {} : { expires_secs: ttlSeconds }),
        ...(codeDigits === undefined ? {} : { code_digits: codeDigits }),
        ...(withSecret ? { completion_secret: true } : {}),
      });
      const secret = answer.completion_secret;
      return { code: text(answer.code), secret: secret === undefined ? undefined : text(secret) };
    },
    async claim(code, response) {
      return text((await perform("exchange_claim", { code, response })).payload);
    },
    async complete(code, secret) {
      try {
        const members = { code, ...(secret === undefined ? {} : { completion_secret: secret }) };
        return text((await perform("exchange_complete", members)).response);
      } catch (error) {
        if (error instanceof PosternError && error.message.includes("not yet claimed")) return undefined;
        throw error;
      }
    },
  };
}

function performDirectly(relay: string, fetch: Fetch): Perform {
  return async (action, members, signal, waitSeconds) => {
    let answer: Response;
    try {
      answer = await fetch(`${relay}/v2/${paths[action] ?? action}`, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          ...(waitSeconds === undefined ? {} : { prefer: `wait=${waitSeconds}` }),
        },
        body: JSON.stringify(members),
        ...(signal ? { signal } : {}),
      });
    } catch (cause) {
      throw new PosternError(signal?.aborted ? "aborted" : "relay_unreachable", { cause });
    }
    return answered(await answer.json().catch(() => undefined), answer);
  };
}

function performInCapsules(
  relay: string,
  {
    relayUrl = `${relay}${gatewayPath}`,
    keyConfig,
  }: Partial<Pick<OhttpFetchOptions, "relayUrl" | "keyConfig">>,
  fetch: Fetch,
  entropy: Entropy,
): Perform {
  const capsulesTo = parseOhttpRelay(relayUrl);
  const keys = new Keys(keyConfig ?? (() => fetchKey(capsulesTo, fetch)));
  return async (action, members, signal, waitSeconds) => {
    const wait = waitSeconds === undefined ? {} : { wait: waitSeconds };
    const json = new TextEncoder().encode(JSON.stringify({ version: 2, action, ...members, ...wait }));
    const padded = pad(json, bucketOf(json.byteLength), entropy);
    const plain = await exchangeCapsule(padded, capsulesTo, keys, fetch, signal);
    const message = unpad(plain);
    return answered(message && parse(new TextDecoder().decode(message)), undefined);
  };
}

/** Where a mailbox relay's gateway is, and where an OHTTP relay of its clients is; the key is beside it. */
const gatewayPath = "/v2/ohttp";

/** The key, from where the capsules go: an OHTTP relay elsewhere than at `gatewayPath` answers it to a GET. */
async function fetchKey(capsulesTo: string, fetch: Fetch): Promise<Uint8Array> {
  const url = new URL(capsulesTo);
  if (url.pathname.endsWith(gatewayPath)) url.pathname += "-key";
  let answer: Response;
  try {
    answer = await fetch(url.href, {
      headers: { accept: ohttpKeysType },
      credentials: "omit",
      redirect: "error",
    });
  } catch (cause) {
    throw new PosternError("relay_unreachable", { cause });
  }
  const { ok, status } = answer;
  if (!ok) {
    throw new PosternError("relay_refused", {
      message: `No OHTTP key is to be had where the capsules go (status ${status}).`,
      details: { status },
    });
  }
  return new Uint8Array(await answer.arrayBuffer());
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/** The relay's answer, or its refusal as an error with its own sentence. `outer` is what came without a capsule. */
function answered(value: unknown, outer: Response | undefined): Json {
  const answer = (typeof value === "object" && value !== null ? value : {}) as Json;
  if (answer.status === "ok") return answer;
  const inCapsule = typeof answer.retry_after === "number" ? { retryAfterSeconds: answer.retry_after } : {};
  const details = outer ? refusalDetails(outer) : inCapsule;
  const message = typeof answer.error === "string" ? `The relay refused: ${answer.error}` : undefined;
  throw new PosternError("relay_refused", { details, ...(message ? { message } : {}) });
}

async function signedPurge(mailbox: string, signer: Signer, clock: Clock, entropy: Entropy): Promise<Json> {
  const purgeToken = entropy.bytes(32);
  const timestamp = Math.floor(clock.now() / 1000);
  const message = new Uint8Array(72);
  message.set(signer.publicKey);
  message.set(purgeToken, 32);
  new DataView(message.buffer).setBigUint64(64, BigInt(timestamp));
  return {
    recipient_id: mailbox,
    public_key: bytesToHex(signer.publicKey),
    purge_token: bytesToHex(purgeToken),
    signature: bytesToHex(await signer.sign(message)),
    timestamp,
  };
}

function fetchedOf(answer: Json): Fetched {
  return {
    messages: list(answer.blobs).map((blob) => ({
      mailbox: text(blob.mailbox_token ?? ""),
      blobId: text(blob.blob_id),
      ciphertext: bytes(blob.ciphertext),
      createdAt: Number(blob.created_at),
    })),
    truncated: answer.truncated === true,
    cursor: typeof answer.cursor === "string" ? answer.cursor : undefined,
    oversized: list(answer.oversized ?? []).map((blob) => ({
      mailbox: text(blob.mailbox_token),
      blobId: text(blob.blob_id),
      size: Number(blob.size),
      createdAt: Number(blob.created_at),
    })),
  };
}

const malformed = () => new PosternError("relay_refused", { message: "The relay's answer is malformed." });

function text(value: unknown): string {
  if (typeof value !== "string") throw malformed();
  return value;
}

function bytes(value: unknown): Uint8Array<ArrayBuffer> {
  const decoded = decodeBase64(text(value));
  if (!decoded) throw malformed();
  return decoded;
}

function list(value: unknown): readonly Json[] {
  if (!Array.isArray(value)) throw malformed();
  return value as Json[];
}
