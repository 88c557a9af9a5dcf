/** Bytes that `value` takes as a QUIC variable-length integer (RFC 9000, 16). */
export function varintSize(value: number): 1 | 2 | 4 | 8 {
  if (value < 0x40) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x4000_0000) return 4;
  return 8;
}

/** Writes `value`, a whole number up to 2^53-1, and answers the index behind it. */
export function writeVarint(to: Uint8Array, at: number, value: number): number {
  if (value < 0x40) {
    to[at] = value;
    return at + 1;
  }
  if (value < 0x4000) {
    to[at] = 0x40 | (value >>> 8);
    to[at + 1] = value & 0xff;
    return at + 2;
  }
  if (value < 0x4000_0000) {
    to[at] = 0x80 | (value >>> 24);
    to[at + 1] = (value >>> 16) & 0xff;
    to[at + 2] = (value >>> 8) & 0xff;
    to[at + 3] = value & 0xff;
    return at + 4;
  }
  const high = Math.floor(value / 0x1_0000_0000);
  const low = value >>> 0;
  to[at] = 0xc0 | (high >>> 24);
  to[at + 1] = (high >>> 16) & 0xff;
  to[at + 2] = (high >>> 8) & 0xff;
  to[at + 3] = high & 0xff;
  to[at + 4] = low >>> 24;
  to[at + 5] = (low >>> 16) & 0xff;
  to[at + 6] = (low >>> 8) & 0xff;
  to[at + 7] = low & 0xff;
  return at + 8;
}

/** How many bytes the integer that starts with `first` takes: 1, 2, 4 or 8. */
export const varintLength = (first: number): number => 1 << (first >>> 6);
