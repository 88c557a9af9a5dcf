import { bytes, duration, flag, integer } from "#core/options.ts";

/** What an operator may set for `/inbox` and `/link`. Names and defaults are the original relay's where it has them. */
export const rendezvousOptions = {
  inboxTimeoutMs: duration({
    default: "25s",
    atLeast: "1ms",
    atMost: "1h",
    doc: "Longest a request waits on `/inbox`. Keep it below the idle timeout of any proxy in front.",
  }),
  sdk06TimeoutMs: duration({
    default: "10m",
    atLeast: "1ms",
    atMost: "1h",
    doc: "Longest a request of version 0.6 of the Pubky SDK waits on `/inbox`, where its User-Agent tells (in Node). That version takes three ends of a wait in a row for a failure, so a longer wait gives a person more time to approve.",
  }),
  linkTimeoutMs: duration({
    default: "10m",
    atLeast: "1ms",
    atMost: "1h",
    doc: "Longest a request waits on `/link`, and how long a message posted there is kept.",
  }),
  inboxCacheTtlMs: duration({
    default: "5m",
    atLeast: "1ms",
    atMost: "7d",
    doc: "How long a message posted to `/inbox` is kept. Each POST starts anew.",
  }),
  maxBodySizeBytes: bytes({
    default: 2048,
    atLeast: 1,
    atMost: 16 * 2 ** 20,
    doc: "Largest message body. More is answered 413.",
  }),
  maxEntries: integer({
    default: 10_000,
    atLeast: 1,
    doc: "Messages kept at once. A full relay refuses new ids with 503 and drops nobody's message.",
  }),
  maxStoreBytes: bytes({
    default: 256 * 2 ** 20,
    atLeast: 1024,
    doc: "Bytes of messages kept at once; all of them are also held in memory.",
  }),
  maxEntriesPerClient: integer({
    default: 1000,
    doc: "Messages kept at once for one client address, so that no one fills the relay alone; 0 sets no share. Loopback and private addresses are not counted: they may be a proxy.",
  }),
  maxWaitersPerId: integer({
    default: 10,
    atLeast: 1,
    doc: "Requests that may wait on one id, for a message and for an acknowledgement each.",
  }),
  maxWaiters: integer({
    default: 100_000,
    atLeast: 1,
    doc: "Requests that may wait at once, over all ids.",
  }),
  maxWaitersPerClient: integer({
    default: 1000,
    doc: "Requests that may wait at once for one client address; 0 sets no share. Counted as `max-entries-per-client` is.",
  }),
  refuseEmpty: flag({
    default: false,
    doc: "Answer 400 to an empty message. The original stores it, and version 0.6 of the Pubky SDK crashes when it reads one.",
  }),
};
