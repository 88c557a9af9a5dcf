import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes } from "#core/bytes.ts";
import { decodeBase64url } from "../base64url.ts";

/** An issuer's public key, an RSA key of 2048 bits. */
export interface IssuerKey {
  /** SubjectPublicKeyInfo under RSASSA-PSS, as a directory publishes it (RFC 9578, 6.5). */
  readonly spki: Uint8Array<ArrayBuffer>;
  /** SHA-256 of `spki`. */
  readonly id: Uint8Array;
  /** The same key under rsaEncryption, which is all that WebCrypto imports. */
  readonly webCryptoSpki: Uint8Array<ArrayBuffer>;
}

const hex = (text: string) => Uint8Array.from(text.match(/../g)!, (pair) => Number.parseInt(pair, 16));
const tag = { sequence: 0x30, bitString: 0x03 } as const;
const rsaEncryption = hex("300d06092a864886f70d0101010500");
/** RSASSA-PSS with SHA-384, MGF1 of SHA-384 and 48 bytes of salt, as RFC 9578 has it in its vectors. */
const rsaPss = hex(
  "303d06092a864886f70d01010a3030a00d300b0609608648016503040202a11a301806092a864886f70d010108300b0609608648016503040202a203020130",
);
const pssObject = hex("06092a864886f70d01010a");

/** Reads a public key in DER, PEM, or base64url of the DER. Undefined for what is no RSA key of 2048 bits. */
export function parseIssuerKey(file: Uint8Array): IssuerKey | undefined {
  for (const der of derCandidates(file)) {
    const key = issuerKeyOf(der);
    if (key) return key;
  }
  return undefined;
}

function* derCandidates(file: Uint8Array): Generator<Uint8Array> {
  yield file;
  const text = new TextDecoder().decode(file);
  const pem = /-----BEGIN PUBLIC KEY-----([\s\S]*?)-----END PUBLIC KEY-----/.exec(text)?.[1];
  const letters = (pem ?? text).replace(/\s/g, "").replace(/={1,2}$/, "");
  const bytes = decodeBase64url(letters.replaceAll("+", "-").replaceAll("/", "_"));
  if (bytes) yield bytes;
}

function issuerKeyOf(der: Uint8Array): IssuerKey | undefined {
  const outer = readElement(der, 0);
  if (outer?.tag !== tag.sequence || outer.end !== der.length) return undefined;
  const algorithm = readElement(der, outer.start);
  const bits = algorithm && readElement(der, algorithm.end);
  if (algorithm?.tag !== tag.sequence || bits?.tag !== tag.bitString || bits.end !== der.length)
    return undefined;
  const isPss = equal(der.subarray(algorithm.start, algorithm.start + pssObject.length), pssObject);
  if (!isPss && !equal(der.subarray(outer.start, algorithm.end), rsaEncryption)) return undefined;
  const key = der.subarray(algorithm.end, bits.end);
  if (modulusBits(key.subarray(bits.start - algorithm.end)) !== 2048) return undefined;
  // A published key is hashed as it was published: two spellings of its parameters are two key ids.
  const spki = isPss ? der.slice() : wrap(rsaPss, key);
  return { spki, id: sha256(spki), webCryptoSpki: wrap(rsaEncryption, key) };
}

/** `key` is a bit string's content: a count of unused bits, which is 0, and RSAPublicKey (RFC 8017, A.1.1). */
function modulusBits(key: Uint8Array): number | undefined {
  const sequence = key[0] === 0 ? readElement(key, 1) : undefined;
  const modulus = sequence && readElement(key, sequence.start);
  if (modulus?.tag !== 0x02 || modulus.end > key.length) return undefined;
  const digits = key.subarray(modulus.start, modulus.end);
  // A positive number whose first bit is set has a zero byte before it.
  return digits[0] === 0 && (digits[1] ?? 0) >= 0x80 ? (digits.length - 1) * 8 : undefined;
}

function wrap(algorithm: Uint8Array, key: Uint8Array): Uint8Array<ArrayBuffer> {
  const length = algorithm.length + key.length;
  return concatBytes(Uint8Array.of(tag.sequence, 0x82, length >> 8, length & 0xff), algorithm, key);
}

interface Element {
  readonly tag: number;
  /** Where its content begins and ends. */
  readonly start: number;
  readonly end: number;
}

/** One element of DER with a length of at most two bytes. */
function readElement(der: Uint8Array, at: number): Element | undefined {
  const [kind, first, second = 0, third = 0] = der.subarray(at, at + 4);
  if (kind === undefined || first === undefined) return undefined;
  const [header, length] =
    first < 0x80
      ? [2, first]
      : first === 0x81
        ? [3, second]
        : first === 0x82
          ? [4, (second << 8) | third]
          : [0, 0];
  const end = at + header + length;
  return header === 0 || end > der.length ? undefined : { tag: kind, start: at + header, end };
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
