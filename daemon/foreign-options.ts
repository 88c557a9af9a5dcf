import { type OptionSet, type OptionSpec, OptionValueError } from "#core/options.ts";

/**
 * Names of the original relays' options that are none here, so that its files, scripts and environments can be used as they
 * are. Each has its flag, variable and its key in a file. What makes no difference to clients is passed over with a line in
 * the log that says what is done instead; what would, stops the start.
 */
interface ForeignOption {
  /** The flag's name without the dashes; the variable and the key follow from it. */
  readonly flag: string;
  /** Its variable, where that does not follow from the flag. */
  readonly variable?: string;
  /** Other flags for it. */
  readonly also?: readonly string[];
  /** It takes no value on the command line. */
  readonly isSwitch?: boolean;
  /** One sentence: what is done instead, or what to do. */
  readonly instead: string;
  /** Values that mean what is done anyway, and need no word. */
  readonly harmless?: RegExp;
  /** Any other value stops the start. */
  readonly isRefused?: boolean;
}

const off = /^(false|0|off|no)$/i;
const on = /^(true|1|on|yes)$/i;
const quicNames = [
  "max-streams",
  "gso",
  "idle-timeout",
  "keep-alive",
  "mtu-discovery",
  "congestion-control",
  "qlog",
] as const;
const quic = (side: "client" | "server"): ForeignOption[] =>
  quicNames.map((name) => ({
    flag: `${side}-quic-${name}`,
    instead:
      side === "client"
        ? "the QUIC library that relays are dialled with decides."
        : "the QUIC library decides; live-silence-max, live-ping-interval and live-streams-max hold for every transport.",
  }));

const foreign: readonly ForeignOption[] = [
  {
    flag: "server-quic-lb-id",
    instead: "connection ids say nothing about the server; let the load balancer go by address and port.",
  },
  { flag: "server-quic-lb-nonce", instead: "it belongs to server-quic-lb-id, which is not used." },
  { flag: "server-backend", instead: "webtransport chooses the QUIC library." },
  { flag: "server-preferred-v4", instead: "no address is advertised; clients stay where they connected." },
  { flag: "server-preferred-v6", instead: "no address is advertised; clients stay where they connected." },
  { flag: "server-version", instead: "every version this relay speaks is accepted." },
  ...quic("server"),
  ...(["uid", "gid", "pid"] as const).map((id) => ({
    flag: `server-unix-allow-${id}`,
    isRefused: true,
    instead:
      "Node.js cannot tell who opens a Unix socket; let server-unix-mode and the permissions of its folder decide.",
  })),
  { flag: "client-bind", instead: "dials go out from whatever address the system chooses." },
  { flag: "client-connect", instead: "set cluster-root to connect with other relays.", isRefused: true },
  { flag: "client-backend", instead: "relays are dialled with the QUIC library of webtransport moq." },
  { flag: "client-connect-timeout", instead: "live-setup-timeout bounds a dial too." },
  { flag: "client-failover-delay", instead: "the system's own order of addresses is used." },
  { flag: "client-resolution-delay", instead: "the system's own order of addresses is used." },
  { flag: "client-version", instead: "every version this relay speaks is offered." },
  {
    flag: "client-websocket-enabled",
    also: ["websocket-enabled"],
    isSwitch: true,
    harmless: on,
    isRefused: true,
    instead: "relays are dialled by WebSocket; it cannot be switched off.",
  },
  ...quic("client"),
  {
    flag: "client-tls-root",
    also: ["tls-root"],
    isRefused: true,
    instead: "name the authority's file in the variable NODE_EXTRA_CA_CERTS.",
  },
  {
    flag: "client-tls-system-roots",
    also: ["tls-system-roots"],
    isSwitch: true,
    harmless: on,
    isRefused: true,
    instead: "the authorities that Node.js knows are trusted; NODE_EXTRA_CA_CERTS adds to them.",
  },
  {
    flag: "client-tls-fingerprint",
    also: ["tls-fingerprint"],
    isRefused: true,
    instead: "a certificate cannot be pinned; name its file in the variable NODE_EXTRA_CA_CERTS.",
  },
  { flag: "client-tls-cert", isRefused: true, instead: "show the other relays a token: cluster-token." },
  { flag: "client-tls-key", isRefused: true, instead: "show the other relays a token: cluster-token." },
  {
    flag: "client-tls-host-name",
    isRefused: true,
    instead: "dial the relay by the name in its certificate.",
  },
  {
    flag: "cluster-prefix",
    harmless: /^\.?internal\/origins$/,
    isRefused: true,
    instead: "relays find each other below internal/origins and .internal/origins, and nowhere else.",
  },
  { flag: "cluster-max-hops", instead: "a broadcast crosses 32 relays at most." },
  { flag: "cache-headroom", instead: "cache-capacity is a hard bound; set it low enough, such as 50%." },
  ...(["root", "cert", "key", "disable-verify"] as const).map((name) => ({
    flag: `auth-tls-${name}`,
    isRefused: true,
    instead: "the authorities that Node.js knows are trusted; NODE_EXTRA_CA_CERTS adds to them.",
  })),
  { flag: "auth-url", isRefused: true, instead: "use auth-api, which is asked with GET for each session." },
  {
    flag: "web-https-cert",
    isRefused: true,
    instead: "use tls-cert; one certificate serves every transport.",
  },
  { flag: "web-https-key", isRefused: true, instead: "use tls-key; one certificate serves every transport." },
  {
    flag: "iroh-enabled",
    isSwitch: true,
    harmless: off,
    isRefused: true,
    instead: "iroh is not spoken here; leave it off.",
  },
  ...(["secret", "bind-v4", "bind-v6"] as const).map((name) => ({
    flag: `iroh-${name}`,
    instead: "iroh is not spoken here.",
  })),
  // Of the original mailbox relay. What promises certificates must not be passed over: messages would go in the clear.
  ...(["cert", "key", "ca"] as const).map((name) => ({
    flag: `federation-tls-${name}`,
    variable: `RELAY_FEDERATION_TLS_${name.toUpperCase()}`,
    isRefused: true,
    instead: "put TLS that asks for certificates in front, and call peers by wss://.",
  })),
  {
    flag: "federation-gossip-enabled",
    variable: "RELAY_FEDERATION_GOSSIP_ENABLED",
    isSwitch: true,
    harmless: off,
    instead: "peers are those in federation-peers.",
  },
  { flag: "iroh-disable-relay", isSwitch: true, instead: "iroh is not spoken here." },
];

