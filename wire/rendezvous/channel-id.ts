import { RelayError } from "#core/errors.ts";

/** The longest id, in bytes after percent-decoding (protocol/rendezvous.md, "Ids"). */
export const channelIdMaxBytes = 256;

// A byte order mark is part of the id: dropping it would make two ids one.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

function hexValue(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const letter = code | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

/**
 * The id named by one raw path segment, decoded once: `%2F` becomes part of the id, `+` stays `+`, what is not valid
 * percent-encoding stays literally.
 *
 * Throws `id_not_utf8` when the bytes are not UTF-8, and `tooLong` when they are more than 256.
 */
export function parseChannelId(
  segment: string,
  tooLong: "inbox_id_too_long" | "channel_id_too_long",
): string {
  // Almost every id is plain base64url: nothing to decode, one byte a character.
  if (/^[!-$&-~]*$/.test(segment)) {
    if (segment.length > channelIdMaxBytes) throw new RelayError(tooLong);
    return segment;
  }
  // A server that reads header bytes as Latin-1 gives raw UTF-8 as one character a byte.
  const latin1 = [...segment].every((character) => character.codePointAt(0)! < 0x100);
  const raw = latin1 ? Uint8Array.from(segment, (c) => c.charCodeAt(0)) : encoder.encode(segment);
  const bytes = new Uint8Array(raw.length);
  let length = 0;
  for (let at = 0; at < raw.length; at++) {
    const high = raw[at] === 0x25 ? hexValue(raw[at + 1] ?? 0) : -1;
    const low = high < 0 ? -1 : hexValue(raw[at + 2] ?? 0);
    if (low < 0) bytes[length++] = raw[at]!;
    else {
      bytes[length++] = high * 16 + low;
      at += 2;
    }
  }
  let id: string;
  try {
    id = utf8.decode(bytes.subarray(0, length));
  } catch (cause) {
    throw new RelayError("id_not_utf8", { cause });
  }
  if (length > channelIdMaxBytes) throw new RelayError(tooLong);
  return id;
}
