/** 32 bytes in hexadecimal, of either case: the name of a mailbox, of a key, of a gate. */
export function isHex64(text: string): boolean {
  return text.length === 64 && /^[0-9a-fA-F]+$/.test(text);
}