function specOf({
  flag,
  variable = `MOQ_${flag.replaceAll("-", "_").toUpperCase()}`,
  also,
  isSwitch,
  instead,
  harmless,
  isRefused,
}: ForeignOption): OptionSpec<string | undefined> {
  const names = [flag, ...(also ?? [])];
  return {
    kind: isSwitch ? "flag" : "list",
    default: undefined,
    doc: instead,
    allowed: "anything",
    also: { flags: also ?? [], env: [variable], toml: names },
    parse(text) {
      if (harmless?.test(text)) return undefined;
      if (isRefused) throw new OptionValueError(instead.replace(/\.$/, ""));
      return text;
    },
    format: (value) => value ?? "",
  };
}

const camelCase = (flag: string) => flag.replace(/-(.)/g, (_dash, letter: string) => letter.toUpperCase());

/** To be read as options are; `doc` is what the log says. */
export const foreignOptions: OptionSet = Object.fromEntries(
  foreign.map((option) => [camelCase(option.flag), specOf(option)]),
);

/** The part of `docs/options.md` about them. */
export function foreignReference(): string {
  const rows = foreign.map(({ flag, also, instead, isRefused, harmless }) => {
    const spec = foreignOptions[camelCase(flag)]!;
    const flags = [flag, ...(also ?? [])].map((name) => `\`--${name}\``);
    const variables = spec.also!.env!.map((name) => `\`${name}\``);
    const happens = isRefused
      ? harmless
        ? "refused, unless it says what is so anyway"
        : "refused"
      : "passed over";
    return `| ${[...flags, ...variables].join("<br>")} | ${happens} | ${instead[0]!.toUpperCase()}${instead.slice(1)} |\n`;
  });
  return `## Options of the original relays that are none here

Accepted by name, in its TOML files with dots too (\`server.quic_lb_id\`). What is passed over is told in the log once.

| option, variable | what happens | why, and what to do |
|---|---|---|
${rows.join("")}`;
}
