/** Bytes written as hex; spaces are for the reader. */
export function hex(text: string): Uint8Array<ArrayBuffer> {
  const digits = text.replaceAll(" ", "");
  return Uint8Array.from({ length: digits.length / 2 }, (_, at) =>
    Number.parseInt(digits.slice(at * 2, at * 2 + 2), 16),
  );
}

export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
