/** Bytes that own their memory, as `fetch` and Web Cryptography want them. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** Equality of public values. Not constant in time: never for secrets. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

export const utf8 = (text: string): Bytes => new TextEncoder().encode(text);

/** Strict UTF-8; throws a `TypeError` on anything else. A byte-order mark stays, so that encoding gives the same bytes. */
export const fromUtf8 = (bytes: Uint8Array): string =>
  new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
