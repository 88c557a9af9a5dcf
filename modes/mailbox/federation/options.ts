import { duration, flag, fraction, integer, list, text } from "#core/options.ts";

/** What an operator may set for federation. Names of the original (`RELAY_FEDERATION_...`) are accepted beside ours. */
export const federationOptions = {
  federation: flag({
    default: false,
    doc: "Take messages from other mailbox relays at `/federation`, and give them the oldest of ours when this relay gets full.",
    also: { env: ["RELAY_FEDERATION_ENABLED"] },
  }),
  federationPeers: list({
    default: [],
    doc: "Relays to give messages to: `ws://HOST[:PORT]` or `wss://HOST[:PORT]`, joined by commas. They must be run by somebody you trust to keep what they accept.",
    pattern: /^wss?:\/\/[^\s/@]+(\/\S*)?$/,
    allowed: "URLs that begin with ws:// or wss://, joined by commas",
    also: { env: ["RELAY_FEDERATION_PEERS"] },
  }),
  federationAllow: list({
    default: [],
    doc: "Ids of the relays from which messages are taken; without it from any, as the original does. An id is what the other relay says of itself.",
    allowed: "relay ids joined by commas",
  }),
  federationAllowPrivate: list({
    default: [],
    doc: "Hosts among the peers that may have a loopback or private address; every other peer must be reached at a public one.",
    allowed: "host names or addresses joined by commas",
    also: { env: ["RELAY_FEDERATION_ALLOW_PRIVATE"] },
  }),
  federationRelayId: text({
    default: undefined,
    doc: "What this relay calls itself towards others. Default: a random id, kept in the file `relay_id`.",
    pattern: /^\S{1,128}$/,
    allowed: "up to 128 characters without blanks",
    also: { env: ["RELAY_FEDERATION_RELAY_ID"] },
  }),
  federationOffloadThreshold: fraction({
    default: 0.8,
    doc: "Part of `max-storage` from which on the oldest messages are given to peers.",
    also: { env: ["RELAY_FEDERATION_OFFLOAD_THRESHOLD"] },
  }),
  federationOffloadRefuse: fraction({
    default: 0.95,
    doc: "Part of `max-storage` from which on no message is taken from peers; peers as full as this are given none.",
    also: { env: ["RELAY_FEDERATION_OFFLOAD_REFUSE"] },
  }),
  federationCapacityIntervalMs: duration({
    default: "60s",
    atLeast: "100ms",
    atMost: "1d",
    doc: "How often it is looked whether messages must be given to peers.",
    also: { env: ["RELAY_FEDERATION_CAPACITY_INTERVAL"] },
  }),
  federationPeerTimeoutMs: duration({
    default: "30s",
    atLeast: "100ms",
    atMost: "10m",
    doc: "How long another relay may take to greet. One that called us is dropped after twice this time of silence, one that we called after four times.",
    also: { env: ["RELAY_FEDERATION_PEER_TIMEOUT"] },
  }),
  federationAckTimeoutMs: duration({
    default: "60s",
    atLeast: "100ms",
    atMost: "10m",
    doc: "How long a peer may take to accept a message; then it is offered again later.",
  }),
  federationRateLimit: integer({
    default: 300,
    atLeast: 1,
    atMost: 1_000_000,
    doc: "Messages a minute that one relay may send.",
    also: { env: ["RELAY_FEDERATION_RATE_LIMIT"] },
  }),
  federationMaxLinks: integer({
    default: 64,
    atLeast: 1,
    doc: "Relays that may be connected to this one at once.",
  }),
  federationDrainTimeoutMs: duration({
    default: "300s",
    atMost: "1d",
    doc: "What peers are told about how long this relay will be away when it stops.",
    also: { env: ["RELAY_FEDERATION_DRAIN_TIMEOUT"] },
  }),
  noiseStaticKey: text({
    default: undefined,
    doc: "The key that `/pubkey` tells and that hints are signed with: base64url of the private and the public X25519 key, 64 bytes. Default: a random one, kept in the file `relay_noise_key.bin`.",
    pattern: /^[A-Za-z0-9_-]{86}$/,
    allowed: "86 characters of base64url",
    secret: true,
    also: { env: ["RELAY_NOISE_STATIC_KEY"] },
  }),
};
