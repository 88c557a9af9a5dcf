/** Variable-length integers (RFC 9000, 16): one, two, four or eight bytes, the first two bits say which. */
export function varintSize(value: number): 1 | 2 | 4 | 8 {
  if (value < 0x40) return 1;
  if (value < 0x4000) return 2;
  return value < 0x4000_0000 ? 4 : 8;
}

const sizeBits = { 1: 0x00, 2: 0x40, 4: 0x80, 8: 0xc0 } as const;

/** Appends the shortest form of a whole number below 2^53. */
export function pushVarint(to: number[], value: number): void {
  const size = varintSize(value);
  for (let at = size - 1; at >= 0; at--) {
    const byte = Math.floor(value / 2 ** (8 * at)) % 256;
    to.push(at === size - 1 ? byte | sizeBits[size] : byte);
  }
}
