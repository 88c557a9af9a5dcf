import { readFileSync } from "node:fs";
import { parse as parseToml, TomlError } from "smol-toml";
import { type Given, keysByName, OptionError, parseGiven, readFlags, suggestOption } from "#core/flags.ts";
import {
  choice,
  count,
  duration,
  flag,
  flagName,
  type OptionSet,
  type OptionSpec,
  text,
  type ValuesOf,
  variableName,
} from "#core/options.ts";
import { httpOptions } from "#edge/http/options.ts";
import { ohttpOptions } from "#edge/ohttp/options.ts";
import { liveAuthOptions } from "#modes/live/auth/options.ts";
import { liveOptions } from "#modes/live/options.ts";
import { federationOptions } from "#modes/mailbox/federation/options.ts";
import { mailboxOptions } from "#modes/mailbox/options.ts";
import { rendezvousOptions } from "#modes/rendezvous/options.ts";
import { foreignOptions } from "./foreign-options.ts";

export { OptionError };

const daemonOptions = {
  config: text({
    default: undefined,
    doc: "TOML file with options, one `name = value` a line.",
    allowed: "a file name",
  }),
  persistDb: text({
    default: "postern.db",
    doc: "SQLite file that keeps messages across restarts; an accepted message is on disk before it is answered. `memory` keeps them in this process only.",
    allowed: "a file name, or memory",
  }),
  opsListen: text({
    default: "auto",
    doc: "Address of the operations listener (`/health`, `/ready`, `/metrics`, `/build-info`; of live `/nodes`, `/sessions`, `/drain`): HOST:PORT, `auto` (127.0.0.1:8081, or a free port if that is taken) or `off`. Keep it away from the public.",
    pattern: /^(auto|off|.+:\d{1,5})$/,
    allowed: "HOST:PORT, auto or off",
    also: {
      flags: ["internal-listen"],
      env: ["RELAY_METRICS_ADDR", "MOQ_INTERNAL_LISTEN"],
      toml: ["internal.listen"],
    },
  }),
  metricsToken: text({
    default: undefined,
    doc: "Bearer token that `/metrics`, `/nodes`, `/sessions` and `/drain` ask for; without it everybody who reaches the operations listener may use them.",
    allowed: "any text",
    secret: true,
    also: { env: ["RELAY_METRICS_TOKEN"] },
  }),
  shutdownTimeoutMs: duration({
    default: "10s",
    atLeast: "100ms",
    atMost: "10m",
    doc: "How long a stop may take: answers under way are finished, then what is left is cut. A second signal stops at once.",
  }),
  page: flag({
    default: true,
    doc: "Show browsers a page about this relay at `/`, where it can be tried out. Other clients get the text `Http Relay` there, and with `--no-page` everybody does.",
  }),
  verbose: count({ default: 0, short: "v", doc: "Log more; repeat it: info, debug, trace." }),
  quiet: flag({ default: false, short: "q", doc: "Log nothing but errors." }),
  logLevel: text({
    default: undefined,
    doc: "The same in a word: error, warn, info, debug or trace; wins over `verbose` and `quiet`. The variable RUST_LOG, where it names a level, wins over all.",
    pattern: /^(error|warn|info|debug|trace)$/i,
    allowed: "error, warn, info, debug, trace",
    also: { env: ["MOQ_LOG_LEVEL"], toml: ["log.level"] },
  }),
  logFormat: choice({
    default: "auto",
    of: ["auto", "text", "json"],
    doc: "How log lines look: `auto` is text on a terminal and JSON otherwise. They go to stderr.",
    also: { env: ["RELAY_LOG_FORMAT"] },
  }),
};

/** Every option of the daemon, by the part that reads it. */
export const optionGroups = {
  "The daemon": daemonOptions,
  "The public listener": httpOptions,
  "Rendezvous: /inbox and /link": rendezvousOptions,
  "Mailbox: /v2": mailboxOptions,
  "Mailbox: federation with other relays": federationOptions,
  "Oblivious HTTP": ohttpOptions,
  "Live: who may use it; without any of these it is off": liveAuthOptions,
  "Live: its bounds": liveOptions,
} satisfies Record<string, OptionSet>;

export const allOptions = {
  ...daemonOptions,
  ...httpOptions,
  ...rendezvousOptions,
  ...mailboxOptions,
  ...federationOptions,
  ...ohttpOptions,
  ...liveAuthOptions,
  ...liveOptions,
};
export type Config = ValuesOf<typeof allOptions>;
export type OptionKey = keyof Config;

export type Origin = "default" | "file" | "environment" | "flag";
export interface Collected {
  readonly config: Config;
  /** Where each value came from. */
  readonly origins: Readonly<Record<OptionKey, Origin>>;
  /** What was given and is passed over, and what is done instead: a sentence each, for the log. */
  readonly notices: readonly string[];
}

