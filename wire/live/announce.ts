import { concatBytes } from "#core/bytes.ts";
import { Decoder } from "./decoder.ts";
import { type Encoder, encodeMessage, encodeType } from "./encoder.ts";
import { decodeError } from "./error-code.ts";
import type { LiteVersion } from "./version.ts";

/** Most relays an announcement may have passed. */
export const hopsMax = 32;

/** An origin that nobody knows: what moq-lite 03, which only counts, leaves of a hop. */
export const unknownOrigin = 0n;

export interface AnnounceRequest {
  prefix: string;
  /** Announcements that passed this origin are not wanted; 0 means none (04 and 05; 06 says it in SETUP). */
  excludeHop: bigint;
}

export interface Announcement {
  active: boolean;
  /** Relative to the prefix asked for; `""` if equal. */
  suffix: string;
  /** Origins passed, the publisher's first; empty before 03 and when ended. */
  hops: bigint[];
}

const excludesHop = (version: LiteVersion): boolean => version === 4 || version === 5;

export function encodeAnnounceRequest(request: AnnounceRequest, version: LiteVersion): Uint8Array {
  return encodeMessage((body) => {
    body.string(request.prefix);
    if (excludesHop(version)) body.bigVarint(request.excludeHop);
  });
}

export function decodeAnnounceRequest(bytes: Uint8Array, version: LiteVersion): AnnounceRequest {
  const from = new Decoder(bytes);
  const prefix = from.string();
  const excludeHop = excludesHop(version) ? from.bigVarint() : 0n;
  from.end();
  return { prefix, excludeHop };
}

/** Up to 05. */
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
  const hops = version >= 3 ? decodeHops(from, () => (version >= 4 ? from.bigVarint() : unknownOrigin)) : [];
  from.end();
  return { active: status !== 0, suffix, hops };
}

function decodeHops(from: Decoder, decodeHop: () => bigint): bigint[] {
  const count = from.varint();
  if (count > hopsMax) throw decodeError("too many hops");
  return Array.from({ length: count }, decodeHop);
}

/** A way to a broadcast, as 06 tells of it. */
export interface PricedWay {
  hops: bigint[];
  /** What the crossings of links on it cost together, the one to us not among them. */
  cost: number;
}

/**
 * What 06 says of broadcasts. The starts on a stream have numbers, from 0 on, by which the same broadcast is named later.
 */
export type NumberedAnnouncement =
  | ({ kind: "start"; suffix: string } & PricedWay)
  | { kind: "end"; number: number }
  | ({ kind: "update"; number: number } & PricedWay);

const numberedType = { start: 0, end: 1, update: 2 } as const;

/** With its type, which is outside of the message. */
export const encodeNumberedAnnouncement = (announcement: NumberedAnnouncement): Uint8Array =>
  concatBytes(
    encodeType(numberedType[announcement.kind]),
    encodeMessage((body) => {
      if (announcement.kind === "start") body.string(announcement.suffix);
      else body.varint(announcement.number);
      if (announcement.kind !== "end") encodeWay(body, announcement);
    }),
  );

function encodeWay(body: Encoder, { hops, cost }: PricedWay): void {
  body.varint(hops.length);
  for (const hop of hops) body.bigVarint(hop);
  body.varint(cost);
}

/** Reads the message that follows `type`. */
export function decodeNumberedAnnouncement(type: number, bytes: Uint8Array): NumberedAnnouncement {
  const from = new Decoder(bytes);
  const announcement = numberedOf(type, from);
  from.end();
  return announcement;
}

function numberedOf(type: number, from: Decoder): NumberedAnnouncement {
  if (type === numberedType.start) return { kind: "start", suffix: from.string(), ...decodeWay(from) };
  if (type === numberedType.end) return { kind: "end", number: from.varint() };
  if (type === numberedType.update) return { kind: "update", number: from.varint(), ...decodeWay(from) };
  throw decodeError("an unknown kind of announcement");
}

const decodeWay = (from: Decoder): PricedWay => ({
  hops: decodeHops(from, () => from.bigVarint()),
  cost: decodeCost(from),
});

/** A price; what no number of ours can hold is as dear as can be. */
export const decodeCost = (from: Decoder): number =>
  Math.min(Number(from.bigVarint()), Number.MAX_SAFE_INTEGER);

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

/** The first reply of 05 and 06: who answers, and how many announcements follow at once. */
export const encodeAnnounceOk = (origin: bigint, active: number): Uint8Array =>
  encodeMessage((body) => body.bigVarint(origin).varint(active));

export function decodeAnnounceOk(bytes: Uint8Array): { origin: bigint; active: number } {
  const from = new Decoder(bytes);
  const ok = { origin: from.bigVarint(), active: from.varint() };
  from.end();
  return ok;
}
