/** Bounds of a live session; each has a default. */
export interface LiveLimits {
  /** How long a connection, and what the relay has to say before it is of use, may take. */
  readonly connectMaxMs: number;
  /** WebTransport is tried this long before a WebSocket is opened beside it. */
  readonly webTransportHeadStartMs: number;
  /** How long the relay may take to answer a subscription. */
  readonly subscribeMaxMs: number;
  /** A larger group is given up: its publisher is told so by `write`, its subscriber sees it as lost. */
  readonly groupMaxBytes: number;
  /** What may wait to be read of one subscription; the oldest groups make room. */
  readonly bufferMaxBytes: number;
  readonly bufferMaxGroups: number;
  /** What may wait to be sent of all that is published; the oldest groups make room. */
  readonly backlogMaxBytes: number;
  /** How long a group is kept for a slow reader once a newer one exists, where neither side of a track says. */
  readonly latencyMaxMs: number;
  /** How long a reader who wants groups in order waits for one that others overtook. */
  readonly reorderMaxMs: number;
  /** How often the relay is told that we live, where the connection has a way to. */
  readonly pingMs: number;
  /** A relay that answers no ping for so long counts as gone. */
  readonly silenceMaxMs: number;
  /** Broadcasts one watch may learn of; a relay that announces more is left. */
  readonly announcementsMax: number;
  /** Streams the relay may have open with us, of each kind, and bytes of them under way. */
  readonly streamsMax: number;
  readonly windowBytes: number;
}

export const LIVE_LIMITS: LiveLimits = {
  connectMaxMs: 10_000,
  webTransportHeadStartMs: 500,
  subscribeMaxMs: 10_000,
  groupMaxBytes: 16 * 2 ** 20,
  bufferMaxBytes: 16 * 2 ** 20,
  bufferMaxGroups: 64,
  backlogMaxBytes: 4 * 2 ** 20,
  latencyMaxMs: 5_000,
  reorderMaxMs: 200,
  pingMs: 5_000,
  silenceMaxMs: 30_000,
  announcementsMax: 10_000,
  streamsMax: 1_000,
  windowBytes: 8 * 2 ** 20,
};

/** Longest message of a control stream, in either direction. */
export const controlMaxBytes = 65_536;
