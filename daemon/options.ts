import { readFileSync } from "node:fs";
import { parse as parseToml, TomlError } from "smol-toml";
import {
  choice,
  count,
  duration,
  flag,
  flagName,
  type OptionSet,
  type OptionSpec,
  OptionValueError,
  text,
  type ValuesOf,
  variableName,
} from "#core/options.ts";
import { httpOptions } from "#edge/http/options.ts";
import { ohttpOptions } from "#edge/ohttp/options.ts";
import { mailboxOptions } from "#modes/mailbox/options.ts";
import { rendezvousOptions } from "#modes/rendezvous/options.ts";

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
    doc: "Address of the operations listener (`/health`, `/ready`, `/metrics`, `/build-info`): HOST:PORT, `auto` (127.0.0.1:8081, or a free port if that is taken) or `off`. Keep it away from the public.",
    pattern: /^(auto|off|.+:\d{1,5})$/,
    allowed: "HOST:PORT, auto or off",
    also: { env: ["RELAY_METRICS_ADDR"] },
  }),
  metricsToken: text({
    default: undefined,
    doc: "Bearer token that `/metrics` asks for; without it everybody who reaches the operations listener may read them.",
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
  verbose: count({ default: 0, short: "v", doc: "Log more; repeat it: info, debug, trace." }),
  quiet: flag({ default: false, short: "q", doc: "Log nothing but errors." }),
  logFormat: choice({
    default: "auto",
    of: ["auto", "text", "json"],
    doc: "How log lines look: `auto` is text on a terminal and JSON otherwise. They go to stderr.",
  }),
};

/** Every option of the daemon, by the part that reads it. */
export const optionGroups = {
  "The daemon": daemonOptions,
  "The public listener": httpOptions,
  "Rendezvous: /inbox and /link": rendezvousOptions,
  "Mailbox: /v2": mailboxOptions,
  "Oblivious HTTP": ohttpOptions,
} satisfies Record<string, OptionSet>;

export const allOptions = {
  ...daemonOptions,
  ...httpOptions,
  ...rendezvousOptions,
  ...mailboxOptions,
  ...ohttpOptions,
};
export type Config = ValuesOf<typeof allOptions>;
export type OptionKey = keyof Config;

export type Origin = "default" | "file" | "environment" | "flag";
export interface Collected {
  readonly config: Config;
  /** Where each value came from. */
  readonly origins: Readonly<Record<OptionKey, Origin>>;
}

/** A bad option: one sentence that names the option, the value and what is allowed. Exit code 2. */
export class OptionError extends Error {
  override readonly name = "OptionError";
}

const entries = Object.entries(allOptions) as [OptionKey, OptionSpec<unknown>][];

function byName(
  names: (key: string, spec: OptionSpec<unknown>) => readonly string[],
): Map<string, OptionKey> {
  const map = new Map<string, OptionKey>();
  for (const [key, spec] of entries) for (const name of names(key, spec)) map.set(name, key);
  return map;
}

const flags = byName((key, spec) => [flagName(key), ...(spec.also?.flags ?? [])]);
const shorts = byName((_key, spec) => (spec.short ? [spec.short] : []));
const variables = byName((key, spec) => [variableName(key), ...(spec.also?.env ?? [])]);
const tomlKeys = byName((key, spec) => [flagName(key), ...(spec.also?.toml ?? [])]);

/** Collects defaults < file < environment < flags. Throws `OptionError`. */
export function collectOptions(args: readonly string[], env: NodeJS.ProcessEnv): Collected {
  const fromFlags = readFlags(args);
  const fromEnv = readEnvironment(env);
  const file = fromFlags.get("config") ?? fromEnv.get("config");
  const fromFile = file === undefined ? new Map<OptionKey, Given>() : readFile(file.text);
  const config: Record<string, unknown> = {};
  const origins: Record<string, Origin> = {};
  for (const [key, spec] of entries) {
    const layers = [
      ["flag", fromFlags],
      ["environment", fromEnv],
      ["file", fromFile],
    ] as const;
    const found = layers.find(([, values]) => values.has(key));
    const given = found?.[1].get(key);
    config[key] = given ? parseValue(spec, given) : spec.default;
    origins[key] = found?.[0] ?? "default";
  }
  return { config: config as Config, origins: origins as Record<OptionKey, Origin> };
}

interface Given {
  /** As the person wrote it: `--port`, `POSTERN_PORT`, `port in relay.toml`. */
  readonly name: string;
  readonly text: string;
}

function parseValue(spec: OptionSpec<unknown>, { name, text }: Given): unknown {
  try {
    return spec.parse(text);
  } catch (error) {
    if (!(error instanceof OptionValueError)) throw error;
    const shown = spec.secret ? "the value given" : JSON.stringify(text);
    throw new OptionError(`${name}: ${shown} is not possible; ${error.message}.`);
  }
}

function readFlags(args: readonly string[]): Map<OptionKey, Given> {
  const values = new Map<OptionKey, Given>();
  const set = (key: OptionKey, name: string, text: string) => {
    const spec: OptionSpec<unknown> = allOptions[key];
    const before = values.get(key)?.text;
    if (spec.kind === "count") values.set(key, { name, text: String(Number(before ?? 0) + Number(text)) });
    else if (spec.kind === "list" && before !== undefined)
      values.set(key, { name, text: `${before},${text}` });
    else values.set(key, { name, text });
  };
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    const long = /^--(no-)?([a-z0-9-]+)(?:=(.*))?$/s.exec(arg);
    if (long) {
      const [, no, word = "", inline] = long;
      const negated = no !== undefined && flags.has(word);
      const key = flags.get(negated ? word : `${no ?? ""}${word}`);
      if (!key) throw new OptionError(`--${no ?? ""}${word}: no such option.${suggestion(word)}`);
      const { kind } = allOptions[key] as OptionSpec<unknown>;
      const takesNone = kind === "flag" || kind === "count";
      if (negated && kind !== "flag")
        throw new OptionError(`--no-${word}: only an on-off option can be switched off.`);
      set(
        key,
        `--${word}`,
        inline ?? (negated ? "false" : takesNone ? (kind === "flag" ? "true" : "1") : valueAfter(arg, rest)),
      );
      continue;
    }
    if (!/^-[A-Za-z]/.test(arg))
      throw new OptionError(`${arg}: not an option. Options begin with --; see --help.`);
    // `-vvp 80`, `-p80`: letters without a value may stand together.
    for (let at = 1; at < arg.length; at++) {
      const key = shorts.get(arg[at]!);
      if (!key) throw new OptionError(`-${arg[at]}: no such option. See --help.`);
      const { kind } = allOptions[key] as OptionSpec<unknown>;
      if (kind === "flag" || kind === "count") set(key, `-${arg[at]}`, kind === "flag" ? "true" : "1");
      else {
        set(key, `-${arg[at]}`, arg.slice(at + 1).replace(/^=/, "") || valueAfter(arg, rest));
        break;
      }
    }
  }
  return values;
}

