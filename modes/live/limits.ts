/** The bounds of live. Each is an option of the daemon (`options.ts`). */
export interface LiveLimits {
  /** A group that grows beyond is given up. */
  groupMaxBytes: number;
  /** Groups kept in memory, all tracks together. The latest group of each track goes last. */
  cacheMaxBytes: number;
  /** How long a group is kept that is not its track's latest. */
  cacheMaxMs: number;
  /** Bytes that a subscriber may be behind before it skips groups. */
  backlogMaxBytes: number;
  /** Groups that a subscription may be behind before it skips some. */
  backlogMaxGroups: number;
  /** How long a track stays subscribed upstream after its last subscriber left. */
  trackIdleLingerMs: number;
  /** How long a broadcast stays announced after its publisher vanished without a word. */
  announceLingerMs: number;
  /** A session that has not said which version it speaks by then is closed. */
  setupTimeoutMs: number;
  /** How long a track request waits for the publisher's answer. */
  subscribeTimeoutMs: number;
  /** Largest message on a control stream, and most that waits to be sent on one. */
  controlMaxBytes: number;
  /** Tracks of one broadcast that are subscribed at once. */
  tracksMax: number;
  /** For each session. */
  subscriptionsMax: number;
  watchesMax: number;
  announcementsMax: number;
  /** Sessions at once. */
  sessionsMax: number;
}

export const defaultLiveLimits: LiveLimits = {
  groupMaxBytes: 32 * 1024 * 1024,
  cacheMaxBytes: 512 * 1024 * 1024,
  cacheMaxMs: 5_000,
  backlogMaxBytes: 4 * 1024 * 1024,
  backlogMaxGroups: 1_000,
  trackIdleLingerMs: 30_000,
  announceLingerMs: 5_000,
  setupTimeoutMs: 10_000,
  subscribeTimeoutMs: 10_000,
  controlMaxBytes: 64 * 1024,
  tracksMax: 1_000,
  subscriptionsMax: 1_000,
  watchesMax: 100,
  announcementsMax: 1_000,
  sessionsMax: 10_000,
};
