import { concatBytes } from "#core/bytes.ts";
import { Decoder } from "./decoder.ts";
import { Encoder } from "./encoder.ts";
import { LiveProtocolError } from "./error-code.ts";

/** Types of the frames of qmux (draft-ietf-quic-qmux): QUIC's (RFC 9000, 19), and two of its own. */
export const qmuxFrame = {
  padding: 0x00,
  resetStream: 0x04,
  stopSending: 0x05,
  /** 0x08 to 0x0f; bits: 4 offset present, 2 length present, 1 FIN. */
  stream: 0x08,
  maxData: 0x10,
  maxStreamData: 0x11,
  maxStreamsBidi: 0x12,
  maxStreamsUni: 0x13,
  dataBlocked: 0x14,
  streamDataBlocked: 0x15,
  streamsBlockedBidi: 0x16,
  streamsBlockedUni: 0x17,
  transportClose: 0x1c,
  applicationClose: 0x1d,
  resetStreamAt: 0x24,
  datagram: 0x30,
  datagramLength: 0x31,
} as const;

const parametersFrame = 0x3f5153300d0a0d0an;
const pingFrame = 0x348c67529ef8c7bdn;
const pongFrame = 0x348c67529ef8c7ben;

/** The smallest and usual limit of a record, and of a frame in qmux-00. */
export const recordMinBytes = 16_382;
export const frameMaxBytesQmux00 = 16_384;

/** What a side grants the other, from the first message on. */
export interface QmuxParameters {
  idleTimeoutMs: number;
  /** Connection receive window, bytes. */
  maxData: number;
  /** Stream windows, bytes: bidi its owner opened, bidi the other side opened, uni. */
  maxStreamDataBidiLocal: number;
  maxStreamDataBidiRemote: number;
  maxStreamDataUni: number;
  /** Streams the other side may open. */
  maxStreamsBidi: number;
  maxStreamsUni: number;
  recordMaxBytes: number;
  /** Names of what its owner speaks, best first; only where no handshake came before. */
  protocols: readonly string[];
}

type NumberParameter = Exclude<keyof QmuxParameters, "protocols">;
const numberParameters: readonly [bigint, NumberParameter][] = [
  [0x01n, "idleTimeoutMs"],
  [0x04n, "maxData"],
  [0x05n, "maxStreamDataBidiLocal"],
  [0x06n, "maxStreamDataBidiRemote"],
  [0x07n, "maxStreamDataUni"],
  [0x08n, "maxStreamsBidi"],
  [0x09n, "maxStreamsUni"],
  [0x0571c59429cd0845n, "recordMaxBytes"],
];
const nameOf = new Map(numberParameters);
const applicationProtocols = 0x3d4f9c2a8b1e6075n;
const protocolsMax = 64;
const forbidden = (id: bigint): boolean =>
  id === 0n || id === 2n || id === 3n || (id >= 0x0an && id <= 0x10n);

/** The values of one who says nothing. */
const silent: QmuxParameters = {
  idleTimeoutMs: 0,
  maxData: 0,
  maxStreamDataBidiLocal: 0,
  maxStreamDataBidiRemote: 0,
  maxStreamDataUni: 0,
  maxStreamsBidi: 0,
  maxStreamsUni: 0,
  recordMaxBytes: recordMinBytes,
  protocols: [],
};

/** The parameters frame. Idle timeout and record size exist from qmux-01 on. */
export function encodeParameters(parameters: QmuxParameters, records: boolean): Uint8Array<ArrayBuffer> {
  const body = new Encoder();
  for (const [id, name] of numberParameters) {
    if (!records && (name === "idleTimeoutMs" || name === "recordMaxBytes")) continue;
    body.bigVarint(id).bytes(new Encoder().varint(parameters[name]).finish());
  }
  if (parameters.protocols.length > 0) {
    const names = new Encoder();
    for (const name of parameters.protocols) names.string(name);
    body.bigVarint(applicationProtocols).bytes(names.finish());
  }
  return new Encoder().bigVarint(parametersFrame).bytes(body.finish()).finish();
}

function decodeParameters(body: Uint8Array): QmuxParameters {
  const from = new Decoder(body);
  const parameters = { ...silent };
  const seen = new Set<bigint>();
  while (from.left > 0) {
    const id = from.bigVarint();
    if (seen.has(id)) throw new LiveProtocolError("a transport parameter is given twice");
    seen.add(id);
    const value = from.bytes();
    if (forbidden(id)) throw new LiveProtocolError("a transport parameter is not allowed here");
    if (id === applicationProtocols) parameters.protocols = decodeProtocols(value);
    const name = nameOf.get(id);
    if (name === undefined) continue;
    const number = new Decoder(value).bigVarint();
    parameters[name] = Number(number > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : number);
  }
  if (parameters.recordMaxBytes < recordMinBytes)
    throw new LiveProtocolError("a record limit that is too small");
  return parameters;
}

/** Who has nothing to name leaves the parameter out, so an empty list is nobody's. */
function decodeProtocols(value: Uint8Array): string[] {
  const from = new Decoder(value);
  const names: string[] = [];
  do {
    names.push(from.string());
  } while (from.left > 0 && names.length < protocolsMax);
  from.end();
  return names;
}

export const encodeReset = (id: number, code: number, finalSize: number): Uint8Array =>
  new Encoder().u8(qmuxFrame.resetStream).varint(id).varint(code).varint(finalSize).finish();

