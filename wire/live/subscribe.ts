import { concatBytes } from "#core/bytes.ts";
import { Decoder } from "./decoder.ts";
import { encodeMessage, encodeType } from "./encoder.ts";
import { LiveProtocolError } from "./error-code.ts";
import type { LiteVersion } from "./version.ts";

/** How a subscriber wants a track. */
export interface SubscribeOptions {
  /** Higher goes first; 0 to 255. */
  priority: number;
  /** Older groups before newer ones. */
  ordered: boolean;
  /** A group older than this is given up once a newer one exists; 0 leaves it to the publisher. */
  latencyMaxMs: number;
  /** First group; `undefined`: the latest. */
  startGroup: number | undefined;
  /** Last group; `undefined`: open. */
  endGroup: number | undefined;
}

export interface Subscribe extends SubscribeOptions {
  /** Chosen by the subscriber; names the subscription on Group streams. */
  id: number;
  broadcast: string;
  track: string;
}

const optionalGroup = (value: number): number | undefined => (value === 0 ? undefined : value - 1);

const decodeOptions = (from: Decoder, version: LiteVersion): SubscribeOptions => {
  const priority = from.u8();
  const later = version >= 3;
  return {
    priority,
    ordered: later ? from.bool() : false,
    latencyMaxMs: later ? from.varint() : 0,
    startGroup: later ? optionalGroup(from.varint()) : undefined,
    endGroup: later ? optionalGroup(from.varint()) : undefined,
  };
};

type OptionsEncoder = (options: SubscribeOptions) => Parameters<typeof encodeMessage>[0];

const optionsEncoder =
  (version: LiteVersion): OptionsEncoder =>
  (options) =>
  (body) => {
    body.u8(options.priority);
    if (version < 3) return;
    body.bool(options.ordered).varint(options.latencyMaxMs);
    body.varint(options.startGroup === undefined ? 0 : options.startGroup + 1);
    body.varint(options.endGroup === undefined ? 0 : options.endGroup + 1);
  };

export const encodeSubscribe = (subscribe: Subscribe, version: LiteVersion): Uint8Array =>
  encodeMessage((body) => {
    body.varint(subscribe.id).string(subscribe.broadcast).string(subscribe.track);
    optionsEncoder(version)(subscribe)(body);
  });

export function decodeSubscribe(bytes: Uint8Array, version: LiteVersion): Subscribe {
  const from = new Decoder(bytes);
  const id = from.varint();
  const broadcast = from.string();
  const track = from.string();
  const subscribe = { id, broadcast, track, ...decodeOptions(from, version) };
  from.end();
  return subscribe;
}

export const encodeSubscribeUpdate = (options: SubscribeOptions, version: LiteVersion): Uint8Array =>
  encodeMessage(optionsEncoder(version)(options));

export function decodeSubscribeUpdate(bytes: Uint8Array, version: LiteVersion): SubscribeOptions {
  const from = new Decoder(bytes);
  const options = decodeOptions(from, version);
  from.end();
  return options;
}

/** SUBSCRIBE_OK as versions 01 to 04 expect it; 05 has none. */
export function encodeSubscribeOk(options: SubscribeOptions, version: LiteVersion): Uint8Array {
  if (version === 1) return encodeMessage((body) => body.u8(options.priority));
  if (version === 2) return encodeMessage(() => {});
  return concatBytes(encodeType(0), encodeSubscribeUpdate(options, version));
}

/** What a publisher of 05 says on a subscription; a range that ends is exclusive of `group`, 0 where nothing came. */
export const encodeSubscribeStart = (group: number): Uint8Array =>
  concatBytes(
    encodeType(0),
    encodeMessage((body) => body.varint(group)),
  );

export const encodeSubscribeEnd = (group: number): Uint8Array =>
  concatBytes(
    encodeType(1),
    encodeMessage((body) => body.varint(group)),
  );

/** Groups `start` to `end`, both included, will not come (03 and later). */
export const encodeSubscribeDrop = (
  start: number,
  end: number,
  code: number,
  version: LiteVersion,
): Uint8Array =>
  concatBytes(
    encodeType(version >= 5 ? 2 : 1),
    encodeMessage((body) => body.varint(start).varint(end).varint(code)),
  );

/** What a subscriber learns on its subscription's stream. */
export type SubscribeReply =
  | { kind: "ok" }
  | { kind: "start"; group: number }
  | { kind: "end"; group: number }
  | { kind: "drop"; start: number; end: number; code: number };

/** Reads the reply that follows `type` (03 and later). */
export function decodeSubscribeReply(type: number, bytes: Uint8Array, version: LiteVersion): SubscribeReply {
  const from = new Decoder(bytes);
  const reply = replyOf(type, from, version);
  from.end();
  return reply;
}

function replyOf(type: number, from: Decoder, version: LiteVersion): SubscribeReply {
  if (type === (version >= 5 ? 2 : 1)) {
    return { kind: "drop", start: from.varint(), end: from.varint(), code: from.varint() };
  }
  if (version >= 5 && type === 0) return { kind: "start", group: from.varint() };
  if (version >= 5 && type === 1) return { kind: "end", group: from.varint() };
  if (version < 5 && type === 0) {
    decodeOptions(from, version);
    return { kind: "ok" };
  }
  throw new LiveProtocolError("an unknown reply to a subscription");
}
