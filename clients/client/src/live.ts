/** Live broadcasts through a relay: publish tracks of groups of frames, and subscribe to those of others. */

export type { Cancel, Clock, Entropy, Instant } from "../../../core/clock.ts";
export {
  isPosternError,
  POSTERN_ERRORS,
  PosternError,
  type PosternErrorCode,
  type PosternErrorDetails,
} from "./errors.ts";
export type { Announced, Announcement } from "./live/announced.ts";
export type { Broadcast, GroupWriter, TrackOptions, TrackWriter } from "./live/broadcast.ts";
export type { LiveTransport } from "./live/dial.ts";
export { SEALED_FRAME_OVERHEAD_BYTES } from "./live/frame-sealing.ts";
export type { LiveLimits } from "./live/limits.ts";
export {
  connectLive,
  type LiveConnection,
  type LiveEnd,
  type LiveOptions,
  type LiveSession,
  type LiveTrouble,
  type PublishOptions,
  type SubscribeOptions,
} from "./live/session.ts";
export type {
  GroupState,
  LiveFrame,
  LiveGroup,
  Subscription,
  SubscriptionOptions,
} from "./live/subscription.ts";
export { createSecret, SECRET_BYTES, type Secret } from "./sealing.ts";
