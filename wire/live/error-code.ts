/** Codes of stream resets and session closes in moq-lite; from 64 on they are the application's. */
export const liveError = {
  cancel: 0,
  old: 2,
  timeout: 3,
  transport: 4,
  decode: 5,
  unauthorized: 6,
  version: 9,
  bounds: 11,
  duplicate: 12,
  notFound: 13,
  protocolViolation: 15,
  unsupported: 17,
  tooManyParameters: 19,
  dropped: 24,
  closed: 25,
  lagged: 26,
  frameTooLarge: 27,
  evicted: 31,
} as const;

/** A remote's bytes do not follow the protocol. `code` is what its session or stream is closed with. */
export class LiveProtocolError extends Error {
  override readonly name = "LiveProtocolError";
  readonly code: number;

  constructor(message: string, code: number = liveError.protocolViolation) {
    super(message);
    this.code = code;
  }
}

export const decodeError = (message: string): LiveProtocolError =>
  new LiveProtocolError(message, liveError.decode);