const entries = Object.entries(allOptions) as [OptionKey, OptionSpec<unknown>][];

/** All that is understood; where a name is both an option and none, it is one. */
const understood: OptionSet = { ...foreignOptions, ...allOptions };
const flags = keysByName(understood, (key, spec) => [flagName(key), ...(spec.also?.flags ?? [])]);
const variables = keysByName(understood, (key, spec) => [
  ...(key in allOptions ? [variableName(key)] : []),
  ...(spec.also?.env ?? []),
]);
const tomlKeys = keysByName(understood, (key, spec) => [flagName(key), ...(spec.also?.toml ?? [])]);
/** `server.quic_lb_id` is the flag `server-quic-lb-id`: other relays' files have tables and other dashes. */
const findTomlKey = (name: string) => tomlKeys.get(name) ?? flags.get(name.replace(/[._]/g, "-"));

/** Variables of the client verbs: whoever exports them may run a relay too. */
const clientVariables = new Set(["POSTERN_RELAY"]);

/** Collects defaults < file < environment < flags. Throws `OptionError`. */
export function collectOptions(args: readonly string[], env: NodeJS.ProcessEnv): Collected {
  const fromFlags = readOptions(args);
  const fromEnv = readEnvironment(env);
  const file = fromFlags.get("config") ?? fromEnv.get("config");
  const fromFile = file === undefined ? new Map<string, Given>() : readFile(file.text);
  const layers = [
    ["flag", fromFlags],
    ["environment", fromEnv],
    ["file", fromFile],
  ] as const;
  const config: Record<string, unknown> = {};
  const origins: Record<string, Origin> = {};
  for (const [key, spec] of entries) {
    const found = layers.find(([, values]) => values.has(key));
    const given = found?.[1].get(key);
    config[key] = given ? parseGiven(spec, given) : spec.default;
    origins[key] = found?.[0] ?? "default";
  }
  const notices: string[] = [];
  for (const [key, spec] of Object.entries(foreignOptions)) {
    const given = layers.find(([, values]) => values.has(key))?.[1].get(key);
    if (given && parseGiven(spec, given) !== undefined) notices.push(`${given.name}: ${spec.doc}`);
  }
  return { config: config as Config, origins: origins as Record<OptionKey, Origin>, notices };
}

/** The daemon's command line has options alone, and one file of them without a flag, as the original's. */
function readOptions(args: readonly string[]): ReadonlyMap<string, Given> {
  const { options, operands } = readFlags(args, understood);
  const [file, second] = operands;
  if (file === undefined) return options;
  if (!file.endsWith(".toml") || second !== undefined || options.has("config"))
    throw new OptionError(`${second ?? file}: not an option. Options begin with --; see --help.`);
  return new Map([...options, ["config", { name: file, text: file }]]);
}

function readEnvironment(env: NodeJS.ProcessEnv): Map<string, Given> {
  const values = new Map<string, Given>();
  for (const [name, text] of Object.entries(env)) {
    if (text === undefined) continue;
    const key = variables.get(name);
    if (key) {
      // Our own name wins over another relay's.
      if (!values.has(key) || name.startsWith("POSTERN_")) values.set(key, { name, text });
    } else if (name.startsWith("POSTERN_") && !clientVariables.has(name)) {
      throw new OptionError(
        `${name}: no such variable.${suggestOption(name.slice(8).toLowerCase().replaceAll("_", "-"), flags)}`,
      );
    }
  }
  return values;
}

function readFile(path: string): Map<string, Given> {
  let table: Record<string, unknown>;
  try {
    table = parseToml(readFileSync(path, "utf8"));
  } catch (error) {
    const why =
      error instanceof TomlError
        ? `line ${error.line}: ${error.message.split("\n")[0]}`
        : (error as Error).message;
    throw new OptionError(`config: cannot use ${path}: ${why}`);
  }
  const values = new Map<string, Given>();
  for (const [name, value] of flatten(table)) {
    const key = findTomlKey(name);
    if (!key) throw new OptionError(`${name} in ${path}: no such option.${suggestOption(name, flags)}`);
    // Nothing listed is nothing set: joined, it would be the empty text, which can mean everything.
    if (Array.isArray(value) && value.length === 0 && understood[key]!.default === undefined) continue;
    values.set(key, {
      name: `${name} in ${path}`,
      text: Array.isArray(value) ? value.join(",") : String(value),
    });
  }
  return values;
}

/** `[a] b = 1` is `a.b`; a table of ours is only a heading. */
function* flatten(table: Record<string, unknown>, prefix = ""): Generator<[string, unknown]> {
  for (const [name, value] of Object.entries(table)) {
    if (typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date)) {
      yield* flatten(value as Record<string, unknown>, `${prefix}${name}.`);
    } else yield [`${prefix}${name}`, value];
  }
}
