import { type KeyConfig, usableSuite } from "./key-config.ts";
import { openResponse, requestInfo, responseLabel, responseNonceBytes } from "./response-keys.ts";
import { aeadById, importPublicKey, kemId, OhttpError } from "./suite.ts";

/** A request sealed to a gateway, and the only one who can open the answer to it. */
export interface Encapsulated {
  readonly capsule: Uint8Array<ArrayBuffer>;
  /** Throws `OhttpError` for what is not the answer to this very request. */
  openResponse(encapsulated: Uint8Array): Uint8Array;
}

/**
 * Seals a request to a gateway (RFC 9458, 4.3). `ephemeral` fixes the ephemeral key pair and is for test vectors alone.
 * Throws `OhttpError` where the configuration offers nothing that we speak.
 */
export async function encapsulateRequest(
  config: KeyConfig,
  request: Uint8Array,
  ephemeral?: CryptoKeyPair,
): Promise<Encapsulated> {
  const chosen = usableSuite(config);
  if (!chosen) throw new OhttpError("no suite in common with the gateway");
  const header = new Uint8Array(7);
  const view = new DataView(header.buffer);
  view.setUint8(0, config.keyId);
  view.setUint16(1, kemId);
  view.setUint16(3, chosen.kdfId);
  view.setUint16(5, chosen.aeadId);
  const sender = await aeadById(chosen.aeadId)!.suite.createSenderContext({
    recipientPublicKey: await importPublicKey(config.publicKey),
    info: requestInfo(header),
    ...(ephemeral ? { ekm: ephemeral } : {}),
  });
  const enc = new Uint8Array(sender.enc);
  const sealed = new Uint8Array(await sender.seal(request));
  const secret = new Uint8Array(await sender.export(responseLabel, responseNonceBytes(chosen.aeadId)));
  const capsule = new Uint8Array(header.byteLength + enc.byteLength + sealed.byteLength);
  capsule.set(header);
  capsule.set(enc, header.byteLength);
  capsule.set(sealed, header.byteLength + enc.byteLength);
  return { capsule, openResponse: (encapsulated) => openResponse(chosen.aeadId, secret, enc, encapsulated) };
}
