/** Counters since start, and what there is now. `out`: leaving the relay; `in`: entering. */
export interface LiveMetrics {
  sessionsOpened: number;
  sessionsClosed: number;
  subscriptionsOpened: number;
  subscriptionsClosed: number;
  upstreamSubscriptions: number;
  bytesIn: number;
  bytesOut: number;
  groupsIn: number;
  groupsOut: number;
  /** Groups a slow subscriber did not get. */
  groupsSkipped: number;
  fetches: number;
}

export const newLiveMetrics = (): LiveMetrics => ({
  sessionsOpened: 0,
  sessionsClosed: 0,
  subscriptionsOpened: 0,
  subscriptionsClosed: 0,
  upstreamSubscriptions: 0,
  bytesIn: 0,
  bytesOut: 0,
  groupsIn: 0,
  groupsOut: 0,
  groupsSkipped: 0,
  fetches: 0,
});
