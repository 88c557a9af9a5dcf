import { OptionError, parseGiven, readFlags } from "#core/flags.ts";
import { type OptionSet, type OptionSpec, text, type ValuesOf } from "#core/options.ts";

export interface Arguments<S extends OptionSet> {
  readonly values: ValuesOf<S>;
  /** Options that stood on the command line. */
  readonly given: ReadonlySet<keyof S>;
  readonly operands: readonly string[];
}

/** The relay that a verb uses. Its variable is the only one that client verbs read. */
export const relayOption = text({
  default: undefined,
  doc: "The relay's URL, as https://relay.example; also from the variable POSTERN_RELAY. Default: http://127.0.0.1:8080, a relay on this machine.",
  allowed: "a URL",
});
export const defaultRelay = "http://127.0.0.1:8080";

/** Reads a client verb's command line. Throws `OptionError`. */
export function parseArguments<S extends OptionSet>(
  args: readonly string[],
  options: S,
  operandsMost: number,
  env: NodeJS.ProcessEnv,
): Arguments<S> {
  const { options: given, operands } = readFlags(args, options);
  if (operands.length > operandsMost) {
    // Not quoted: what is one too many may be a code, and so a secret.
    throw new OptionError(
      operandsMost === 0
        ? "Too many words: this command takes options alone; see --help."
        : `Too many words: ${operands.length}, expected at most ${operandsMost}; see --help.`,
    );
  }
  const values: Record<string, unknown> = {};
  for (const [key, spec] of Object.entries(options) as [string, OptionSpec<unknown>][]) {
    const value = given.get(key);
    const variable = spec === relayOption ? env.POSTERN_RELAY : undefined;
    values[key] = value
      ? parseGiven(spec, value)
      : variable
        ? parseGiven(spec, { name: "POSTERN_RELAY", text: variable })
        : spec.default;
  }
  return { values: values as ValuesOf<S>, given: new Set(given.keys()), operands };
}
