import type { Entropy } from "#core/clock.ts";
import { requestInfo, responseLabel, responseNonceBytes, sealResponse } from "./response-keys.ts";
import { aeadById, type GatewayKey, kdfId, kemId, kemPublicKeyBytes, OhttpError } from "./suite.ts";

const headerBytes = 7;

/** A request that a gateway opened. */
export interface Opened {
  readonly request: Uint8Array;
  /** The client's ephemeral public key: never the same twice unless the capsule was submitted twice. */
  readonly enc: Uint8Array;
  /** Seals the one answer to this request. */
  sealResponse(response: Uint8Array, entropy: Entropy): Uint8Array<ArrayBuffer>;
}

/** The id of the key that a capsule was sealed to; undefined for what is too short to say. */
export function keyIdOf(capsule: Uint8Array): number | undefined {
  return capsule.byteLength < headerBytes + kemPublicKeyBytes ? undefined : capsule[0];
}

/** Opens a request with one of the gateway's keys (RFC 9458, 4.3). Throws `OhttpError`. */
export async function openRequest(key: GatewayKey, capsule: Uint8Array): Promise<Opened> {
  if (keyIdOf(capsule) !== key.id) throw new OhttpError("sealed to another key");
  const view = new DataView(capsule.buffer, capsule.byteOffset, headerBytes);
  const aeadId = view.getUint16(5);
  const aead = aeadById(aeadId);
  if (view.getUint16(1) !== kemId || view.getUint16(3) !== kdfId || !aead)
    throw new OhttpError("no such suite");
  const enc = capsule.slice(headerBytes, headerBytes + kemPublicKeyBytes);
  try {
    const recipient = await aead.suite.createRecipientContext({
      // The pair: from a private key alone the library would derive the public one each time.
      recipientKey: key.keyPair,
      enc,
      info: requestInfo(capsule.subarray(0, headerBytes)),
    });
    const sealed = capsule.subarray(headerBytes + kemPublicKeyBytes);
    const request = new Uint8Array(await recipient.open(sealed));
    const nonceBytes = responseNonceBytes(aeadId);
    const secret = new Uint8Array(await recipient.export(responseLabel, nonceBytes));
    return {
      request,
      enc,
      sealResponse: (response, entropy) =>
        sealResponse(aeadId, secret, enc, entropy.bytes(nonceBytes), response),
    };
  } catch (cause) {
    throw new OhttpError("request cannot be opened", { cause });
  }
}
