import { bytes, choice, duration, flag, integer, type OptionSpec, text } from "#core/options.ts";

/** The same words in any case, as the original takes them. */
function anyCase<T>(spec: OptionSpec<T>): OptionSpec<T> {
  return { ...spec, parse: (value) => spec.parse(value.toLowerCase()) };
}

/** What an operator may set for `/v2`. Names of the original (`RELAY_...`) are accepted beside ours. */
export const mailboxOptions = {
  mailbox: flag({
    default: true,
    doc: "Serve the mailbox API at `/v2`.",
    also: { env: ["RELAY_HTTP_API_ENABLED"] },
  }),
  mailboxStorage: anyCase(
    choice({
      default: "sqlite",
      of: ["sqlite", "memory"],
      doc: "Where mailboxes are kept: a SQLite file, or this process only. `--persist-db memory` means memory here too.",
      also: { env: ["RELAY_STORAGE_BACKEND"] },
    }),
  ),
  dataDir: text({
    default: undefined,
    doc: "Directory of `mailbox.db`. Default: where `persist-db` is.",
    allowed: "a directory name",
    also: { env: ["RELAY_DATA_DIR"] },
  }),
  maxMessageSizeBytes: bytes({
    default: 2 ** 20,
    atLeast: 1024,
    atMost: 64 * 2 ** 20,
    doc: "Largest ciphertext of one message. Through OHTTP about 97 kB can be delivered, whatever this says.",
    also: { env: ["RELAY_MAX_MESSAGE_SIZE"] },
  }),
  blobTtlMs: duration({
    default: "120d",
    atLeast: "1s",
    atMost: "3650d",
    doc: "How long a message waits in a mailbox.",
    also: { env: ["RELAY_BLOB_TTL_SECS"] },
  }),
  cleanupIntervalMs: duration({
    default: "1h",
    atLeast: "1s",
    atMost: "1d",
    doc: "How often expired messages are dropped from the disk. They are unreadable from the moment they expire.",
    also: { env: ["RELAY_CLEANUP_INTERVAL"] },
  }),
  maxMailboxBlobs: integer({
    default: 1000,
    doc: "Messages one mailbox holds; 0 sets no limit. More is answered 429.",
    also: { env: ["RELAY_MAX_BLOBS_PER_USER"] },
  }),
  maxMailboxSizeBytes: bytes({
    default: 50_000_000,
    doc: "Bytes one mailbox holds; 0 sets no limit. More is answered 429.",
    also: { env: ["RELAY_MAX_STORAGE_PER_USER"] },
  }),
  maxStorageBytes: bytes({
    default: 2 ** 30,
    atLeast: 1024,
    doc: "Bytes all mailboxes hold together. A full relay answers 429 and drops nobody's message.",
    also: { env: ["RELAY_MAX_STORAGE_BYTES"] },
  }),
  mailboxRecentMax: integer({
    default: 65_536,
    atLeast: 0,
    atMost: 1_000_000,
    doc: "Messages whose place is kept in memory, some 400 bytes each, before it goes to the index on disk. More makes sending cheaper and the start slower.",
  }),
  mailboxRateLimit: integer({
    default: 60,
    atLeast: 1,
    atMost: 1_000_000,
    doc: "Requests a minute for one mailbox: as many sends, fetches, acknowledgements and purges each; fetches and acknowledgements behind OHTTP are not counted. Over it: 429.",
    also: { env: ["RELAY_RATE_LIMIT"] },
  }),
  mailboxClientRateLimit: integer({
    default: 1200,
    atMost: 1_000_000,
    doc: "Requests a minute to `/v2` for one client address, OHTTP not counted; 0 sets no limit. Loopback and private addresses are not counted: they may be a proxy.",
  }),
  recoveryRateLimit: integer({
    default: 10,
    atLeast: 1,
    atMost: 1_000_000,
    doc: "Recovery queries a minute for one client address; through OHTTP for one key hash.",
    also: { env: ["RELAY_RECOVERY_RATE_LIMIT"] },
  }),
  recoveryOverwrite: flag({
    default: true,
    doc: "A recovery proof replaces the one before, as the original does. Off: whoever came first keeps the place until it expires, and a different proof is refused.",
  }),
  fetchWaitMs: duration({
    default: "25s",
    atMost: "10m",
    doc: "Longest that `Prefer: wait=N` makes a fetch wait for a message. Keep it below the idle timeout of any proxy in front.",
  }),
  maxFetchWaiters: integer({
    default: 10_000,
    doc: "Fetches that may wait at once. Over it a fetch is answered at once.",
  }),
  deliveryJitterMinMs: duration({
    default: "0ms",
    atMost: "1m",
    plainUnit: "ms",
    doc: "Least random delay before a send or fetch is answered.",
    also: { env: ["RELAY_DELIVERY_JITTER_MIN_MS"] },
  }),
  deliveryJitterMaxMs: duration({
    default: "0ms",
    atMost: "1m",
    plainUnit: "ms",
    doc: "Most random delay before a send or fetch is answered; 0 answers at once.",
    also: { env: ["RELAY_DELIVERY_JITTER_MAX_MS"] },
  }),
  purgeBinding: choice({
    default: "token",
    of: ["token", "strict"],
    doc: "Who may purge a mailbox: `token`, whoever knows its name, as in the original; `strict`, only the key or the purge token that the name is made of.",
    also: { env: ["RELAY_PURGE_BINDING"] },
  }),
  ackMatch: choice({
    default: "strict",
    of: ["strict", "id"],
    doc: "What an acknowledgement must name: `strict`, the mailbox and the message; `id`, the message alone, which repairs a client that names the wrong mailbox.",
    also: { env: ["RELAY_ACK_MATCH"] },
  }),
  guardians: choice({
    default: "signed",
    of: ["off", "signed", "open"],
    doc: "Guardian sets: `signed` takes changes from the key's owner only, `open` also unsigned ones of early clients.",
    also: { env: ["RELAY_GUARDIANS"] },
  }),
  exchangeMaxOffers: integer({
    default: 10_000,
    atLeast: 1,
    atMost: 500_000,
    doc: "Exchange offers open at once. Half of the places are for offers that live no longer than the default.",
    also: { env: ["RELAY_EXCHANGE_MAX_OFFERS"] },
  }),
  exchangeDefaultTtlMs: duration({
    default: "5m",
    atLeast: "1s",
    atMost: "1d",
    doc: "How long an exchange offer lives that does not say.",
    also: { env: ["RELAY_EXCHANGE_DEFAULT_TTL_SECS"] },
  }),
  exchangeGuessLimit: integer({
    default: 10,
    atLeast: 1,
    atMost: 1_000_000,
    doc: "Wrong exchange codes a minute from one client address. Right ones are not counted, so that polling holds up nobody.",
  }),
  ohttpExchangeRateLimit: integer({
    default: 300,
    atLeast: 1,
    atMost: 1_000_000,
    doc: "Exchange offers, wrong exchange codes and escrow requests a minute through OHTTP, each, for everybody together. As many wrong codes are taken from all other addresses together.",
    also: { env: ["RELAY_OHTTP_EXCHANGE_RATE_LIMIT"] },
  }),
  escrowMaxBytes: bytes({
    default: 64 * 2 ** 20,
    doc: "Bytes of escrow held at once, in memory.",
  }),
  versionMin: integer({
    default: 0,
    atMost: 65_535,
    doc: "Oldest client version that is served (`X-App-Compat-Version`); 0 serves all.",
    also: { env: ["RELAY_VERSION_MIN"] },
  }),
  versionWarn: integer({
    default: 0,
    atMost: 65_535,
    doc: "Client version below which clients tell their user to upgrade; 0 means the same as `version-min`.",
    also: { env: ["RELAY_VERSION_WARN"] },
  }),
  versionGraceMs: duration({
    default: "14d",
    atMost: "3650d",
    plainUnit: "d",
    doc: "How long clients below `version-min` are still served after it was raised.",
    also: { env: ["RELAY_VERSION_GRACE_DAYS"] },
  }),
};
