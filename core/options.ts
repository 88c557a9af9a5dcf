/**
 * One declaration of an option gives its flag, its variable, its key in the file, its help text, its bounds and its row
 * in `docs/options.md`. Declared beside the part that reads it; collected in `daemon/`.
 */
export interface OptionSpec<T> {
  readonly kind:
    | "flag"
    | "integer"
    | "fraction"
    | "duration"
    | "bytes"
    | "text"
    | "list"
    | "choice"
    | "count";
  readonly default: T;
  /** One or two sentences for an operator: what it does and when to change it. */
  readonly doc: string;
  /** What a value may be, in words: the end of the message for a bad one. */
  readonly allowed: string;
  /** One-letter flag. */
  readonly short?: string;
  /** Names of the same option in other relays, accepted so that their files and scripts keep working. */
  readonly also?: {
    readonly flags?: readonly string[];
    readonly env?: readonly string[];
    readonly toml?: readonly string[];
  };
  /** Shown as `(hidden)` wherever values are printed. */
  readonly secret?: boolean;
  /** Throws `OptionValueError` for what is not allowed. */
  parse(text: string): T;
  /** The shortest text that `parse` turns into `value`. */
  format(value: T): string;
}

export class OptionValueError extends Error {
  override readonly name = "OptionValueError";
}

// biome-ignore lint/suspicious/noExplicitAny: an option set holds options of any type; ValuesOf recovers each
export type OptionSet = Record<string, OptionSpec<any>>;
export type ValuesOf<S extends OptionSet> = { [K in keyof S]: S[K] extends OptionSpec<infer T> ? T : never };

interface Common<T> {
  default: T;
  doc: string;
  short?: string;
  also?: NonNullable<OptionSpec<T>["also"]>;
  secret?: boolean;
}

function spec<T>(
  common: Common<T>,
  rest: Pick<OptionSpec<T>, "kind" | "allowed" | "parse" | "format">,
): OptionSpec<T> {
  return { ...common, ...rest };
}

function refuse(allowed: string): never {
  throw new OptionValueError(`allowed: ${allowed}`);
}

interface Unit {
  readonly name: string;
  readonly factor: number;
}

const durationUnits: readonly Unit[] = [
  { name: "d", factor: 86_400_000 },
  { name: "h", factor: 3_600_000 },
  { name: "m", factor: 60_000 },
  { name: "s", factor: 1000 },
  { name: "ms", factor: 1 },
];
const byteUnits: readonly Unit[] = [
  { name: "GiB", factor: 2 ** 30 },
  { name: "MiB", factor: 2 ** 20 },
  { name: "KiB", factor: 2 ** 10 },
  { name: "B", factor: 1 },
];

function parseWithUnit(text: string, units: readonly Unit[], plainFactor: number): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([A-Za-z]*)$/.exec(text.trim());
  if (!match) return undefined;
  const unit = match[2] === "" ? { factor: plainFactor } : units.find((u) => u.name === match[2]);
  if (!unit) return undefined;
  const value = Number(match[1]) * unit.factor;
  return Number.isSafeInteger(value) ? value : undefined;
}

function formatWithUnit(value: number, units: readonly Unit[]): string {
  const smallest = units.at(-1)!;
  const unit = value === 0 ? smallest : (units.find((u) => value % u.factor === 0) ?? smallest);
  return `${value / unit.factor}${unit.name}`;
}

interface Bounded extends Common<number> {
  atLeast?: number;
  atMost?: number;
}

function bounded(
  bounds: Bounded,
  kind: "integer" | "fraction" | "duration" | "bytes",
  noun: string,
  read: (text: string) => number | undefined,
  show: (value: number) => string,
): OptionSpec<number> {
  const least = bounds.atLeast ?? 0;
  const most = bounds.atMost ?? Number.MAX_SAFE_INTEGER;
  const upper = bounds.atMost === undefined ? "" : ` to ${show(most)}`;
  const allowed = `${noun}, ${show(least)}${upper === "" ? " or more" : upper}`;
  return spec(bounds, {
    kind,
    allowed,
    parse(text) {
      const value = read(text);
      return value === undefined || value < least || value > most ? refuse(allowed) : value;
    },
    format: show,
  });
}

/** A whole number. */
export function integer(of: Bounded): OptionSpec<number> {
  return bounded(
    of,
    "integer",
    "a whole number",
    (text) => (/^\d{1,15}$/.test(text.trim()) ? Number(text) : undefined),
    String,
  );
}

/** A part of a whole, 0 to 1. */
export function fraction(of: Common<number>): OptionSpec<number> {
  return bounded(
    { ...of, atMost: 1 },
    "fraction",
    "a number",
    (text) => (/^\d(\.\d{1,6})?$/.test(text.trim()) ? Number(text) : undefined),
    String,
  );
}

