import assert from "node:assert/strict";
import { test } from "node:test";
import { DhkemX25519HkdfSha256 } from "@hpke/core";
import fc from "fast-check";
import hpke from "#protocol/vectors/hpke-rfc9180.json" with { type: "json" };
import rfc from "#protocol/vectors/ohttp-rfc9458.json" with { type: "json" };
import { simEntropy } from "#tests/support/sim-clock.ts";
import { encapsulateRequest } from "./client.ts";
import { keyIdOf, openRequest } from "./gateway.ts";
import {
  decodeKeyConfig,
  decodeKeyConfigList,
  encodeKeyConfig,
  encodeKeyConfigList,
  keyConfigOf,
} from "./key-config.ts";
import { aeadById, deriveGatewayKey, type GatewayKey, OhttpError } from "./suite.ts";

const bytesOf = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"));
const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const kem = new DhkemX25519HkdfSha256();

async function pairOf(privateKey: string, publicKey: string): Promise<CryptoKeyPair> {
  return {
    privateKey: await kem.importKey("raw", bytesOf(privateKey).buffer, false),
    publicKey: await kem.importKey("raw", bytesOf(publicKey).buffer, true),
  };
}

const rfcConfig = decodeKeyConfig(bytesOf(rfc.keyConfiguration));
const rfcKey = async (): Promise<GatewayKey> => {
  const keyPair = await pairOf(rfc.skR, hexOf(rfcConfig.publicKey));
  return { id: 1, publicKey: rfcConfig.publicKey, keyPair };
};

for (const { aeadId, ...vector } of hpke) {
  test(`HPKE of RFC 9180, ${vector.section} holds: key derivation, encapsulation and the first message`, async () => {
    const { suite } = aeadById(aeadId)!;
    const receiver = await kem.deriveKeyPair(bytesOf(vector.ikmR).buffer);
    assert.equal(hexOf(new Uint8Array(await kem.serializePublicKey(receiver.publicKey))), vector.pkRm);
    const sender = await suite.createSenderContext({
      recipientPublicKey: receiver.publicKey,
      info: bytesOf(vector.info).buffer,
      ekm: bytesOf(vector.ikmE).buffer,
    });
    assert.equal(hexOf(new Uint8Array(sender.enc)), vector.enc);
    const sealed = await sender.seal(bytesOf(vector.pt).buffer, bytesOf(vector.aad).buffer);
    assert.equal(hexOf(new Uint8Array(sealed)), vector.ct);
  });
}

test("the key configuration of RFC 9458, A is read and written again", () => {
  assert.equal(rfcConfig.keyId, 1);
  assert.deepEqual(rfcConfig.suites, [
    { kdfId: 1, aeadId: 1 },
    { kdfId: 1, aeadId: 3 },
  ]);
  assert.equal(hexOf(encodeKeyConfig(rfcConfig)), rfc.keyConfiguration);
});

test("the exchange of RFC 9458, A comes out byte for byte on both sides", async () => {
  const client = await encapsulateRequest(rfcConfig, bytesOf(rfc.request), await pairOf(rfc.skE, rfc.pkE));
  assert.equal(hexOf(client.capsule), rfc.encapsulatedRequest);
  const opened = await openRequest(await rfcKey(), bytesOf(rfc.encapsulatedRequest));
  assert.equal(hexOf(opened.request), rfc.request);
  const nonce = { bytes: () => bytesOf(rfc.responseNonce) };
  assert.equal(hexOf(opened.sealResponse(bytesOf(rfc.response), nonce)), rfc.encapsulatedResponse);
  assert.equal(hexOf(client.openResponse(bytesOf(rfc.encapsulatedResponse))), rfc.response);
});

test("a seed stands for the key pair that the mailbox protocol says", async () => {
  const key = await deriveGatewayKey(0, new Uint8Array(32).fill(1));
  assert.equal(
    hexOf(encodeKeyConfig(keyConfigOf(key))),
    "00002041852320ff367495fa522c94cb83af391e4e89018392725bbf2098dd931bc424000400010003",
  );
});

test("a list holds each configuration after its length, and what cannot be read is passed over", async () => {
  const config = keyConfigOf(await deriveGatewayKey(7, new Uint8Array(32).fill(2)));
  const list = encodeKeyConfigList([rfcConfig, config]);
  assert.deepEqual(
    decodeKeyConfigList(list).map(({ keyId }) => keyId),
    [1, 7],
  );
  const withOther = new Uint8Array([0, 4, 9, 0, 0x10, 0, ...list]);
  assert.equal(decodeKeyConfigList(withOther).length, 2);
  assert.throws(() => decodeKeyConfigList(list.subarray(0, list.byteLength - 1)), OhttpError);
});

test("every suite carries a request there and its answer back, and nobody else's", async () => {
  const key = await deriveGatewayKey(200, new Uint8Array(32).fill(3));
  for (const aeadId of [1, 2, 3]) {
    const config = { ...keyConfigOf(key), suites: [{ kdfId: 1, aeadId }] };
    const request = bytesOf("00ff");
    const mine = await encapsulateRequest(config, request);
    const other = await encapsulateRequest(config, request);
    const opened = await openRequest(key, mine.capsule);
    assert.deepEqual(opened.request, request);
    const answer = opened.sealResponse(bytesOf("abcd"), simEntropy());
    assert.equal(hexOf(mine.openResponse(answer)), "abcd");
    assert.throws(() => other.openResponse(answer), OhttpError);
  }
});

test("a changed byte anywhere makes a capsule unreadable", async () => {
  const key = await rfcKey();
  const capsule = bytesOf(rfc.encapsulatedRequest);
  for (let at = 0; at < capsule.byteLength; at++) {
    const changed = capsule.slice();
    changed[at]! ^= 0x80;
    // X25519 ignores the top bit of a public key (RFC 7748, 5); HPKE binds the bytes as sent all the same.
    await assert.rejects(openRequest(key, changed), OhttpError, `byte ${at}`);
  }
  for (let length = 0; length < capsule.byteLength; length++)
    await assert.rejects(openRequest(key, capsule.subarray(0, length)), OhttpError);
});

test("any bytes are a key configuration, a list, a capsule or an answer, or are refused", async () => {
  const key = await rfcKey();
  const { openResponse } = await encapsulateRequest(rfcConfig, new Uint8Array());
  const refusedOnly = async (read: () => unknown) => {
    try {
      await read();
    } catch (error) {
      if (!(error instanceof OhttpError)) throw error;
    }
  };
  const near = fc.tuple(fc.nat(), fc.nat(255)).map(([at, byte]) => {
    const bytes = bytesOf(rfc.keyConfiguration);
    bytes[at % bytes.byteLength] = byte;
    return bytes;
  });
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.uint8Array({ maxLength: 120 }), near), async (bytes) => {
      await refusedOnly(() => decodeKeyConfig(bytes));
      await refusedOnly(() => decodeKeyConfigList(bytes));
      await refusedOnly(() => openResponse(bytes));
      await refusedOnly(() => openRequest(key, bytes));
      keyIdOf(bytes);
    }),
    { numRuns: 500 },
  );
});
