import { concatBytes } from "../../../core/bytes.ts";
import { type Bytes, equalBytes, fromUtf8, utf8 } from "./bytes.ts";
import {
  type Capability,
  formatCapabilities,
  normalizeCapabilities,
  parseCapabilities,
} from "./capabilities.ts";
import { PubkyError } from "./errors.ts";
import { PublicKey, type Signer } from "./keys.ts";

const NAMESPACE = utf8("PUBKY:AUTH");
const VERSION = 0;

// Where each field begins.
const AT_NAMESPACE = 64;
// The signature leaves the first letter of the namespace out. Every version does; "fixing" it breaks them all.
const AT_SIGNED = 65;
const AT_VERSION = 74;
const AT_TIME = 75;
const AT_KEY = 83;
const AT_CAPABILITIES = 115;

/** The shortest token: no capabilities. */
export const TOKEN_MIN_BYTES = AT_CAPABILITIES + 1;
/** Longer ones are refused unread. No relay carries nearly as much. */
export const TOKEN_MAX_BYTES = 16_384;
/** How far a token's time may lie from the verifier's clock, each way. */
export const TOKEN_WINDOW_MS = 180_000;

/** The fields of a token, as read. Reading proves nothing: see {@link verifyAuthToken}. */
export interface AuthTokenFields {
  readonly publicKey: PublicKey;
  /** In the normal form. */
  readonly capabilities: readonly Capability[];
  /** Microseconds since 1970. */
  readonly issuedAtMicros: bigint;
  /** Time and key, 40 bytes: no two tokens of a signer share it. What a replay store remembers. */
  readonly replayId: Bytes;
}

/**
 * Signs that the owner of a key grants `capabilities`. They are brought to the normal form first, because some
 * readers print the string again before they check the signature.
 *
 * `issuedAtMicros` must grow from token to token of one key; see `increasingMicros`.
 */
export async function signAuthToken(
  signer: Signer,
  capabilities: readonly Capability[],
  issuedAtMicros: bigint,
): Promise<Bytes> {
  const text = utf8(formatCapabilities(normalizeCapabilities(capabilities)));
  const time = new Uint8Array(8);
  new DataView(time.buffer).setBigUint64(0, issuedAtMicros);
  const body = concatBytes(
    NAMESPACE,
    Uint8Array.of(VERSION),
    time,
    signer.publicKey.toBytes(),
    encodeVarint(text.length),
    text,
  );
  const signature = await signer.sign(body.subarray(AT_SIGNED - AT_NAMESPACE));
  return concatBytes(signature, body);
}

/**
 * Reads a token without checking who signed it.
 *
 * @throws PubkyError `token_malformed`, `token_version`, `token_namespace`, `capabilities_invalid`
 */
export function decodeAuthToken(bytes: Uint8Array): AuthTokenFields {
  const { publicKey, issuedAtMicros, replayId } = decodeHead(bytes);
  return {
    publicKey,
    issuedAtMicros,
    replayId,
    capabilities: normalizeCapabilities(parseCapabilities(decodeCapabilityText(bytes))),
  };
}

/**
 * Checks form, signature and time of a token, in this order, so that an error about its age is about a token
 * that its owner really signed. Knows nothing of replays: see `createVerifier`.
 *
 * @throws PubkyError `token_malformed`, `token_version`, `token_namespace`, `token_signature`,
 *   `capabilities_invalid`, `token_too_old`, `token_from_future`
 */
export function verifyAuthToken(
  bytes: Uint8Array,
  { now, windowMs = TOKEN_WINDOW_MS }: { now: number; windowMs?: number },
): AuthTokenFields {
  const { publicKey } = decodeHead(bytes);
  if (!publicKey.verify(bytes.subarray(0, AT_NAMESPACE), bytes.subarray(AT_SIGNED))) {
    throw new PubkyError("token_signature");
  }
  const fields = decodeAuthToken(bytes);
  assertFresh(now - Number(fields.issuedAtMicros / 1000n), windowMs);
  return fields;
}

function assertFresh(ageMs: number, windowMs: number): void {
  if (ageMs > windowMs) {
    throw new PubkyError("token_too_old", {
      message: `Approved, but ${Math.round(ageMs / 1000)} s ago, which is too long: ask the person to approve again.`,
      details: { ageMs },
    });
  }
  if (ageMs < -windowMs) {
    throw new PubkyError("token_from_future", {
      message: `The token is from ${Math.round(-ageMs / 1000)} s ahead: one of the two clocks is wrong.`,
      details: { ageMs },
    });
  }
}

function decodeHead(bytes: Uint8Array): Omit<AuthTokenFields, "capabilities"> {
  if (bytes.length < TOKEN_MIN_BYTES || bytes.length > TOKEN_MAX_BYTES) {
    throw new PubkyError("token_malformed");
  }
  // The top byte of the time is zero for the next two thousand years; old verifiers take it for the version.
  if (bytes[AT_VERSION] !== VERSION || bytes[AT_TIME] !== 0) throw new PubkyError("token_version");
  if (!equalBytes(bytes.subarray(AT_NAMESPACE, AT_VERSION), NAMESPACE))
    throw new PubkyError("token_namespace");
  const replayId = Uint8Array.from(bytes.subarray(AT_TIME, AT_CAPABILITIES));
  let publicKey: PublicKey;
  try {
    publicKey = PublicKey.fromBytes(bytes.subarray(AT_KEY, AT_CAPABILITIES));
  } catch (cause) {
    throw new PubkyError("token_malformed", { cause });
  }
  return { publicKey, replayId, issuedAtMicros: new DataView(replayId.buffer).getBigUint64(0) };
}

function decodeCapabilityText(bytes: Uint8Array): string {
  const rest = bytes.subarray(AT_CAPABILITIES);
  const { value: length, size } = decodeVarint(rest);
  // Nothing may be missing and nothing may follow.
  if (size + length !== rest.length) throw new PubkyError("token_malformed");
  try {
    return fromUtf8(rest.subarray(size));
  } catch (cause) {
    throw new PubkyError("token_malformed", { cause });
  }
}

/** Postcard's varint: seven bits a byte, low ones first. */
function encodeVarint(value: number): Bytes {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Uint8Array.of(...bytes, rest);
}

/** Only the shortest form, so that a length has one encoding; three bytes reach beyond any token. */
function decodeVarint(bytes: Uint8Array): { value: number; size: number } {
  let value = 0;
  for (let size = 1; size <= 3; size++) {
    const byte = bytes[size - 1];
    if (byte === undefined) break;
    value |= (byte & 0x7f) << (7 * (size - 1));
    if (byte < 0x80) {
      if (byte === 0 && size > 1) break;
      return { value, size };
    }
  }
  throw new PubkyError("token_malformed");
}
