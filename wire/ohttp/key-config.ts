import { aeadById, chacha20Poly1305Id, kdfId, kemId, kemPublicKeyBytes, OhttpError } from "./suite.ts";

export interface SymmetricSuite {
  readonly kdfId: number;
  readonly aeadId: number;
}

/** A gateway's key configuration (RFC 9458, 3.1). */
export interface KeyConfig {
  readonly keyId: number;
  readonly kemId: number;
  readonly publicKey: Uint8Array;
  /** What the gateway takes, best first. */
  readonly suites: readonly SymmetricSuite[];
}

/** What our own gateway advertises. */
export function keyConfigOf(key: { readonly id: number; readonly publicKey: Uint8Array }): KeyConfig {
  return {
    keyId: key.id,
    kemId,
    publicKey: key.publicKey,
    suites: [{ kdfId, aeadId: chacha20Poly1305Id }],
  };
}

/** The first suite of the configuration that we speak; undefined if there is none. */
export function usableSuite(config: KeyConfig): SymmetricSuite | undefined {
  if (config.kemId !== kemId) return undefined;
  return config.suites.find((suite) => suite.kdfId === kdfId && aeadById(suite.aeadId) !== undefined);
}

export function encodeKeyConfig({ keyId, kemId, publicKey, suites }: KeyConfig): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(5 + publicKey.byteLength + 4 * suites.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, keyId);
  view.setUint16(1, kemId);
  bytes.set(publicKey, 3);
  let at = 3 + publicKey.byteLength;
  view.setUint16(at, 4 * suites.length);
  for (const { kdfId, aeadId } of suites) {
    view.setUint16(at + 2, kdfId);
    view.setUint16(at + 4, aeadId);
    at += 4;
  }
  return bytes;
}

/** One bare configuration, nothing before or after it. Throws `OhttpError`, also for a KEM whose sizes are unknown. */
export function decodeKeyConfig(bytes: Uint8Array): KeyConfig {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const suitesAt = 5 + kemPublicKeyBytes;
  if (bytes.byteLength < suitesAt + 4 || view.getUint16(1) !== kemId)
    throw new OhttpError("not a key configuration");
  const suitesBytes = view.getUint16(suitesAt - 2);
  if (suitesBytes === 0 || suitesBytes % 4 !== 0 || suitesAt + suitesBytes !== bytes.byteLength) {
    throw new OhttpError("not a key configuration");
  }
  const suites: SymmetricSuite[] = [];
  for (let at = suitesAt; at < bytes.byteLength; at += 4) {
    suites.push({ kdfId: view.getUint16(at), aeadId: view.getUint16(at + 2) });
  }
  return { keyId: bytes[0]!, kemId, publicKey: bytes.slice(3, 3 + kemPublicKeyBytes), suites };
}

/** The list that `application/ohttp-keys` stands for (RFC 9458, 3.2): each configuration after its length. */
export function encodeKeyConfigList(configs: readonly KeyConfig[]): Uint8Array<ArrayBuffer> {
  const encoded = configs.map(encodeKeyConfig);
  const list = new Uint8Array(encoded.reduce((sum, { byteLength }) => sum + 2 + byteLength, 0));
  let at = 0;
  for (const config of encoded) {
    new DataView(list.buffer).setUint16(at, config.byteLength);
    list.set(config, at + 2);
    at += 2 + config.byteLength;
  }
  return list;
}

/** The configurations of a list that we can read; others are passed over, as RFC 9458, 3.2 wants. Throws `OhttpError`. */
export function decodeKeyConfigList(bytes: Uint8Array): readonly KeyConfig[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const configs: KeyConfig[] = [];
  for (let at = 0; at < bytes.byteLength; ) {
    if (at + 2 > bytes.byteLength) throw new OhttpError("not a list of key configurations");
    const end = at + 2 + view.getUint16(at);
    if (end > bytes.byteLength) throw new OhttpError("not a list of key configurations");
    try {
      configs.push(decodeKeyConfig(bytes.subarray(at + 2, end)));
    } catch (error) {
      if (!(error instanceof OhttpError)) throw error;
    }
    at = end;
  }
  return configs;
}
