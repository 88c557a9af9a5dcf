import { Decoder } from "../decoder.ts";
import type { Encoder } from "../encoder.ts";
import { LiveProtocolError, liveError } from "../error-code.ts";
import { type Draft, draftOf } from "./draft.ts";
import { IetfProtocolError, sessionCode } from "./error.ts";
import { decoderOf, encoderOf } from "./integers.ts";
import { encodeControl, messageType } from "./message.ts";

/** What one side says of itself as a session begins. */
export interface SetupOptions {
  /** Path and query, where the transport has no URL. */
  path?: string;
  /** Request ids below it may be used; 0 where it is not said (up to 16). */
  maxRequestId?: number;
  /** AUTHORIZATION TOKEN, as they came. */
  tokens: Uint8Array[];
  /**
   * The remote knows SOLICIT: true, it wants to be told of broadcasts only where it asked; absent, it may not ask at all.
   */
  solicit?: boolean;
  /** Its own id, which agrees on HOP_PATH; 0 is nobody's. */
  hop?: bigint;
  /** What it calls itself; nothing depends on it. */
  implementation?: string;
}

const optionType = {
  path: 0x01,
  maxRequestId: 0x02,
  authorizationToken: 0x03,
  implementation: 0x07,
  relayHops: 0x40b55,
  solicit: 0x40b5a,
} as const;

const optionsMax = 64;
const text = new TextDecoder("utf-8", { fatal: true });

/** Reads what is left: with a count up to draft 16, to the end from 17 on. */
export function decodeSetupOptions(from: Decoder, draft: Draft): SetupOptions {
  const options: SetupOptions = { tokens: [] };
  const seen = new Set<bigint>();
  const count = draft.requestStreams ? undefined : from.varint();
  let type = 0n;
  for (let read = 0; count === undefined ? from.left > 0 : read < count; read++) {
    if (read === optionsMax) throw new LiveProtocolError("too many options", liveError.tooManyParameters);
    type = draft.deltaTypes ? type + from.bigVarint() : from.bigVarint();
    if (seen.has(type) && type !== BigInt(optionType.authorizationToken)) {
      throw new IetfProtocolError("an option is given twice");
    }
    seen.add(type);
    if (type % 2n === 0n) takeNumber(type, from.bigVarint(), options);
    else takeBytes(type, from.bytes(), draft, options);
  }
  from.end();
  return options;
}

function takeNumber(type: bigint, value: bigint, into: SetupOptions): void {
  if (type === BigInt(optionType.maxRequestId)) {
    into.maxRequestId = Number(value < BigInt(Number.MAX_SAFE_INTEGER) ? value : Number.MAX_SAFE_INTEGER);
  }
  if (type === BigInt(optionType.solicit)) into.solicit = value !== 0n;
}

function takeBytes(type: bigint, value: Uint8Array, draft: Draft, into: SetupOptions): void {
  if (type === BigInt(optionType.authorizationToken)) into.tokens.push(value);
  if (type === BigInt(optionType.path)) into.path = decodePath(value);
  if (type === BigInt(optionType.relayHops) && draft.hopPath) {
    const from = decoderOf(value, draft);
    into.hop = from.bigVarint();
    from.end();
  }
}

function decodePath(value: Uint8Array): string {
  try {
    return text.decode(value);
  } catch {
    throw new IetfProtocolError("the path is no text", sessionCode.invalidPath);
  }
}

const utf8 = new TextEncoder();

export function encodeSetupOptions(to: Encoder, options: Partial<SetupOptions>, draft: Draft): void {
  const { path, maxRequestId, tokens = [], hop, solicit, implementation } = options;
  const hopId = draft.hopPath && hop !== undefined ? encoderOf(draft).bigVarint(hop).finish() : undefined;
  const all: [type: number, value: number | Uint8Array | undefined][] = [
    [optionType.path, path === undefined ? undefined : utf8.encode(path)],
    [optionType.maxRequestId, draft.requestStreams ? undefined : maxRequestId],
    ...tokens.map((token): [number, Uint8Array] => [optionType.authorizationToken, token]),
    [optionType.implementation, implementation === undefined ? undefined : utf8.encode(implementation)],
    [optionType.relayHops, hopId],
    [optionType.solicit, solicit === undefined ? undefined : Number(solicit)],
  ];
  const given = all.filter(([, value]) => value !== undefined);
  if (!draft.requestStreams) to.varint(given.length);
  let before = 0;
  for (const [type, value] of given) {
    to.varint(draft.deltaTypes ? type - before : type);
    before = type;
    if (typeof value === "number") to.varint(value);
    else to.bytes(value!);
  }
}

const versionIdOf = (draft: Draft): number => 0xff00_0000 + draft.number;

/** The number by which SETUP names draft 14, the one draft it can choose. */
export const draft14VersionId = versionIdOf(draftOf(14));

/** CLIENT_SETUP as it opens a session up to draft 16; only 14 names versions. */
export const encodeClientSetup = (options: Partial<SetupOptions>, draft: Draft): Uint8Array =>
  encodeControl(draft, messageType.clientSetup, (body) => {
    if (draft.versionsInSetup) body.varint(1).varint(versionIdOf(draft));
    encodeSetupOptions(body, options, draft);
  });

/** The body of CLIENT_SETUP, where the version was named before (15 and 16). */
export const decodeClientSetup = (body: Uint8Array, draft: Draft): SetupOptions =>
  decodeSetupOptions(decoderOf(body, draft), draft);

export const encodeServerSetup = (options: Partial<SetupOptions>, draft: Draft): Uint8Array =>
  encodeControl(draft, messageType.serverSetup, (body) => {
    if (draft.versionsInSetup) body.varint(versionIdOf(draft));
    encodeSetupOptions(body, options, draft);
  });

export function decodeServerSetup(body: Uint8Array, draft: Draft): SetupOptions {
  const from = new Decoder(body);
  if (draft.versionsInSetup && from.varint() !== versionIdOf(draft)) {
    throw new IetfProtocolError(
      "the server chose a version we do not speak",
      sessionCode.versionNegotiationFailed,
    );
  }
  return decodeSetupOptions(from, draft);
}

/** SETUP as each side sends it on a stream of its own from draft 17 on; its type is the stream's as well. */
export const encodeSetup = (options: Partial<SetupOptions>, draft: Draft): Uint8Array =>
  encodeControl(draft, messageType.setup, (body) => encodeSetupOptions(body, options, draft));

export const decodeSetup = (body: Uint8Array, draft: Draft): SetupOptions =>
  decodeSetupOptions(decoderOf(body, draft), draft);
