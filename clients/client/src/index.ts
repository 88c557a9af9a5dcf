/** The client library of the Postern relay: leave sealed messages for each other, and pick them up. */

export type { BackoffLimits as RetryLimits } from "../../../core/backoff.ts";
export type { Cancel, Clock, Entropy, Instant } from "../../../core/clock.ts";
export { type Code, formatCode, parseCode } from "./code.ts";
export {
  isPosternError,
  POSTERN_ERRORS,
  PosternError,
  type PosternErrorCode,
  type PosternErrorDetails,
} from "./errors.ts";
export type { Fetch, RequestLimits } from "./inbox-http.ts";
export {
  createRendezvous,
  type Message,
  type PlainRendezvousOptions,
  type Rendezvous,
  type RendezvousOptions,
  type RendezvousTrouble,
  type SealedRendezvousOptions,
  type SendOptions,
  type SentMessage,
  type WaitOptions,
} from "./rendezvous.ts";
export {
  channelIdOf,
  createSecret,
  type OpenedMessage,
  SEALED_OVERHEAD_BYTES,
  SECRET_BYTES,
  Sealer,
  type Secret,
} from "./sealing.ts";
