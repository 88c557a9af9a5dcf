import { flagName, type OptionSet, type OptionSpec, OptionValueError } from "./options.ts";

/** A bad option: one sentence that names the option, the value and what is allowed. Exit code 2. */
export class OptionError extends Error {
  override readonly name = "OptionError";
}

/** A value as it was given, before it is parsed. */
export interface Given {
  /** As the person wrote it: `--port`, `POSTERN_PORT`, `port in relay.toml`. */
  readonly name: string;
  readonly text: string;
}

export interface Flags<Key extends string> {
  readonly options: ReadonlyMap<Key, Given>;
  /** What is no option, in order; everything after `--` is here. */
  readonly operands: readonly string[];
}

/** The names under which each option is found. */
export function keysByName<Key extends string>(
  options: Record<Key, OptionSpec<unknown>>,
  names: (key: string, spec: OptionSpec<unknown>) => readonly string[],
): Map<string, Key> {
  const map = new Map<string, Key>();
  for (const [key, spec] of Object.entries(options) as [Key, OptionSpec<unknown>][])
    for (const name of names(key, spec)) map.set(name, key);
  return map;
}

/** Throws `OptionError`, which never quotes a secret. */
export function parseGiven<T>(spec: OptionSpec<T>, { name, text }: Given): T {
  try {
    return spec.parse(text);
  } catch (error) {
    if (!(error instanceof OptionValueError)) throw error;
    const shown = spec.secret ? "the value given" : JSON.stringify(text);
    throw new OptionError(`${name}: ${shown} is not possible; ${error.message}.`);
  }
}

/**
 * Reads a command line: `--name value`, `--name=value`, `--no-name`, `-n value`, `-nvalue`, `-vvn value`. Counts add up,
 * lists join, else the last one wins. Throws `OptionError`.
 */
export function readFlags<S extends OptionSet>(args: readonly string[], options: S): Flags<keyof S & string> {
  type Key = keyof S & string;
  const longs = keysByName<Key>(options, (key, spec) => [flagName(key), ...(spec.also?.flags ?? [])]);
  const shorts = keysByName<Key>(options, (_key, spec) => (spec.short ? [spec.short] : []));
  const values = new Map<Key, Given>();
  const operands: string[] = [];
  const set = (key: Key, name: string, text: string) => {
    const { kind } = options[key]!;
    const before = values.get(key)?.text;
    if (kind === "count") values.set(key, { name, text: String(Number(before ?? 0) + Number(text)) });
    else if (kind === "list" && before !== undefined) values.set(key, { name, text: `${before},${text}` });
    else values.set(key, { name, text });
  };
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === "--") {
      operands.push(...rest.splice(0));
      break;
    }
    if (!arg.startsWith("-") || arg === "-") {
      operands.push(arg);
      continue;
    }
    const long = /^--(no-)?([a-z0-9-]+)(?:=(.*))?$/s.exec(arg);
    if (long) {
      const [, no, word = "", inline] = long;
      const negated = no !== undefined && longs.has(word);
      const key = longs.get(negated ? word : `${no ?? ""}${word}`);
      if (!key) throw new OptionError(`--${no ?? ""}${word}: no such option.${suggestOption(word, longs)}`);
      const { kind } = options[key]!;
      const byItself = negated ? "false" : valueByItself(kind);
      if (negated && kind !== "flag")
        throw new OptionError(`--no-${word}: only an on-off option can be switched off.`);
      set(key, `--${word}`, inline ?? byItself ?? valueAfter(arg, rest));
      continue;
    }
    if (!/^-[A-Za-z]/.test(arg))
      throw new OptionError(`${arg}: not an option. Options begin with --; see --help.`);
    // `-vvp 80`, `-p80`: letters without a value may stand together.
    for (let at = 1; at < arg.length; at++) {
      const key = shorts.get(arg[at]!);
      if (!key)
        throw new OptionError(
          `-${arg[at]}: no such option. See --help; an id that begins with - goes after --.`,
        );
      const byItself = valueByItself(options[key]!.kind);
      if (byItself !== undefined) set(key, `-${arg[at]}`, byItself);
      else {
        set(key, `-${arg[at]}`, arg.slice(at + 1).replace(/^=/, "") || valueAfter(arg, rest));
        break;
      }
    }
  }
  return { options: values, operands };
}

/** What naming an option that takes no value means. */
function valueByItself(kind: OptionSpec<unknown>["kind"]): string | undefined {
  return kind === "flag" ? "true" : kind === "count" ? "1" : undefined;
}

function valueAfter(arg: string, rest: string[]): string {
  const value = rest.shift();
  if (value === undefined) throw new OptionError(`${arg}: needs a value; see --help.`);
  return value;
}

/** The option that was probably meant. */
export function suggestOption(word: string, names: ReadonlyMap<string, string>): string {
  const parts = word.split("-");
  const near = [...names.keys()]
    .map((name) => ({ name, shared: name.split("-").filter((part) => parts.includes(part)).length }))
    .sort((a, b) => b.shared - a.shared)[0];
  return near && near.shared > 0 ? ` Did you mean --${near.name}?` : " See --help.";
}
