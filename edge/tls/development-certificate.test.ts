import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { after, test } from "node:test";
import { createSecureContext } from "node:tls";
import { systemEntropy } from "#core/clock.ts";
import { simClock } from "#tests/support/sim-clock.ts";
import { certificateHash } from "./certificates.ts";
import { openDevelopmentCertificate, type PemStore } from "./development-certificate.ts";

const dayMs = 86_400_000;
const hosts = ["localhost", "*.localhost", "127.0.0.1", "::1", "2001:db8::ff00:42"];

function textStore(): PemStore & { text: string | undefined } {
  return {
    text: undefined,
    read() {
      return this.text;
    },
    write(pem) {
      this.text = pem;
    },
  };
}

async function open(given: { hosts?: string[]; store?: PemStore; clock?: ReturnType<typeof simClock> } = {}) {
  const clock = given.clock ?? simClock(1_700_000_000_123);
  const failures: unknown[] = [];
  const certificate = await openDevelopmentCertificate({
    hosts: given.hosts ?? hosts,
    store: given.store,
    clock,
    entropy: systemEntropy,
    failed: (error) => failures.push(error),
  });
  after(() => certificate[Symbol.dispose]());
  return { certificate, clock, failures };
}

test("it is what browsers trust by a hash: P-256, 14 days all told, from a day ago, for the hosts as listed", async () => {
  const { certificate, clock } = await open();
  const read = new X509Certificate(certificate.pairs[0]!.cert);
  assert.equal(read.publicKey.asymmetricKeyDetails?.namedCurve, "prime256v1");
  assert.equal(read.validToDate.getTime() - read.validFromDate.getTime(), 14 * dayMs);
  assert.equal(read.validFromDate.getTime(), Math.floor(clock.now() / 1000) * 1000 - dayMs);
  assert.equal(
    read.subjectAltName,
    "DNS:localhost, DNS:*.localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, IP Address:2001:DB8:0:0:0:0:FF00:42",
  );
  assert.ok(read.verify(read.publicKey));
  assert.equal(read.ca, false);
  createSecureContext(certificate.pairs[0]);
});

test("openssl reads it, and its strict check finds nothing wrong", async () => {
  const { certificate } = await open({ clock: simClock(Date.now()) });
  const { cert } = certificate.pairs[0]!;
  const run = (...args: string[]) => execFileSync("openssl", args, { input: cert, encoding: "utf8" });
  const text = run("x509", "-noout", "-text");
  assert.match(text, /Signature Algorithm: ecdsa-with-SHA256/);
  assert.match(text, /TLS Web Server Authentication/);
  assert.match(text, /DNS:localhost, DNS:\*\.localhost, IP Address:127\.0\.0\.1/);
  const fingerprint = run("x509", "-noout", "-fingerprint", "-sha256");
  assert.equal(fingerprint.split("=")[1]!.trim().replaceAll(":", "").toLowerCase(), certificateHash(cert));
});

test("a hundred of them are read: serial numbers and signatures of every length and sign", async () => {
  for (let at = 0; at < 100; at++) {
    const { certificate } = await open();
    const read = new X509Certificate(certificate.pairs[0]!.cert);
    assert.ok(read.verify(read.publicKey));
    assert.doesNotMatch(read.serialNumber, /^-/);
  }
});

test("from 2050 on its years have four digits", async () => {
  const { certificate } = await open({ clock: simClock(Date.UTC(2049, 11, 31)) });
  const read = new X509Certificate(certificate.pairs[0]!.cert);
  assert.equal(read.validFromDate.toISOString(), "2049-12-30T00:00:00.000Z");
  assert.equal(read.validToDate.toISOString(), "2050-01-13T00:00:00.000Z");
});

test("at half of its life there is a new one; the old one's hash is told until it expires", async () => {
  const { certificate, clock } = await open();
  let changes = 0;
  const stop = certificate.onChange(() => changes++);
  const [first] = certificate.pairs;
  await clock.advance(6 * dayMs - 1000);
  assert.deepEqual([certificate.pairs[0], certificate.retiredHashes, changes], [first, [], 0]);
  await clock.advance(1000);
  await certificate.renewIfDue();
  const [second] = certificate.pairs;
  assert.notEqual(second!.cert, first!.cert);
  assert.equal(second!.key, first!.key);
  assert.deepEqual([certificate.retiredHashes, changes], [[certificateHash(first!.cert)], 1]);
  stop();
  await clock.advance(7 * dayMs);
  await certificate.renewIfDue();
  assert.equal(changes, 1);
  assert.deepEqual(certificate.retiredHashes, [certificateHash(second!.cert)]);
});

test("a restart goes on with the same, as long as the hosts are", async () => {
  const store = textStore();
  const { certificate, clock } = await open({ store });
  const [first] = certificate.pairs;
  const again = await open({ store, clock });
  assert.deepEqual(again.certificate.pairs, [first]);
  const other = await open({ store, clock, hosts: ["relay.test"] });
  assert.equal(other.certificate.pairs[0]!.key, first!.key);
  assert.notEqual(other.certificate.pairs[0]!.cert, first!.cert);
  assert.deepEqual(other.certificate.retiredHashes, [certificateHash(first!.cert)]);
});

test("a restart after its end makes a new one with the same key, and tells the old hash no more", async () => {
  const store = textStore();
  const { certificate, clock } = await open({ store });
  certificate[Symbol.dispose]();
  await clock.advance(20 * dayMs);
  const later = await open({ store, clock });
  assert.equal(later.certificate.pairs[0]!.key, certificate.pairs[0]!.key);
  assert.deepEqual(later.certificate.retiredHashes, []);
});

test("what cannot be kept is reported, and tried again an hour later", async () => {
  const store = textStore();
  const { certificate, clock, failures } = await open({ store });
  const { write } = store;
  store.write = () => {
    throw new Error("no room");
  };
  await clock.advance(6 * dayMs);
  await certificate.renewIfDue().catch(() => {});
  await clock.advance(0);
  assert.match(String(failures[0]), /no room/);
  store.write = write;
  await clock.advance(dayMs / 24);
  await certificate.renewIfDue();
  assert.equal(store.text!.match(/BEGIN CERTIFICATE/g)!.length, 2);
});