/** A span, held in milliseconds. Defaults and bounds are written as text ("25s"); a plain number counts `plainUnit`. */
export function duration(
  of: Omit<Common<string>, "also"> & {
    also?: NonNullable<OptionSpec<number>["also"]>;
    atLeast?: string;
    atMost?: string;
    plainUnit?: "s" | "ms" | "m" | "h" | "d";
  },
): OptionSpec<number> {
  const plain = durationUnits.find((u) => u.name === (of.plainUnit ?? "s"))!.factor;
  const read = (text: string) => parseWithUnit(text, durationUnits, plain);
  const { atLeast, atMost, default: byDefault, plainUnit, ...rest } = of;
  const bounds: Bounded = { ...rest, default: read(byDefault)! };
  if (atLeast !== undefined) bounds.atLeast = read(atLeast)!;
  if (atMost !== undefined) bounds.atMost = read(atMost)!;
  const noun = `a duration such as 500ms, 25s, 10m, 2h or 7d (a plain number means ${{ s: "seconds", ms: "milliseconds", m: "minutes", h: "hours", d: "days" }[plainUnit ?? "s"]})`;
  return bounded(bounds, "duration", noun, read, (value) => formatWithUnit(value, durationUnits));
}

/** A size in bytes: `2048`, `64KiB`, `1GiB`. */
export function bytes(of: Bounded): OptionSpec<number> {
  return bounded(
    of,
    "bytes",
    "a size such as 2048, 64KiB or 1GiB",
    (text) => parseWithUnit(text, byteUnits, 1),
    (value) => formatWithUnit(value, byteUnits),
  );
}

/** A size in bytes, or a share of the machine's memory: `75%` is 0.75. Sizes have bounds above 1. */
export function memory(of: Bounded & { atLeast: number }): OptionSpec<number> {
  const size = bytes(of);
  const allowed = `${size.allowed}, or a share of the memory such as 75%`;
  return {
    ...size,
    allowed,
    parse(text) {
      const percent = /^(\d{1,3})%$/.exec(text.trim())?.[1];
      if (percent === undefined) {
        try {
          return size.parse(text);
        } catch {
          return refuse(allowed);
        }
      }
      return Number(percent) >= 1 && Number(percent) <= 100 ? Number(percent) / 100 : refuse(allowed);
    },
    format: (value) => (value <= 1 ? `${Math.round(value * 100)}%` : size.format(value)),
  };
}

/** On or off. As a flag it takes no value; `--no-NAME` switches it off. */
export function flag(of: Common<boolean>): OptionSpec<boolean> {
  const allowed = "true or false";
  return spec(of, {
    kind: "flag",
    allowed,
    parse(text) {
      if (/^(true|1|on|yes)$/i.test(text)) return true;
      return /^(false|0|off|no)$/i.test(text) ? false : refuse(allowed);
    },
    format: String,
  });
}

/** How often a flag is repeated: `-v -v` is 2. */
export function count(of: Common<number>): OptionSpec<number> {
  return { ...integer({ ...of, atMost: 10 }), kind: "count" };
}

/** Any text; `pattern` narrows it and `allowed` says how. `undefined` means not set. */
export function text(
  of: Common<string | undefined> & { pattern?: RegExp; allowed?: string },
): OptionSpec<string | undefined> {
  const { pattern, allowed = "any text", ...common } = of;
  return spec(common, {
    kind: "text",
    allowed,
    parse: (value) => (pattern && !pattern.test(value) ? refuse(allowed) : value),
    format: (value) => value ?? "",
  });
}

/** Several texts: a comma between them, or the flag repeated. */
export function list(
  of: Common<readonly string[]> & { pattern?: RegExp; allowed?: string },
): OptionSpec<readonly string[]> {
  const { pattern, allowed = "texts joined by commas", ...common } = of;
  return spec(common, {
    kind: "list",
    allowed,
    parse(value) {
      const parts = value
        .split(",")
        .map((part) => part.trim())
        .filter((part) => part !== "");
      return pattern && parts.some((part) => !pattern.test(part)) ? refuse(allowed) : parts;
    },
    format: (value) => value.join(","),
  });
}

/**
 * Prefixes of names, joined by commas, where the empty text is a prefix too: that of everything. Unset, and an empty list
 * in a file, is none.
 */
export function prefixes(
  of: Common<readonly string[] | undefined>,
): OptionSpec<readonly string[] | undefined> {
  return spec(of, {
    kind: "list",
    allowed: 'prefixes of names joined by commas; "" is everything',
    parse: (value) => value.split(",").map((part) => part.trim()),
    format: (value) => value?.join(",") ?? "",
  });
}

/** One of a few words. */
export function choice<const T extends string>(of: Common<T> & { of: readonly T[] }): OptionSpec<T> {
  const { of: words, ...common } = of;
  const allowed = words.join(", ");
  return spec(common, {
    kind: "choice",
    allowed,
    parse: (value) => words.find((word) => word === value) ?? refuse(allowed),
    format: (value) => value,
  });
}

/** `inboxTimeoutMs` -> `inbox-timeout`: the name of an option's flag and of its key in the file. */
export function flagName(key: string): string {
  return key.replace(/(Ms|Bytes)$/, "").replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `inboxTimeoutMs` -> `POSTERN_INBOX_TIMEOUT`. */
export function variableName(key: string): string {
  return `POSTERN_${flagName(key).replaceAll("-", "_").toUpperCase()}`;
}
