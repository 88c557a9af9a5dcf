import { concatBytes } from "#core/bytes.ts";
import { type Decoder, decodeText } from "./decoder.ts";
import { Encoder } from "./encoder.ts";
import { LiveProtocolError } from "./error-code.ts";

/** Types of the older WebSocket framing, subprotocol `webtransport`: one frame a message. */
export const legacyFrame = {
  reset: 0x04,
  stopSending: 0x05,
  stream: 0x08,
  streamFin: 0x09,
  close: 0x1d,
} as const;

export const encodeLegacyReset = (id: number, code: number): Uint8Array =>
  new Encoder().u8(legacyFrame.reset).varint(id).varint(code).finish();

export const encodeLegacyStopSending = (id: number, code: number): Uint8Array =>
  new Encoder().u8(legacyFrame.stopSending).varint(id).varint(code).finish();

export const encodeLegacyClose = (code: number, reason: string): Uint8Array =>
  concatBytes(new Encoder().u8(legacyFrame.close).varint(code).finish(), new TextEncoder().encode(reason));

/** Who learns of the frame in a message. */
export interface LegacySink {
  onStream(id: number, offset: undefined, data: Uint8Array, fin: boolean): void;
  onReset(id: number, code: number, finalSize: undefined): void;
  onStopSending(id: number, code: number): void;
  onClose(code: number, reason: string, byApplication: boolean): void;
}

/** Hands the one frame of a message to `sink`; throws `LiveProtocolError` where there is none. */
export function decodeLegacy(message: Uint8Array, from: Decoder, sink: LegacySink): void {
  from.reset(message);
  const type = from.varint();
  switch (type) {
    case legacyFrame.stream:
    case legacyFrame.streamFin: {
      const id = from.varint();
      sink.onStream(id, undefined, from.rest(), type === legacyFrame.streamFin);
      return;
    }
    case legacyFrame.reset:
      sink.onReset(from.varint(), from.varint(), undefined);
      from.end();
      return;
    case legacyFrame.stopSending:
      sink.onStopSending(from.varint(), from.varint());
      from.end();
      return;
    // Some clients name a close by 0x1c; nobody sends it, so it is only read.
    case 0x1c:
    case legacyFrame.close: {
      const code = from.varint();
      sink.onClose(code, decodeText(from.rest()), type === legacyFrame.close);
      return;
    }
    default:
      throw new LiveProtocolError("an unknown frame");
  }
}