export const encodeStopSending = (id: number, code: number): Uint8Array =>
  new Encoder().u8(qmuxFrame.stopSending).varint(id).varint(code).finish();

export const encodeLimit = (type: number, value: number): Uint8Array =>
  new Encoder().u8(type).varint(value).finish();

export const encodeStreamLimit = (id: number, value: number): Uint8Array =>
  new Encoder().u8(qmuxFrame.maxStreamData).varint(id).varint(value).finish();

export const encodeApplicationClose = (code: number, reason: string): Uint8Array =>
  new Encoder().u8(qmuxFrame.applicationClose).varint(code).string(reason).finish();

export const encodeTransportClose = (code: number, reason: string): Uint8Array =>
  new Encoder().u8(qmuxFrame.transportClose).varint(code).varint(0).string(reason).finish();

export const encodePing = (sequence: number): Uint8Array =>
  new Encoder().bigVarint(pingFrame).varint(sequence).finish();

const encodePong = (sequence: Uint8Array): Uint8Array =>
  concatBytes(new Encoder().bigVarint(pongFrame).finish(), sequence);

/** Who learns of the frames in a message. Bytes handed over are views of the message. */
export interface QmuxSink {
  /** The session is over: the rest of the message is nobody's. */
  readonly ended: boolean;
  onStream(id: number, offset: number | undefined, data: Uint8Array, fin: boolean): void;
  onReset(id: number, code: number, finalSize: number): void;
  onStopSending(id: number, code: number): void;
  onMaxData(value: number): void;
  onMaxStreamData(id: number, value: number): void;
  onMaxStreams(uni: boolean, value: number): void;
  onParameters(parameters: QmuxParameters): void;
  /** The answer to a ping of ours. */
  onPong(sequence: bigint): void;
  /** A ping; `pong` is the answer to send. */
  onPing(sequence: bigint, pong: Uint8Array): void;
  onClose(code: number, reason: string, byApplication: boolean): void;
  /** Any frame but the parameters, before it is handed over. */
  onOther(): void;
}

/** Hands the frames of one message to `sink`, in order. Throws `LiveProtocolError` on the first that breaks a rule. */
export function decodeQmux(message: Uint8Array, from: Decoder, sink: QmuxSink): void {
  from.reset(message);
  while (from.left > 0 && !sink.ended) decodeFrame(message, from, sink);
}

function decodeFrame(message: Uint8Array, from: Decoder, sink: QmuxSink): void {
  const at = message.length - from.left;
  // Only the three frames of qmux's own have types of eight bytes.
  if (message[at]! >= 0xc0) {
    decodeOwnFrame(message, from, sink);
    return;
  }
  const type = from.varint();
  if (type === qmuxFrame.padding) return;
  sink.onOther();
  if (type >= 0x08 && type <= 0x0f) {
    const id = from.varint();
    const offset = type & 0x04 ? from.varint() : undefined;
    const data = type & 0x02 ? from.bytes() : from.rest();
    sink.onStream(id, offset, data, (type & 0x01) !== 0);
    return;
  }
  switch (type) {
    case qmuxFrame.resetStream:
      sink.onReset(from.varint(), codeOf(from), from.varint());
      return;
    case qmuxFrame.resetStreamAt: {
      const id = from.varint();
      const code = codeOf(from);
      const finalSize = from.varint();
      from.varint();
      sink.onReset(id, code, finalSize);
      return;
    }
    case qmuxFrame.stopSending:
      sink.onStopSending(from.varint(), codeOf(from));
      return;
    case qmuxFrame.maxData:
      sink.onMaxData(from.varint());
      return;
    case qmuxFrame.maxStreamData:
      sink.onMaxStreamData(from.varint(), from.varint());
      return;
    case qmuxFrame.maxStreamsBidi:
    case qmuxFrame.maxStreamsUni:
      sink.onMaxStreams(type === qmuxFrame.maxStreamsUni, from.varint());
      return;
    case qmuxFrame.streamDataBlocked:
      from.varint();
      from.varint();
      return;
    case qmuxFrame.dataBlocked:
    case qmuxFrame.streamsBlockedBidi:
    case qmuxFrame.streamsBlockedUni:
      from.varint();
      return;
    case qmuxFrame.applicationClose:
      sink.onClose(codeOf(from), from.string(), true);
      return;
    case qmuxFrame.transportClose: {
      const code = codeOf(from);
      from.varint();
      sink.onClose(code, from.string(), false);
      return;
    }
    default:
      throw new LiveProtocolError("an unknown frame");
  }
}

/** Codes may be anything below 2^62; those beyond 2^53 are nobody's and all alike. */
function codeOf(from: Decoder): number {
  const code = from.bigVarint();
  return code > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(code);
}

function decodeOwnFrame(message: Uint8Array, from: Decoder, sink: QmuxSink): void {
  const type = from.bigVarint();
  if (type === parametersFrame) {
    sink.onParameters(decodeParameters(from.bytes()));
    return;
  }
  sink.onOther();
  if (type !== pingFrame && type !== pongFrame) throw new LiveProtocolError("an unknown frame");
  const at = message.length - from.left;
  const sequence = from.bigVarint();
  if (type === pongFrame) sink.onPong(sequence);
  else sink.onPing(sequence, encodePong(message.slice(at, message.length - from.left)));
}