function valueAfter(arg: string, rest: string[]): string {
  const value = rest.shift();
  if (value === undefined) throw new OptionError(`${arg}: needs a value; see --help.`);
  return value;
}

/** The option that was probably meant. */
function suggestion(word: string): string {
  const parts = word.split("-");
  const near = [...flags.keys()]
    .map((name) => ({ name, shared: name.split("-").filter((part) => parts.includes(part)).length }))
    .sort((a, b) => b.shared - a.shared)[0];
  return near && near.shared > 0 ? ` Did you mean --${near.name}?` : " See --help.";
}

function readEnvironment(env: NodeJS.ProcessEnv): Map<OptionKey, Given> {
  const values = new Map<OptionKey, Given>();
  for (const [name, text] of Object.entries(env)) {
    if (text === undefined) continue;
    const key = variables.get(name);
    if (key) {
      // Our own name wins over another relay's.
      if (!values.has(key) || name.startsWith("POSTERN_")) values.set(key, { name, text });
    } else if (name.startsWith("POSTERN_")) {
      throw new OptionError(
        `${name}: no such variable.${suggestion(name.slice(8).toLowerCase().replaceAll("_", "-"))}`,
      );
    }
  }
  return values;
}

function readFile(path: string): Map<OptionKey, Given> {
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
  const values = new Map<OptionKey, Given>();
  for (const [name, value] of flatten(table)) {
    const key = tomlKeys.get(name);
    if (!key) throw new OptionError(`${name} in ${path}: no such option.${suggestion(name)}`);
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
