import { bytes, duration, flag, integer, text } from "#core/options.ts";

/** What an operator may set for Oblivious HTTP. */
export const ohttpOptions = {
  ohttp: flag({
    default: true,
    doc: "Open OHTTP requests: `/v2/ohttp` for the mailbox, and `/.well-known/ohttp-gateway` (RFC 9458) for all that this relay serves.",
    also: { env: ["RELAY_OHTTP_ENABLED"] },
  }),
  ohttpKeyWindowMs: duration({
    default: "24h",
    atLeast: "1s",
    atMost: "90d",
    plainUnit: "h",
    doc: "How long one OHTTP key is handed out. It opens requests for one window more; then it is destroyed.",
    also: { env: ["RELAY_OHTTP_KEY_ROTATION_HOURS"] },
  }),
  ohttpKeyWindowSecs: integer({
    default: 0,
    atMost: 90 * 86_400,
    doc: "The same in seconds; wins unless it is 0.",
    also: { env: ["RELAY_OHTTP_KEY_ROTATION_SECS"] },
  }),
  ohttpKeyFile: text({
    default: undefined,
    doc: "File with the 32-byte seed of another relay's OHTTP key. Requests sealed to that key (id 0) are still opened, but it is not handed out any more.",
    allowed: "a file name",
    also: { env: ["RELAY_OHTTP_KEY_FILE_PATH"] },
  }),
  ohttpMaxOpening: integer({
    default: 256,
    atLeast: 1,
    doc: "OHTTP requests that are decrypted at once. More are told to come again: their senders are unknown, so there are no shares.",
  }),
  ohttpReplayMemory: integer({
    default: 500_000,
    atLeast: 1,
    doc: "OHTTP requests that are remembered at least, so that none is served twice, across restarts; about 200 bytes of memory each. The oldest are forgotten.",
  }),
  ohttpRelayTarget: text({
    default: undefined,
    doc: "Be an OHTTP relay too: pass requests to `/ohttp-relay` on to the gateway at this URL, and let it know nothing of who sent them. It cannot be this relay's own gateway. For a mailbox relay's (`https://HOST/v2/ohttp`) that relay's clients find it at `/ohttp-relay/v2/ohttp`, and with `--no-ohttp` at `/v2/ohttp`.",
    pattern: /^https?:\/\/\S+$/,
    allowed: "the URL of a gateway",
  }),
  ohttpRelayMaxBytes: bytes({
    default: 128 * 1024,
    atLeast: 1024,
    atMost: 16 * 2 ** 20,
    doc: "Largest request or answer that is passed on.",
  }),
  ohttpRelayMaxPassing: integer({
    default: 256,
    atLeast: 1,
    doc: "Requests that are passed on at once. More are answered 429.",
  }),
  ohttpRelayTimeoutMs: duration({
    default: "30s",
    atLeast: "100ms",
    atMost: "10m",
    doc: "How long the gateway may take to answer.",
  }),
};
