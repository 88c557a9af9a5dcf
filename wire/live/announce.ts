import { Decoder } from "./decoder.ts";
import { encodeMessage } from "./encoder.ts";
import { decodeError } from "./error-code.ts";
import type { LiteVersion } from "./version.ts";

/** Most relays an announcement may have passed. */
export const hopsMax = 32;

/** An origin that nobody knows: what moq-lite 03, which only counts, leaves of a hop. */
export const unknownOrigin = 0n;

export interface AnnounceRequest {
  prefix: string;
  /** Announcements that passed this origin are not wanted; 0 means none (04 and later). */
  excludeHop: bigint;
}

export interface Announcement {
  active: boolean;
  /** Relative to the prefix asked for; `""` if equal. */
  suffix: string;
  /** Origins passed, the publisher's first; empty before 03 and when ended. */
  hops: bigint[];
}

export function encodeAnnounceRequest(request: AnnounceRequest, version: LiteVersion): Uint8Array {
  return encodeMessage((body) => {
    body.string(request.prefix);
    if (version >= 4) body.bigVarint(request.excludeHop);
  });
}

export function decodeAnnounceRequest(bytes: Uint8Array, version: LiteVersion): AnnounceRequest {
  const from = new Decoder(bytes);
  const prefix = from.string();
  const excludeHop = version >= 4 ? from.bigVarint() : 0n;
  from.end();
  return { prefix, excludeHop };
}

export function encodeAnnouncement(announcement: Announcement, version: LiteVersion): Uint8Array {
  return encodeMessage((body) => {
    body.u8(announcement.active ? 1 : 0).string(announcement.suffix);
    if (version < 3) return;
    body.varint(announcement.hops.length);
    if (version >= 4) for (const hop of announcement.hops) body.bigVarint(hop);
  });
}

export function decodeAnnouncement(bytes: Uint8Array, version: LiteVersion): Announcement {
  const from = new Decoder(bytes);
  const status = from.u8();
  // Status 2, a restart, stands for a second active (05).
  if (status > (version >= 5 ? 2 : 1)) throw decodeError("an unknown announce status");
  const suffix = from.string();
  const count = version >= 3 ? from.varint() : 0;
  if (count > hopsMax) throw decodeError("too many hops");
  const hops = Array.from({ length: count }, () => (version >= 4 ? from.bigVarint() : unknownOrigin));
  from.end();
  return { active: status !== 0, suffix, hops };
}

/** The first reply of 01 and 02: all that is active. */
export const encodeAnnounceInit = (suffixes: readonly string[]): Uint8Array =>
  encodeMessage((body) => {
    body.varint(suffixes.length);
    for (const suffix of suffixes) body.string(suffix);
  });

export function decodeAnnounceInit(bytes: Uint8Array): string[] {
  const from = new Decoder(bytes);
  const count = from.varint();
  if (count > bytes.length) throw decodeError("more suffixes than bytes");
  const suffixes = Array.from({ length: count }, () => from.string());
  from.end();
  return suffixes;
}

/** The first reply of 05: who answers, and how many announcements follow at once. */
export const encodeAnnounceOk = (origin: bigint, active: number): Uint8Array =>
  encodeMessage((body) => body.bigVarint(origin).varint(active));

export function decodeAnnounceOk(bytes: Uint8Array): { origin: bigint; active: number } {
  const from = new Decoder(bytes);
  const ok = { origin: from.bigVarint(), active: from.varint() };
  from.end();
  return ok;
}
