import * as wire from "../../../wire/base64url.ts";
import type { Bytes } from "./bytes.ts";
import { PubkyError } from "./errors.ts";

export const encodeBase64url: (bytes: Uint8Array) => string = wire.encodeBase64url;

/**
 * The one text of some bytes and no other: padding, foreign letters and stray last bits are refused, so that
 * no two texts mean the same signature or key.
 *
 * @throws PubkyError `base64url_malformed`
 */
export function decodeBase64url(text: string): Bytes {
  const bytes = wire.decodeBase64url(text);
  if (bytes === undefined) throw new PubkyError("base64url_malformed");
  return bytes;
}
