import { concatBytes } from "#core/bytes.ts";
import { ByteReader, u16Bytes, vector8, vector16 } from "./byte-reader.ts";

/** What an origin asks a token for (RFC 9577, 2.1). */
export interface TokenChallenge {
  readonly tokenType: number;
  /** Host name of the issuer, not empty. */
  readonly issuerName: string;
  /** 0 or 32 bytes. */
  readonly redemptionContext: Uint8Array;
  /** What the token is for; bytes, because drafts differ in the form (`scope.ts`). */
  readonly originInfo: Uint8Array;
}

/** Throws `RangeError` for a field beyond its length. */
export function encodeChallenge(challenge: TokenChallenge): Uint8Array<ArrayBuffer> {
  return concatBytes(
    u16Bytes(challenge.tokenType),
    vector16(new TextEncoder().encode(challenge.issuerName)),
    vector8(challenge.redemptionContext),
    vector16(challenge.originInfo),
  );
}

/** Undefined for what is none. */
export function decodeChallenge(bytes: Uint8Array): TokenChallenge | undefined {
  const from = new ByteReader(bytes);
  const tokenType = from.u16();
  const issuerName = decodeText(from.take(from.u16()));
  const redemptionContext = from.take(from.u8());
  const originInfo = from.take(from.u16());
  if (!from.complete || !issuerName || ![0, 32].includes(redemptionContext.length)) return undefined;
  return { tokenType, issuerName, redemptionContext, originInfo };
}

function decodeText(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
