import { Decoder } from "./decoder.ts";
import { encodeMessage } from "./encoder.ts";
import type { Estimate } from "./transport.ts";
import type { LiteVersion } from "./version.ts";

/** PROBE: what the sender thinks of the way to the other side; 0 is unknown, so that a measured 0 becomes 1. */
export const encodeProbe = ({ bitsPerSecond, rttMs }: Estimate, version: LiteVersion): Uint8Array =>
  encodeMessage((body) => {
    body.varint(onWire(bitsPerSecond));
    if (version >= 4) body.varint(onWire(rttMs));
  });

export function decodeProbe(body: Uint8Array, version: LiteVersion): Estimate {
  const from = new Decoder(body);
  const bitsPerSecond = from.varint() || undefined;
  const rttMs = version >= 4 ? from.varint() || undefined : undefined;
  from.end();
  return { bitsPerSecond, rttMs };
}

const onWire = (value: number | undefined): number =>
  value === undefined ? 0 : Math.max(1, Math.min(Math.round(value), Number.MAX_SAFE_INTEGER));
