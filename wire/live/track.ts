import { Decoder } from "./decoder.ts";
import { encodeMessage } from "./encoder.ts";
import { LiveProtocolError } from "./error-code.ts";

export interface TrackName {
  broadcast: string;
  track: string;
}

/** What a publisher says of a track, once; it never changes (05 and later). */
export interface TrackInfo {
  priority: number;
  ordered: boolean;
  latencyMaxMs: number;
  /** Ticks a second of the timestamps; at least 1. */
  timescale: number;
}

export const encodeTrackName = (name: TrackName): Uint8Array =>
  encodeMessage((body) => body.string(name.broadcast).string(name.track));

export function decodeTrackName(bytes: Uint8Array): TrackName {
  const from = new Decoder(bytes);
  const name = { broadcast: from.string(), track: from.string() };
  from.end();
  return name;
}

export const encodeTrackInfo = (info: TrackInfo): Uint8Array =>
  encodeMessage((body) =>
    body.u8(info.priority).bool(info.ordered).varint(info.latencyMaxMs).varint(info.timescale),
  );

export function decodeTrackInfo(bytes: Uint8Array): TrackInfo {
  const from = new Decoder(bytes);
  const info = {
    priority: from.u8(),
    ordered: from.bool(),
    latencyMaxMs: from.varint(),
    timescale: from.varint(),
  };
  from.end();
  if (info.timescale === 0) throw new LiveProtocolError("a timescale of 0");
  return info;
}

/** One group of a track, wanted as bare frames (05 and later). */
export interface Fetch extends TrackName {
  priority: number;
  group: number;
}

export const encodeFetch = (fetch: Fetch): Uint8Array =>
  encodeMessage((body) =>
    body.string(fetch.broadcast).string(fetch.track).u8(fetch.priority).varint(fetch.group),
  );

export function decodeFetch(bytes: Uint8Array): Fetch {
  const from = new Decoder(bytes);
  const fetch = {
    broadcast: from.string(),
    track: from.string(),
    priority: from.u8(),
    group: from.varint(),
  };
  from.end();
  return fetch;
}
