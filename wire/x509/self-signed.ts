import type { Entropy, Instant } from "#core/clock.ts";
import {
  bitString,
  explicit,
  implicit,
  objectIdentifier,
  octetString,
  sequence,
  setOf,
  time,
  trueValue,
  unsigned,
  utf8String,
} from "./der.ts";

export interface SelfSigned {
  /** What it is called where certificates are listed. */
  name: string;
  /** DNS names and IP addresses it is for. */
  hosts: readonly string[];
  notBefore: Instant;
  notAfter: Instant;
}

/** Keys are ECDSA over P-256: the only ones whose certificates browsers trust by their hash. */
export const keyAlgorithm = { name: "ECDSA", namedCurve: "P-256" } as const;

/** The DER of a certificate (RFC 5280) for a TLS server, signed with its own key. */
export async function createSelfSigned(
  certificate: SelfSigned,
  keys: CryptoKeyPair,
  entropy: Entropy,
): Promise<Uint8Array> {
  const name = sequence(
    setOf(sequence(objectIdentifier(identifiers.commonName), utf8String(certificate.name))),
  );
  const signatureAlgorithm = sequence(objectIdentifier(identifiers.ecdsaWithSha256));
  const toBeSigned = sequence(
    explicit(0, unsigned(new Uint8Array([2]))),
    unsigned(entropy.bytes(16)),
    signatureAlgorithm,
    name,
    sequence(time(certificate.notBefore), time(certificate.notAfter)),
    name,
    new Uint8Array(await crypto.subtle.exportKey("spki", keys.publicKey)),
    explicit(3, extensions(certificate.hosts)),
  );
  const hash = { name: "ECDSA", hash: "SHA-256" };
  const signed = new Uint8Array(await crypto.subtle.sign(hash, keys.privateKey, new Uint8Array(toBeSigned)));
  const half = signed.length / 2;
  const signature = sequence(unsigned(signed.subarray(0, half)), unsigned(signed.subarray(half)));
  return sequence(toBeSigned, signatureAlgorithm, bitString(signature));
}

const identifiers = {
  commonName: "2.5.4.3",
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
} as const;

/** It signs for nobody else, and is a server's. */
function extensions(hosts: readonly string[]): Uint8Array {
  const digitalSignature = bitString(new Uint8Array([0x80]), 7);
  return sequence(
    sequence(objectIdentifier(identifiers.basicConstraints), trueValue, octetString(sequence())),
    sequence(objectIdentifier(identifiers.keyUsage), trueValue, octetString(digitalSignature)),
    sequence(
      objectIdentifier(identifiers.extendedKeyUsage),
      octetString(sequence(objectIdentifier(identifiers.serverAuth))),
    ),
    sequence(objectIdentifier(identifiers.subjectAltName), octetString(sequence(...hosts.map(generalName)))),
  );
}

function generalName(host: string): Uint8Array {
  const address = addressBytes(host);
  return address ? implicit(7, address) : implicit(2, new TextEncoder().encode(host));
}

/** The 4 or 16 bytes of an IP address; `undefined` for a name. */
function addressBytes(host: string): Uint8Array | undefined {
  if (/^\d+\.\d+\.\d+\.\d+$/.test(host)) return new Uint8Array(host.split(".").map(Number));
  if (!host.includes(":")) return undefined;
  // The URL parser knows all ways to write one, and gives back hexadecimal groups alone.
  const [head = "", tail] = new URL(`http://[${host}]/`).hostname.slice(1, -1).split("::");
  const groupsOf = (part: string) => (part === "" ? [] : part.split(":"));
  const [before, after] = [groupsOf(head), groupsOf(tail ?? "")];
  const zeros = Array<string>(8 - before.length - after.length).fill("0");
  const groups = [...before, ...zeros, ...after].map((group) => Number.parseInt(group, 16));
  return new Uint8Array(groups.flatMap((group) => [group >> 8, group & 0xff]));
}
