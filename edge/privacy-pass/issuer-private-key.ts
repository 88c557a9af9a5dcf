import {
  constants,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  privateEncrypt,
} from "node:crypto";
import { type IssuerKey, parseIssuerKey } from "#wire/privacy-pass/issuer-key.ts";

export interface IssuerPrivateKey {
  readonly key: IssuerKey;
  /** The private key's bare operation on 256 bytes; undefined where the number is not below the modulus. */
  readonly rawRsaSign: (blinded: Uint8Array) => Uint8Array | undefined;
}

/**
 * An issuer's key from a PEM file of an RSA private key of 2048 bits, or a fresh one. Throws `RangeError` for another
 * kind of key, and the platform's own error for what is no key.
 */
export function openIssuerPrivateKey(pem?: string): IssuerPrivateKey {
  const privateKey =
    pem === undefined
      ? generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey
      : createPrivateKey(pem);
  const der = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  const key = parseIssuerKey(der);
  if (privateKey.asymmetricKeyType !== "rsa" || !key)
    throw new RangeError("the issuer's key is not an RSA key of 2048 bits");
  return {
    key,
    rawRsaSign(blinded) {
      try {
        // OpenSSL blinds the operation against timing and checks its result before it leaves.
        return privateEncrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, blinded);
      } catch {
        return undefined;
      }
    },
  };
}
