import { createPublicKey, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { Cancel, Clock, Entropy, Instant } from "#core/clock.ts";
import { createSelfSigned, keyAlgorithm } from "#wire/x509/self-signed.ts";
import { type CertificatePair, type Certificates, certificateHash } from "./certificates.ts";
import { Listeners } from "./listeners.ts";

/** Where the key and its certificates outlive the process: one PEM text. */
export interface PemStore {
  read(): string | undefined;
  write(pem: string): void;
}

export interface DevelopmentCertificateSetup {
  /** DNS names and IP addresses it is for. */
  readonly hosts: readonly string[];
  /** Without one, there is a new key after each start. */
  readonly store?: PemStore | undefined;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly failed: (error: unknown) => void;
}

const dayMs = 86_400_000;
/** Browsers trust a certificate by its hash if it is valid for 14 days at most, all told (WebTransport, 6.9). */
const validityMs = 14 * dayMs;
/** Clients' clocks may be behind ours. */
const backdatedMs = dayMs;
/** When it could not be renewed. */
const retryMs = dayMs / 24;

/**
 * A certificate that nobody vouches for, made here and made anew at half of its life: clients go by its hash. The last
 * one keeps being told as retired until it expires. What was kept is used again if it is for the same hosts.
 */
export async function openDevelopmentCertificate(
  setup: DevelopmentCertificateSetup,
): Promise<DevelopmentCertificate> {
  const kept = setup.store?.read();
  const keyPem = kept === undefined ? undefined : keyBlock.exec(kept)?.[0];
  const keys = keyPem === undefined ? await generateKeys() : await importKeys(keyPem);
  const certificates = keyPem === undefined ? [] : (kept!.match(certificateBlocks) ?? []);
  const development = new DevelopmentCertificate(setup, keys, await pemOfKey(keys), certificates);
  await development.renewIfDue();
  return development;
}

export class DevelopmentCertificate implements Certificates {
  readonly #setup: DevelopmentCertificateSetup;
  readonly #keys: CryptoKeyPair;
  readonly #keyPem: string;
  readonly #listeners = new Listeners();
  /** The newest first. */
  #certificates: string[];
  #cancel: Cancel = () => {};
  #renewing: Promise<void> | undefined;
  #disposed = false;

  constructor(
    setup: DevelopmentCertificateSetup,
    keys: CryptoKeyPair,
    keyPem: string,
    certificates: string[],
  ) {
    this.#setup = setup;
    this.#keys = keys;
    this.#keyPem = keyPem;
    this.#certificates = certificates;
  }

  get pairs(): readonly CertificatePair[] {
    return [{ cert: this.#certificates[0]!, key: this.#keyPem }];
  }

  get retiredHashes(): readonly string[] {
    const now = this.#setup.clock.now();
    return this.#certificates.slice(1).filter(validAt(now)).map(certificateHash);
  }

  reload(): void {
    this.renewIfDue().catch((error) => {
      this.#setup.failed(error);
      this.#lookAgain(retryMs);
    });
  }

  onChange(changed: () => void): Cancel {
    return this.#listeners.add(changed);
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#cancel();
  }

  /** Makes a new one if the newest is beyond half of its life or for other hosts; sees to the next time. */
  renewIfDue(): Promise<void> {
    this.#renewing ??= this.#renewIfDue().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #renewIfDue(): Promise<void> {
    const { clock, hosts, store } = this.#setup;
    const newest = this.#certificates[0];
    if (newest === undefined || clock.now() >= halfLifeOf(newest) || !hosts.every(isFor(newest))) {
      const certificates = [await this.#create(), ...this.#certificates.filter(validAt(clock.now()))];
      store?.write([this.#keyPem, ...certificates].join(""));
      this.#certificates = certificates;
      this.#listeners.call();
    }
    this.#lookAgain(halfLifeOf(this.#certificates[0]!) - clock.now());
  }

  async #create(): Promise<string> {
    const { clock, entropy, hosts } = this.#setup;
    // A certificate counts whole seconds.
    const notBefore = Math.floor((clock.now() - backdatedMs) / 1000) * 1000;
    const certificate = { name: "Postern development", hosts, notBefore, notAfter: notBefore + validityMs };
    return pem("CERTIFICATE", await createSelfSigned(certificate, this.#keys, entropy));
  }

  #lookAgain(inMs: number): void {
    this.#cancel();
    if (!this.#disposed) this.#cancel = this.#setup.clock.after(inMs, () => this.reload());
  }
}

const keyBlock = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----\n/;
const certificateBlocks = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/g;

const pem = (label: string, der: Uint8Array): string => {
  const lines = Buffer.from(der)
    .toString("base64")
    .match(/.{1,64}/g)!;
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
};

const generateKeys = () => crypto.subtle.generateKey(keyAlgorithm, true, ["sign", "verify"]);

async function importKeys(keyPem: string): Promise<CryptoKeyPair> {
  const base64 = keyPem.replaceAll(/-----[^-]+-----|\s/g, "");
  const pkcs8 = new Uint8Array(Buffer.from(base64, "base64"));
  const spki = new Uint8Array(createPublicKey(keyPem).export({ type: "spki", format: "der" }));
  const [privateKey, publicKey] = await Promise.all([
    crypto.subtle.importKey("pkcs8", pkcs8, keyAlgorithm, true, ["sign"]),
    crypto.subtle.importKey("spki", spki, keyAlgorithm, true, ["verify"]),
  ]);
  return { privateKey, publicKey };
}

const pemOfKey = async ({ privateKey }: CryptoKeyPair): Promise<string> =>
  pem("PRIVATE KEY", new Uint8Array(await crypto.subtle.exportKey("pkcs8", privateKey)));

const validAt = (now: Instant) => (certificate: string) =>
  new X509Certificate(certificate).validToDate.getTime() > now;

function halfLifeOf(certificate: string): Instant {
  const { validFromDate, validToDate } = new X509Certificate(certificate);
  return (validFromDate.getTime() + validToDate.getTime()) / 2;
}

const isFor = (certificate: string) => {
  const read = new X509Certificate(certificate);
  const names = read.subjectAltName?.split(", ") ?? [];
  return (host: string) => (isIP(host) ? read.checkIP(host) !== undefined : names.includes(`DNS:${host}`));
};
